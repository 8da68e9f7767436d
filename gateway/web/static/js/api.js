// Calls of the gateway's API: `await call("OperationsService/GetBoard", {rows_max: 50})`.
import { session, signIn } from "./session.js";

const HTTP_UNAUTHORIZED = 401;

/** What the gateway refuses: `reason` from a closed list, `message` for people, `field` of the request at fault. */
export class ApiError extends Error {
  constructor({ reason, message, field, facts }) {
    super(message || reason);
    this.reason = reason || "UNKNOWN";
    this.field = field || "";
    this.facts = facts || {};
  }
}

let token = "";

/** Let calls change things, from now on: the token of who is signed in. */
export function setToken(csrf) {
  token = csrf;
}

/** Call a method; throws `ApiError`. Who is not signed in and has to be is asked for his name, and then it goes on. */
export async function call(method, body = {}) {
  const answer = await post(method, body);
  if (answer.status === HTTP_UNAUTHORIZED && (await signIn())) return checked(await post(method, body));
  return checked(answer);
}

/** Call a method that changes something: in somebody's name, and with a `request_id`, so that it is done at most once. */
export async function act(method, body = {}) {
  if (!session.actor && !(await signIn())) throw new ApiError({ reason: "SIGN_IN" });
  const once = { request_id: newId(), ...body };
  try {
    return await call(method, once);
  } catch (error) {
    // Nobody knows whether it came through: the same id may be sent again.
    if (error instanceof ApiError && error.reason === "NETWORK") return call(method, once);
    throw error;
  }
}

/** GET, POST or DELETE of one of the page's own addresses; throws `ApiError`. */
export async function ask(path, { method = "GET", body } = {}) {
  return checked(await send(path, method, body));
}

/** An id nobody else makes; `crypto.randomUUID` is missing where there is no TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function post(method, body) {
  return send(`/api/${method}`, "POST", body);
}

async function send(path, method, body) {
  const headers = { "X-CSRF-Token": token };
  if (method !== "GET") headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, body: method === "GET" ? undefined : JSON.stringify(body ?? {}) });
  } catch {
    throw new ApiError({ reason: "NETWORK", message: "the gateway does not answer" });
  }
}

async function checked(answer) {
  let content = {};
  try {
    content = await answer.json();
  } catch {
    content = { reason: "HTTP", message: `${answer.status} ${answer.statusText}` };
  }
  if (!answer.ok) throw new ApiError(content);
  return content;
}
