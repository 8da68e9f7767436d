// tmc.js of npm: the message channel by another hand; it confirms each message by itself.
import { brief, call, expect, require, say, waitForTheEnd } from "./desk.mjs";

const Tmc = require("tmc.js");
const client = new (Tmc.default ?? Tmc)(brief.app_key, brief.app_secret);
const waiting = new Set(brief.topics);

await call("messages received", () => {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`nothing of ${[...waiting].join(", ")}`)), brief.seconds_max * 1000).unref();
    for (const topic of brief.topics) {
      client.on(topic, ({ content }) => {
        expect("publisher", content.publisher, brief.app_key);
        expect("seller", content.content.seller_nick, content.nick);
        waiting.delete(topic);
        if (waiting.size === 0) resolve(`${brief.topics.length} topics`);
      });
    }
    client.connect(brief.messages_url);
  });
});
say({ received: true });
await waitForTheEnd();
