// What a Node peer's script stands on: see desk.py. The working folder is where the peer is installed.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Some peers write to the console; stdout is for what is said.
console.log = console.info = console.error;

export const require = createRequire(`${process.cwd()}/`);

const lines = createInterface({ input: process.stdin });
const ended = new Promise((resolve) => lines.once("close", resolve));

export const brief = await new Promise((resolve) => lines.once("line", (line) => resolve(JSON.parse(line))));

export function say(said) {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

export async function call(name, work) {
  try {
    const said = await work();
    say({ call: name, ok: true, said: said === undefined ? "" : String(said).slice(0, 300) });
  } catch (error) {
    say({ call: name, ok: false, said: String(error?.message ?? JSON.stringify(error)).slice(0, 300) });
  }
}

export function expect(what, found, expected) {
  if (String(found) !== String(expected)) throw new Error(`${what}: ${found}, not ${expected}`);
}

export async function refusal(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("it was let in");
}

export async function waitForTheEnd() {
  await ended;
  process.exit(0);
}

export function end() {
  // What was said must get out first.
  process.stdout.write("", () => process.exit(0));
}

export function wallClock(milliseconds) {
  const text = new Date(milliseconds + 8 * 3_600_000).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)}`;
}
