// An operator's tool in another language, which learns by reflection what can be asked: why, what happened, how it stands.
// Usage: node onlooker.mjs ADDRESS TOKEN. The SKU CUP, the channel tb and its listing 1 are there. Prints one line of JSON.

import grpc from "@grpc/grpc-js";
import { GrpcReflection } from "grpc-js-reflection-client";

const WAIT_MS = 30_000;
const HOUR_S = 3600;
const [address, token] = process.argv.slice(2);
const credentials = grpc.credentials.createInsecure();
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${token}`);
metadata.set("stockgate-actor", encodeURIComponent("小美"));

const reflection = new GrpcReflection(address, credentials);
const clients = {};
for (const name of ["OperationsService", "AlertService", "LiveService"]) {
  const descriptor = await reflection.getDescriptorBySymbol(`gateway.v1.${name}`);
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
  clients[name] = new (descriptor.getPackageObject(options).gateway.v1[name])(address, credentials);
}

const now = Math.floor(Date.now() / 1000);
const session = {
  ...{ request_id: "node-1", room: "一号直播间", channels: ["tb"], skus: [{ sku: "CUP" }], actor: "小美" },
  planned_end_time: { seconds: now + HOUR_S },
};
const opened = (await call("LiveService", "OpenSession", session)).session;
const source = { made_up: { name: "node", skus: ["CUP"], units: 60, rate: 60, seconds: 120, lead_seconds: 30 }, speed: 1000 };

// Of each method a request that makes sense, and some that do not.
const ASKED = {
  "OperationsService/ExplainListing": [
    ...[{ sku: "CUP", channel: "tb" }, {}, { sku: "NOPE", channel: "tb" }, { sku: "CUP", channel: "nope" }],
    ...[{ listing_id: -1 }, { sku: "CUP", channel: "tb", at: { seconds: 1 } }],
  ],
  "OperationsService/ListTimeline": [
    ...[{ sku: "CUP" }, {}, { sku: "NOPE" }, { sku: "CUP", page_size: -1 }],
    ...[{ sku: "CUP", page_token: "rubbish" }, { sku: "CUP", kinds: [99] }],
  ],
  "OperationsService/GetSeries": [
    ...[{ sku: "CUP" }, {}, { sku: "CUP", points_max: 1 }],
    { sku: "CUP", since: { seconds: now }, until: { seconds: now - HOUR_S } },
  ],
  "OperationsService/ListAudit": [{ actor: "小美" }, { up_to_audit_id: -1 }, { sku: " x" }],
  "OperationsService/TraceSku": [
    ...[{ sku: "CUP", duration: { seconds: 60 } }, { sku: "NOPE", duration: { seconds: 60 } }],
    { sku: "CUP", duration: { seconds: 999_999 } },
  ],
  "OperationsService/GetTrace": [{ trace_id: "0".repeat(31) + "1" }, {}, { trace_id: "rubbish" }],
  "OperationsService/ListStreams": [{}],
  "OperationsService/ListChannelHealth": [{}],
  "OperationsService/GetBoard": [{ skus: ["CUP"] }, { rows_max: -1 }, { skus: ["CUP"], query: "CUP" }],
  "LiveService/GetReview": [{ session_id: opened.session_id }, {}, { session_id: 999_999 }],
  "AlertService/PreviewRehearsal": [
    ...[{ source }, {}, { source: { built_in: "nope" } }, { source: { session_id: 999_999 } }],
    { source: { ...source, speed: 1e9 } },
  ],
  "AlertService/Rehearse": [
    ...[{ request_id: "node-2", actor: "小美", source }, {}, { request_id: "node-3", actor: "小美" }],
    { request_id: "node-2", actor: "小美", source: { ...source, speed: 999 } },
  ],
};

const answers = {};
const refusals = {};
for (const [path, requests] of Object.entries(ASKED)) {
  const [service, method] = path.split("/");
  answers[method] = await call(service, method, requests[0]);
  refusals[method] = [];
  for (const request of requests.slice(1)) {
    refusals[method].push(await call(service, method, request).then(() => null, refusal));
  }
}
console.log(JSON.stringify({ session_id: opened.session_id, answers, refusals }));
// The reflection client keeps its connection open, and has no way to close it.
process.exit(0);

function call(service, method, request) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + WAIT_MS;
    clients[service][method](request, metadata, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function refusal({ code, details, metadata }) {
  return { code: grpc.status[code], details, rich: metadata.get("grpc-status-details-bin").length };
}
