// topsdk of npm: everything in a form, JSON with long numbers kept, its own validators of parameters.
import { brief, call, end, expect, refusal, require, wallClock } from "./desk.mjs";

const TopClient = require("topsdk");
const endpoint = `${brief.base_url}/router/rest`;
const client = new TopClient(brief.app_key, brief.app_secret, { endpoint });
const item = { num_iid: brief.item_id };
let session = "";

await call("token create", async () => {
  const answer = await client.execute("taobao.top.auth.token.create", { code: brief.code });
  session = JSON.parse(answer.token_result).access_token;
});
await call("stock set", async () => {
  const quantities = `${brief.platform_sku_id}:30`;
  const args = { ...item, session, type: 1, skuid_quantities: quantities };
  const answer = await client.execute("taobao.skus.quantity.update", args);
  expect("skus", answer.item.skus.sku.length, 1);
});
await call("stock changed by a difference", async () => {
  const args = { ...item, session, type: 2, sku_id: brief.platform_sku_id, quantity: -5 };
  expect("quantity", (await client.execute("taobao.item.quantity.update", args)).item.skus.sku[0].quantity, 25);
});
await call("stock read back", async () => {
  const args = { session, num_iids: brief.item_id, fields: "sku_id,quantity" };
  const [sku] = (await client.execute("taobao.item.skus.get", args)).skus.sku;
  expect("SKU", sku.sku_id, brief.platform_sku_id);
  expect("quantity", sku.quantity, 25);
});
await call("orders listed", async () => {
  const now = Date.now();
  const args = {
    session,
    fields: "tid,status,orders",
    start_modified: wallClock(now - 600_000),
    end_modified: wallClock(now + 60_000),
    use_has_next: true,
  };
  const { trades } = await client.execute("taobao.trades.sold.increment.get", args);
  const found = trades.trade.find((trade) => String(trade.tid) === brief.order_id);
  expect("status", found?.status, "WAIT_SELLER_SEND_GOODS");
});
await call("order read", async () => {
  const args = { session, tid: brief.order_id, fields: "tid,status,orders" };
  const { trade } = await client.execute("taobao.trade.fullinfo.get", args);
  expect("item", trade.orders.order[0].num_iid, brief.item_id);
});
await call("wrong secret refused", async () => {
  const stranger = new TopClient(brief.app_key, "wrong", { endpoint });
  const args = { session, num_iids: brief.item_id, fields: "sku_id" };
  expect("code", (await refusal(() => stranger.execute("taobao.item.skus.get", args))).code, 25);
});
end();
