// Now: what needs a look, most pressing first.
import { empty } from "../dialog.js";
import { fill } from "../dom.js";
import { t } from "../words.js";

export const words = {
  zh: { "now.empty": "还没有商品", "now.empty_text": "导入商品和库存后，这里会按轻重缓急列出它们。" },
  en: { "now.empty": "No goods yet", "now.empty_text": "Once there are SKUs with stock they are listed here, most pressing first." },
};

function mount(root) {
  fill(root, empty(t("now.empty"), t("now.empty_text")));
}

export default { path: "/", nav: "now", mount };
