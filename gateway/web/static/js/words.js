// Words in two languages. Chinese is written first; English is for who chooses it.

const words = { zh: {}, en: {} };
const listeners = new Set();

/** "zh" or "en". */
export function lang() {
  return document.documentElement.lang === "en" ? "en" : "zh";
}

/** Choose the language; the page is built again. */
export function setLang(next) {
  document.documentElement.lang = next === "en" ? "en" : "zh-CN";
  try {
    localStorage.setItem("stockgate.lang", next);
  } catch {
    // Not kept, but chosen.
  }
  for (const listener of listeners) listener();
}

/** Call this when the language changes; returns what ends it. */
export function onLang(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Add the words of a page: `{zh: {"audit.title": "..."}, en: {...}}`. */
export function addWords(more) {
  Object.assign(words.zh, more.zh);
  Object.assign(words.en, more.en);
}

/** What a key says, with `{name}` replaced by `params.name`. A missing word shows its key. */
export function t(key, params) {
  const text = words[lang()][key] ?? words.zh[key] ?? key;
  return params ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole)) : text;
}

/** All words there are, by language and key; not to be changed. */
export function allWords() {
  return words;
}

/** True if there is such a word. */
export function has(key) {
  return key in words.zh;
}

/** Of a message with `text` and `text_en`, the one to show: `pick(decider, "headline")`. */
export function pick(message, name) {
  const other = message[`${name}_en`];
  return lang() === "en" && other ? other : message[name];
}
