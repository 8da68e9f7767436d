// Calls of the gateway's API: `await call("OperationsService/GetBoard", {rows_max: 50})`.
import { look, session, signIn } from "./session.js";

const HTTP_UNAUTHORIZED = 401;
// The gateway answers within thirty seconds, or says that it could not.
const ANSWER_MS_MAX = 35_000;

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

/** Ask for something; throws `ApiError`. It asks nobody who he is: that would come up again and again. */
export async function call(method, body = {}) {
  const answer = await post(method, body);
  if (answer.status === HTTP_UNAUTHORIZED && (await look())) return checked(await post(method, body));
  try {
    return await checked(answer);
  } catch (error) {
    // Another merchant's from now on: what is shown is read anew.
    if (error.reason === "MERCHANT") look();
    throw error;
  }
}

/** Call a method that changes something, in somebody's name: who has not signed in is asked for it. */
export async function change(method, body = {}) {
  const { merchant } = session;
  if (!session.actor && !(await signIn())) throw new ApiError({ reason: "SIGN_IN" });
  let answer = await post(method, body, merchant);
  if (answer.status === HTTP_UNAUTHORIZED && (await signIn())) answer = await post(method, body, merchant);
  try {
    return await checked(answer);
  } catch (error) {
    // Somebody has signed in anew in another tab: that is his token too.
    if (error.reason !== "CSRF" || !(await look())) throw error;
    return checked(await post(method, body, merchant));
  }
}

/** The same with a `request_id`, so that it is done at most once. */
export async function act(method, body = {}) {
  const once = { request_id: newId(), ...body };
  try {
    return await change(method, once);
  } catch (error) {
    // Nobody knows whether it came through: the same id may be sent again.
    if (error instanceof ApiError && error.reason === "NETWORK") return change(method, once);
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

/** `merchant`: whose stock was shown when it was decided; somebody else's is not touched. */
function post(method, body, merchant = session.merchant) {
  return send(`/api/${method}`, "POST", body, merchant);
}

async function send(path, method, body, merchant = "") {
  const headers = { "X-CSRF-Token": token };
  if (merchant) headers["X-Merchant"] = merchant;
  if (method !== "GET") headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, body: method === "GET" ? undefined : JSON.stringify(body ?? {}), signal: AbortSignal.timeout(ANSWER_MS_MAX) });
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
