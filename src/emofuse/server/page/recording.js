// One recording: what was read of it, beside its picture.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { t } from "./texts.js";

export async function show(root, [id]) {
  const [job, results] = await Promise.all([ask(`/v1/jobs/${id}`), ask(`/v1/jobs/${id}/results`)]);
  root.append(el("h1", {}, job.name), exportsOf(results));
}

/* Every export, with the names and exclusions applied. */
function exportsOf({ results }) {
  return el("section", { "aria-labelledby": "exports-title" }, el("h2", { id: "exports-title" }, t("recording.exports.title")),
    el("p", { class: "quiet" }, t("recording.exports.says")),
    el("ul", { class: "formats" }, ...results.map((result) => el("li", {},
      el("a", { href: result.url, download: result.format === "html" ? null : "", target: result.format === "html" ? "_blank" : null },
        t(`recording.exports.format.${result.format}`)), " ", el("span", { class: "quiet" }, result.name)))));
}
