// Consent to a recording, and how long it is kept.

import { ask, sending } from "./api.js";
import { askFor, button, el, say } from "./dom.js";
import { t } from "./texts.js";

const HOUR_MS = 3600e3;
const TIMES = ["1d", "7d", "30d", "365d"];

/* When a recording is erased, in words; nothing where it is kept. */
export function whenErased(keepUntil) {
  if (!keepUntil) return "";
  const left = new Date(keepUntil) - Date.now(), days = Math.round(left / (24 * HOUR_MS));
  if (left > 24 * HOUR_MS) return t("keeping.inDays", { n: days });
  return t("keeping.inHours", { n: Math.max(1, Math.ceil(left / HOUR_MS)) });
}

/* A line with both, and buttons that change them. */
export function keepingOf(job) {
  const line = el("p", { class: "keeping line" });
  const change = async (data) => {
    show(await ask(`/v1/jobs/${job.id}`, sending("PATCH", data)));
    say(t("keeping.saved"));
  };
  const show = (now) => line.replaceChildren(
    el("span", { class: "quiet" }, now.consent ? t("keeping.consent.is", { consent: now.consent }) : t("keeping.consent.none")),
    button(t("keeping.consent.change"), async () => {
      await askFor(t("keeping.consent.title"), [
        { name: "consent", label: t("keeping.consent.where"), value: now.consent || "", longest: 500 }], words(),
      (given) => change({ consent: given.consent.trim() || null }));
    }),
    el("span", { class: "quiet" }, whenErased(now.keep_until) || t("keeping.forever")),
    button(t("keeping.change"), async () => {
      await askFor(t("keeping.title"), [
        { name: "keep", label: t("keeping.from"), kind: "choice", value: "7d",
          options: [...TIMES.map((time) => [time, t(`keeping.times.${time}`)]), ["", t("keeping.times.forever")]] }], words(),
      (given) => change({ keep: given.keep || null }));
    }));
  show(job);
  return line;
}

const words = () => ({ save: t("recording.save"), cancel: t("recording.cancel"), problem: "" });
