// Studies: all of them, and how a new one begins.

import { ask, sending } from "./api.js";
import { asked, button, by, el, say } from "./dom.js";
import { t } from "./texts.js";

export async function show(root) {
  const list = el("ul", { id: "studies" }), none = el("p", { class: "quiet" }, t("studies.none"));
  const name = el("input", { id: "study-name", maxlength: 200, required: true, autocomplete: "off" });

  async function make(event) {
    event.preventDefault();
    try {
      const study = await ask("/v1/studies", sending("POST", { name: name.value }));
      location.hash = `#/study/${study.id}`;
    } catch (error) { say(error instanceof TypeError ? t("silent") : error.message); }
  }

  async function erase(study) {
    if (!(await asked(t("studies.eraseQuestion", { name: study.name }), t("studies.erase"), t("studies.keep")))) return;
    try {
      await ask(`/v1/studies/${study.id}`, { method: "DELETE" });
      await look();
      say(t("studies.erased", { name: study.name }));
      by("studies-title").focus();
    } catch (error) { say(error instanceof TypeError ? t("silent") : error.message); }
  }

  async function look() {
    const { studies } = await ask("/v1/studies");
    none.hidden = studies.length > 0;
    list.replaceChildren(...studies.reverse().map((study) => el("li", { class: "line", "data-id": study.id },
      el("a", { class: "name", href: `#/study/${study.id}` }, study.name),
      el("span", { class: "quiet" }, t("studies.facts", { n: study.n_recordings, date: new Date(study.created).toLocaleDateString() })),
      button(t("studies.erase"), () => erase(study), { about: study.name }))));
  }

  root.append(el("h1", {}, t("studies.title")), el("p", { class: "quiet" }, t("studies.says")),
    el("form", { class: "panel", id: "study-form", submit: make },
      el("label", { for: "study-name" }, t("studies.name")),
      el("div", { class: "line" }, name, el("button", { class: "main" }, t("studies.make")))),
    el("section", { "aria-labelledby": "studies-title" },
      el("h2", { id: "studies-title", tabindex: "-1" }, t("studies.list")), none, list));
  await look();
}
