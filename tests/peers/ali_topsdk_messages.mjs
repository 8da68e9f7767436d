// ali-topsdk's message channel: TopLink over a WebSocket, one frame per message, each confirmed.
import { brief, call, expect, require, say, waitForTheEnd } from "./desk.mjs";

// It was written for ws 2, which said with each message whether it is binary, and asks for ws 3, which does not.
const WebSocket = require("ws");
const { emit } = WebSocket.prototype;
WebSocket.prototype.emit = function emitWithFlags(event, data, ...more) {
  const flags = event === "message" && more.length === 0 ? [{ binary: Buffer.isBuffer(data) }] : more;
  return emit.call(this, event, data, ...flags);
};

const { TmcClient } = require("ali-topsdk");
const client = new TmcClient(brief.app_key, brief.app_secret, "default");
const waiting = new Set(brief.topics);

await call("messages received", () => {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`nothing of ${[...waiting].join(", ")}`)), brief.seconds_max * 1000).unref();
    client.connect(brief.messages_url, (message, confirm) => {
      const content = JSON.parse(message.content);
      expect("publisher", message.publisher, brief.app_key);
      if (message.topic.startsWith("taobao_trade_")) expect("seller", content.seller_nick, message.nick);
      waiting.delete(message.topic);
      confirm();
      if (waiting.size === 0) resolve(`${brief.topics.length} topics`);
    });
  });
});
say({ received: true });
await waitForTheEnd();
