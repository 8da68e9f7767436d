// Who is looking, and who acts.
import { ApiError, ask as request, setToken } from "./api.js";
import { ask } from "./dialog.js";
import { t } from "./words.js";

const listeners = new Set();

/** Who is at this page: `actor` is empty for who only looks. */
export const session = { merchant: "", actor: "", needs_token: false, version: "" };

/** Call this when somebody has signed in or out. */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Ask the gateway who we are; throws `ApiError` if nothing is shown to us. */
export async function readSession() {
  take(await request("/session"));
}

/** Look again who we are; false if nothing is shown to us any more: then the page is left for signing in. */
export async function look() {
  try {
    await readSession();
    return true;
  } catch (error) {
    if (error.reason === "SIGN_IN") toLogin();
    return false;
  }
}

/** Sign in, and come back to where one is. What somebody has begun to type is left to him. */
export function toLogin() {
  if (location.pathname === "/login" || document.querySelector("dialog[open]")) return;
  location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
}

let asking = null;

/** Ask for a name (and a token, where one is needed), once at a time; false if the person thinks better of it. */
export function signIn() {
  asking ??= askWho().finally(() => {
    asking = null;
  });
  return asking;
}

async function askWho() {
  let problem = "";
  for (;;) {
    const said = await ask({
      title: t("sign.title"),
      text: problem || t(session.needs_token ? "sign.text_token" : "sign.text"),
      is_problem: Boolean(problem),
      fields: [
        { name: "name", label: t("sign.name"), required: true, maxlength: 100, autocomplete: "username" },
        ...(session.needs_token
          ? [{ name: "token", label: t("sign.token"), required: true, type: "password", autocomplete: "current-password" }]
          : []),
      ],
      confirm: t("sign.in"),
    });
    if (!said) return false;
    try {
      await beginSession(said.name, said.token || "");
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem = errorText(error);
    }
  }
}

/** Sign in; throws `ApiError`. */
export async function beginSession(name, token) {
  take(await request("/session", { method: "POST", body: { name, token } }));
}

/** Sign out. */
export async function signOut() {
  await request("/session", { method: "DELETE" });
  await look();
}

/** What an error says to a person. */
export function errorText(error) {
  const known = `error.${error.reason}`;
  const text = t(known);
  if (text === known) return error.message;
  // Only the gateway knows which content is wrong, and why.
  return error.reason === "INVALID_ARGUMENT" ? `${text}${error.field ? ` (${error.field})` : ""}: ${error.message}` : text;
}

function take(found) {
  Object.assign(session, found);
  setToken(found.csrf);
  for (const listener of listeners) listener();
}
