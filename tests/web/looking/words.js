// Keys without words in one of the languages, or with other places to fill in; and keys that scripts name and nobody has.
async () => {
  const loaded = performance.getEntriesByType("resource").map((entry) => new URL(entry.name).pathname);
  const scripts = [...new Set(loaded.filter((path) => path.endsWith(".js") && path.startsWith("/static/js/")))];
  const { allWords } = await import("/static/js/words.js");
  const words = allWords();
  const wrong = [];
  const places = (text) => [...new Set(text.match(/\{\w+\}/g) || [])].sort().join();
  for (const key of new Set([...Object.keys(words.zh), ...Object.keys(words.en)])) {
    const [zh, en] = [words.zh[key], words.en[key]];
    // What spans are called is English as it is.
    if (zh && key.startsWith("span.")) continue;
    if (!zh || !en) wrong.push(`${key}: only ${zh ? "zh" : "en"}`);
    else if (places(zh) !== places(en)) wrong.push(`${key}: ${places(zh)} and ${places(en)}`);
    else if (!/[\u4e00-\u9fff]/.test(zh) && zh === en && /[a-z]{4}/.test(zh.replace(/\{\w+\}/g, ""))) wrong.push(`${key}: not translated: ${zh}`);
    else if (/[\u4e00-\u9fff]/.test(en)) wrong.push(`${key}: Chinese in en`);
  }
  for (const path of scripts) {
    const text = await (await fetch(path)).text();
    for (const [, key] of text.matchAll(/\bt\(\s*"([^"]+)"/g)) if (!(key in words.zh)) wrong.push(`${path}: ${key} has no words`);
  }
  if (Object.keys(words.zh).length < 20) wrong.push("found no words: this would prove nothing");
  return wrong;
};
