// kuaishou-merchant-open-api of npm: GET or POST by the method, param as JSON, both ways to sign.
import { brief, call, end, expect, require } from "./desk.mjs";

const { default: KsMerchantClient, SignMethod } = require("kuaishou-merchant-open-api");
const keys = { appKey: brief.app_key, appSecret: brief.app_secret, signSecret: brief.sign_secret };
const client = new KsMerchantClient({ ...keys, url: brief.base_url, signMethod: SignMethod.HMAC_SHA256 });
const item = { kwaiItemId: Number(brief.item_id) };
const sku = { ...item, skuId: Number(brief.platform_sku_id) };

async function execute(api, params, { by = client, method } = {}) {
  const answer = await by.execute({ api, method }, params);
  if (answer?.result !== 1) throw Object.assign(new Error(`${answer?.result} ${answer?.error_msg}`), answer);
  return answer.data;
}

async function shown() {
  const { skuList } = await execute("open.item.sku.list.get", item);
  return skuList.find((each) => each.kwaiSkuId === sku.skuId).skuStock;
}

await call("token create", () => client.getAccessTokenByCode({ code: brief.code }).then(() => undefined));
await call("token refresh", async () => {
  const old = client.accessToken;
  const { accessToken } = await client.getAccessTokenByRefreshToken({});
  if (!accessToken || accessToken === old) throw new Error("the token is the old one");
});
await call("stock raised and read back", async () => {
  const before = await shown();
  await execute("open.item.sku.stock.update", { ...sku, skuChangeStock: 7, changeType: 1 }, { method: "POST" });
  expect("stock", await shown(), before + 7);
});
await call("stock lowered and read back, signed by MD5", async () => {
  const before = await shown();
  const { accessToken } = client;
  const by = new KsMerchantClient({ ...keys, url: brief.base_url, accessToken, signMethod: SignMethod.MD5 });
  await execute("open.item.sku.stock.update", { ...sku, skuChangeStock: 3, changeType: 2 }, { by, method: "POST" });
  expect("stock", await shown(), before - 3);
});
await call("orders listed", async () => {
  const endTime = Date.now();
  const params = { orderViewStatus: 1, pageSize: 50, sort: 1, queryType: 2, beginTime: endTime - 600_000, endTime };
  const { orderList } = await execute("open.order.cursor.list", { ...params, cursor: "" });
  // It reads an oid as a float, and so loses the last digits.
  const found = orderList.find((order) => order.orderBaseInfo.oid === Number(brief.order_id));
  expect("status", found?.orderBaseInfo.status, 30);
});
await call("order read", async () => {
  const { orderBaseInfo } = await execute("open.order.detail", { oid: brief.order_id });
  expect("status", orderBaseInfo.status, 30);
});
await call("wrong secret refused", async () => {
  const { accessToken } = client;
  const by = new KsMerchantClient({ ...keys, signSecret: "wrong", url: brief.base_url, accessToken });
  const answer = await by.execute({ api: "open.item.sku.list.get" }, item);
  expect("result", answer?.result, 27);
});
end();
