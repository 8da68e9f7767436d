// ali-topsdk, Alibaba's own: always multipart, even without a file; reads JSON by its content type.
import { brief, call, end, expect, refusal, require, wallClock } from "./desk.mjs";

const { ApiClient } = require("ali-topsdk");
const of = (appsecret) => new ApiClient({ appkey: brief.app_key, appsecret, url: `${brief.base_url}/router/rest` });
const client = of(brief.app_secret);
let session = "";

function execute(method, params, by = client) {
  return new Promise((resolve, reject) => {
    by.execute(method, params, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

await call("token create", async () => {
  const answer = await execute("taobao.top.auth.token.create", { code: brief.code });
  session = JSON.parse(answer.token_result).access_token;
});
await call("token refresh", async () => {
  const first = JSON.parse((await execute("taobao.top.auth.token.create", { code: brief.second_code })).token_result);
  const params = { refresh_token: first.refresh_token };
  session = JSON.parse((await execute("taobao.top.auth.token.refresh", params)).token_result).access_token;
});
await call("stock set", async () => {
  const params = { session, num_iid: brief.item_id, sku_id: brief.platform_sku_id, quantity: 40, type: 1 };
  expect("quantity", (await execute("taobao.item.quantity.update", params)).item.skus.sku[0].quantity, 40);
});
await call("stock changed by a difference", async () => {
  const quantities = `${brief.platform_sku_id}:2`;
  const params = { session, num_iid: brief.item_id, skuid_quantities: quantities, type: 2 };
  expect("quantity", (await execute("taobao.skus.quantity.update", params)).item.skus.sku[0].quantity, 42);
});
await call("stock read back", async () => {
  const params = { session, sku_id: brief.platform_sku_id, num_iid: brief.item_id, fields: "sku_id,quantity" };
  expect("quantity", (await execute("taobao.item.sku.get", params)).sku.quantity, 42);
});
await call("orders listed", async () => {
  const now = Date.now();
  const params = {
    session,
    fields: "tid,status,orders",
    start_modified: wallClock(now - 600_000),
    end_modified: wallClock(now + 60_000),
  };
  const answer = await execute("taobao.trades.sold.increment.get", params);
  // It reads a tid as a float, and so loses the last digits.
  const found = answer.trades.trade.find((trade) => trade.tid === Number(brief.order_id));
  expect("status", found?.status, "WAIT_SELLER_SEND_GOODS");
});
await call("wrong secret refused", async () => {
  const params = { session, sku_id: brief.platform_sku_id, fields: "sku_id" };
  expect("code", (await refusal(() => execute("taobao.item.sku.get", params, of("wrong")))).code, 25);
});
end();
