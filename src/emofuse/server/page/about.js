// What a reading means, what the law asks for, and whose recognizer it is.

import { ask } from "./api.js";
import { button, el, say } from "./dom.js";
import { part, t } from "./texts.js";

export async function show(root) {
  const [{ models }, { purpose }, card] = await Promise.all([ask("/v1/models"), ask("/v1/purpose"), fetch("/v1/models/card")]);
  root.append(el("h1", {}, t("about.title")), ...["means", "law", "people"].map(section));
  root.append(notice(purpose), recognizers(models, card.ok ? await card.text() : null));
}

function section(name) {
  const points = part(`about.${name}.points`), toCheck = points.some((point) => point.check);
  return el("section", {}, el("h2", {}, t(`about.${name}.title`)), toCheck ? el("p", { class: "quiet" }, t("about.checked")) : null,
    el("ul", {}, ...points.map((point) => el("li", {}, typeof point === "string" ? point : point.text,
      ...(point.check ? [" ", el("span", { class: "check" }, t("about.check"))] : [])))));
}

/* A text to give to those who are recorded. */
function notice(purpose) {
  const words = t("about.notice.text", { purpose: purpose || t("about.notice.noPurpose") });
  const text = el("textarea", { id: "notice", rows: 14, "aria-labelledby": "notice-title" });
  text.value = words;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text.value);
      say(t("about.notice.copied"));
    } catch { text.select(); say(t("about.notice.copyByHand")); }
  };
  const save = () => {
    const address = URL.createObjectURL(new Blob([text.value], { type: "text/plain" }));
    el("a", { href: address, download: "notice.txt" }).click();
    URL.revokeObjectURL(address);
  };
  return el("section", {}, el("h2", { id: "notice-title" }, t("about.notice.title")), el("p", {}, t("about.notice.says")), text,
    el("div", { class: "line" }, button(t("about.notice.copy"), copy), button(t("about.notice.save"), save)));
}

const scaleWords = ({ name, range: [low, high] }) => t("about.recognizer.scale", { name, low, high });

function toldApart(model) {
  const values = { name: model.name, modalities: model.modalities.join(", "), emotions: model.emotions.join(", ") };
  return model.emotions.length ? t("about.recognizer.is", values) : t("about.recognizer.reads", values);
}

function recognizers(models, card) {
  return el("section", {}, el("h2", {}, t("about.recognizer.title")), ...models.map((model) => el("p", {},
    toldApart(model), " ",
    model.dimensions ? t("about.recognizer.rates", { scales: model.dimensions.map(scaleWords).join(", ") }) + " " : null,
    el("strong", {}, t("about.recognizer.license", { license: model.license })))),
    card === null ? null : el("details", { id: "card" }, el("summary", {}, t("about.recognizer.card")),
      el("pre", { class: "card", tabindex: "0" }, card)));
}
