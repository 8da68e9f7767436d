// Signing in, where nothing is shown before.
import { h, fill } from "../dom.js";
import { beginSession, errorText, session } from "../session.js";
import { t } from "../words.js";

function mount(root, context) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const name = h("input", { id: "name", name: "name", required: true, maxlength: 100, autocomplete: "username", autofocus: true });
  const token = h("input", { id: "token", name: "token", type: "password", autocomplete: "current-password" });
  const form = h(
    "form",
    { class: "card stack login" },
    h("h1", {}, t("sign.title")),
    h("p", { class: "muted" }, t("sign.text_token")),
    problem,
    h("div", { class: "field" }, h("label", { for: "name" }, t("sign.name")), name),
    h("div", { class: "field" }, h("label", { for: "token" }, t("sign.token")), token, h("small", { class: "muted" }, t("sign.token_hint"))),
    h("button", { class: "button primary wide" }, t("sign.in")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await beginSession(name.value.trim(), token.value.trim());
      // Where he wanted to go, if that is one of our own pages.
      const next = context.query.get("next") || "/";
      location.assign(/^\/(?![/\\])/.test(next) ? next : "/");
    } catch (error) {
      problem.hidden = false;
      fill(problem, errorText(error));
    }
  });
  fill(root, form);
  if (session.actor) name.value = session.actor;
  name.focus();
}

export default { path: "/login", nav: "", mount };
