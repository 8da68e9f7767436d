// A shop assistant in another language. It has none of our files: what the gateway can do it learns by reflection.
// Usage: node shop.mjs ADDRESS TOKEN. Prints one line of JSON with what it has seen.

import grpc from "@grpc/grpc-js";
import { GrpcReflection } from "grpc-js-reflection-client";

const WAIT_MS = 20_000;
const [address, token] = process.argv.slice(2);
const credentials = grpc.credentials.createInsecure();
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${token}`);

const reflection = new GrpcReflection(address, credentials);
const services = (await reflection.listServices()).sort();
const { StockService } = await learn("gateway.v1.StockService");
const { CatalogService } = await learn("gateway.v1.CatalogService");
const stock = new StockService(address, credentials);
const catalog = new CatalogService(address, credentials);

await call(catalog, "CreateSku", { sku: { sku: "CUP", title: "杯子", lead_time_mean_days: 7.5 } });
const stream = stock.WatchStockLevels({ live_only: true }, metadata);
const messages = stream[Symbol.asyncIterator]();
const { created } = await next();

await call(stock, "ReceiveStock", { request_id: "node-1", sku: "CUP", quantity: "10" });
const levels = [(await next()).level];
const reserve = { request_id: "node-2", lines: [{ sku: "CUP", quantity: "3" }], order_id: "订单-1" };
const { reservation } = await call(stock, "ReserveStock", reserve);
levels.push((await next()).level);
const again = await call(stock, "ReserveStock", reserve);
const sold = await call(stock, "CommitReservation", {
  request_id: "node-3",
  reservation_id: reservation.reservation_id,
});
levels.push((await next()).level);
stream.on("error", () => {});
stream.cancel();

const tooMany = { request_id: "node-4", lines: [{ sku: "CUP", quantity: "8" }] };
const refusal = await call(stock, "ReserveStock", tooMany).then(
  () => null,
  ({ code, details, metadata }) => ({ code, details, rich: metadata.get("grpc-status-details-bin").length }),
);
const seen = { services, created, levels, reservation, again: again.reservation, sold: sold.reservation, refusal };
console.log(JSON.stringify(seen));
// The reflection client keeps its connection open, and has no way to close it.
process.exit(0);

async function learn(service) {
  const descriptor = await reflection.getDescriptorBySymbol(service);
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
  return descriptor.getPackageObject(options).gateway.v1;
}

function call(client, method, request) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + WAIT_MS;
    client[method](request, metadata, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

async function next() {
  const late = new Promise((_, reject) => setTimeout(reject, WAIT_MS, new Error("the stream is silent")).unref());
  const { value, done } = await Promise.race([messages.next(), late]);
  if (done) throw new Error("the stream has ended");
  return value;
}
