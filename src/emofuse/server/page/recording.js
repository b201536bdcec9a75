// One recording: the viewer, and all that can be changed about it.

import { Annotations } from "./annotations.js";
import { ask, Refused } from "./api.js";
import { askFor, button, el, preciseClock, say } from "./dom.js";
import { keepingOf } from "./keeping.js";
import { t, viewerTexts } from "./texts.js";

const LEFT_OUT_S = 30; // suggested where nothing is selected
const GROUPS = { tables: ["csv", "summary-csv", "windows-csv", "markers-csv"], look: ["html", "png", "svg", "vtt"] };
const LONGEST = { name: 200, reason: 500, text: 2000 };

export async function show(root, [id]) {
  const [job, results, first] = await Promise.all([ask(`/v1/jobs/${id}`), ask(`/v1/jobs/${id}/results`), ask(`/v1/jobs/${id}/view`)]);
  const annotations = new Annotations(id, first.original_people);
  await annotations.load();
  return new Recording(root, job, results, first.view, annotations).end;
}

class Recording {
  constructor(root, job, results, view, annotations) {
    Object.assign(this, { root, job, annotations });
    this.place = el("div", { id: "viewer" });
    this.tools = el("div", { id: "tools", class: "line", role: "toolbar", "aria-label": t("recording.tools") });
    root.append(el("p", {}, el("a", { href: "#/" }, t("recording.back"))), this.place, exportsOf(results), keepingOf(job));
    this.viewer = globalThis.emofuseViewer.mount(this.place, view, { texts: viewerTexts(), media: `/v1/jobs/${job.id}/media` });
    this.makeTools();
    for (const part of ["people", "marks"]) this.addButtons(part);
    this.viewer.addEventListener("rows", ({ detail }) => this.addButtons(detail.part));
    annotations.addEventListener("change", () => this.showTools());
    this.onKey = (event) => this.pressed(event);
    document.addEventListener("keydown", this.onKey);
    this.end = () => { document.removeEventListener("keydown", this.onKey); this.viewer.close(); };
  }

  // --- changes

  /* Make a change, and show what came of it. Raises an error, in words, if nothing did. */
  async change(act, done) {
    say(t("recording.saving"));
    let problem = null;
    try { await act(); } catch (error) { problem = error.status === 412 ? new Error(t("recording.changedMeanwhile")) : error; }
    if (!problem || problem.status === undefined) await this.showAgain().catch((error) => { problem = problem || error; });
    this.showTools();
    say(problem ? "" : done);
    if (problem) throw problem;
  }

  async showAgain() {
    const focus = placeOfFocus();
    this.viewer.update((await ask(`/v1/jobs/${this.job.id}/view`)).view);
    focusAgain(focus);
  }

  /* The same for a button, which has no dialog to show a problem in. */
  async press(act, done) {
    try { await this.change(act, done); } catch (error) { say(error.message); }
  }

  async rename(person) {
    const known = (await ask("/v1/people").catch(() => ({ people: [] }))).people.map((one) => one.name);
    await this.askFor(t("recording.rename.title", { name: this.annotations.shownName(person) }), [
      { name: "name", label: t("recording.rename.name"), value: this.annotations.shownName(person), needed: true, longest: LONGEST.name, list: known },
    ], (given) => this.change(() => this.annotations.rename(person, given.name.trim()), t("recording.rename.done", { name: given.name.trim() })));
  }

  async merge(person) {
    const name = this.annotations.shownName(person), others = this.annotations.left().filter((one) => one !== person);
    await this.askFor(t("recording.merge.title", { name }), [
      { name: "into", label: t("recording.merge.into", { name }), kind: "choice", options: others.map((one) => [one, this.annotations.shownName(one)]) },
    ], (given) => this.change(() => this.annotations.merge(person, given.into), t("recording.merge.done", { name, into: this.annotations.shownName(given.into) })),
    t("recording.merge.act"));
  }

  async leaveOut(old = null) {
    const span = old || this.spanNow(), end = span.end_s ?? span.start_s + LEFT_OUT_S;
    await this.askFor(old ? t("recording.excluded.change") : t("recording.excluded.title"), [
      { name: "start_s", label: t("recording.from"), kind: "time", value: preciseClock(span.start_s), needed: true, example: "1:02.5" },
      { name: "end_s", label: t("recording.to"), kind: "time", value: preciseClock(end), needed: true, example: "1:32.5" },
      { name: "person", label: t("recording.excluded.whose"), kind: "choice", value: (old && old.person) || "",
        options: [["", t("recording.excluded.everybody")], ...this.annotations.left().map((one) => [one, this.annotations.shownName(one)])] },
      { name: "reason", label: t("recording.excluded.reason"), value: old ? old.reason : "", needed: true, longest: LONGEST.reason },
    ], (given) => {
      checkOrder(given);
      const made = { start_s: given.start_s, end_s: given.end_s, reason: given.reason, person: given.person || null };
      return this.change(() => (old ? this.annotations.replace("excluded", old, made) : this.annotations.add("excluded", made)), t("recording.excluded.done"));
    });
  }

  async mark(old = null) {
    const span = old || { ...this.spanNow(), ...(this.viewer.selection ? {} : { end_s: null }) };
    await this.askFor(old ? t("recording.marker.change") : t("recording.marker.title"), [
      { name: "text", label: t("recording.marker.text"), value: old ? old.text : "", needed: true, longest: LONGEST.text },
      { name: "start_s", label: t("recording.marker.at"), kind: "time", value: preciseClock(span.start_s), needed: true, example: "1:02.5" },
      { name: "end_s", label: t("recording.marker.until"), kind: "time", value: span.end_s === null || span.end_s === undefined ? "" : preciseClock(span.end_s) },
    ], (given) => {
      checkOrder(given);
      const made = { start_s: given.start_s, end_s: given.end_s ?? null, text: given.text };
      return this.change(() => (old ? this.annotations.replace("markers", old, made) : this.annotations.add("markers", made)), t("recording.marker.done"));
    });
  }

  askFor(title, fields, act, save = t("recording.save")) {
    return askFor(title, fields, { save, cancel: t("recording.cancel"), problem: t("recording.noTime") }, act);
  }

  /* What is selected, or begins at the cursor. */
  spanNow() {
    const chosen = this.viewer.selection, tenth = (time) => Math.round(time * 10) / 10;
    return chosen ? { start_s: tenth(chosen.start), end_s: tenth(chosen.end) } : { start_s: tenth(this.viewer.cursor) };
  }

  // --- buttons

  makeTools() {
    const undo = () => this.press(() => this.annotations.undo(), t("recording.undone"));
    const redo = () => this.press(() => this.annotations.redo(), t("recording.redone"));
    this.undo = button(t("recording.undo"), undo, { id: "undo", title: "Ctrl+Z" });
    this.redo = button(t("recording.redo"), redo, { id: "redo", title: "Ctrl+Shift+Z" });
    this.tools.append(
      button(t("recording.marker.add"), () => this.mark(), { id: "add-marker", title: "M" }),
      button(t("recording.excluded.add"), () => this.leaveOut(), { id: "leave-out", title: "X" }),
      this.undo, this.redo);
    this.place.querySelector("[data-tools]").append(this.tools);
    this.showTools();
  }

  showTools() {
    this.undo.disabled = !this.annotations.past.length;
    this.redo.disabled = !this.annotations.future.length;
  }

  /* Beside what the viewer shows of people and marks, the ways to change it. */
  addButtons(part) {
    if (part === "people") for (const row of this.place.querySelectorAll("table.people [data-person]")) this.addToPerson(row);
    if (part === "marks") for (const row of this.place.querySelectorAll("table.marks [data-mark]")) this.addToMark(row);
  }

  addToPerson(row) {
    const name = row.dataset.person, person = this.annotations.called(name);
    if (person === undefined || row.querySelector(".row-actions")) return;
    const split = (one) => button(t("recording.split.act", { name: one }),
      () => this.press(() => this.annotations.split(one), t("recording.split.done", { name: one })), { about: name, "data-key": `split ${one}` });
    row.querySelector("th").append(el("div", { class: "row-actions" },
      button(t("recording.rename.act"), () => this.rename(person), { about: name, "data-key": `rename ${person}` }),
      this.annotations.left().length > 1
        ? button(t("recording.merge.act"), () => this.merge(person), { about: name, "data-key": `merge ${person}` }) : null,
      ...this.annotations.mergedInto(person).map(split)));
  }

  addToMark(row) {
    const found = this.markOf(row);
    if (!found || row.querySelector(".row-actions")) return;
    const [kind, mark] = found, about = mark.text || mark.reason, key = row.dataset.mark;
    const edit = () => (kind === "markers" ? this.mark(mark) : this.leaveOut(mark));
    row.lastElementChild.append(el("div", { class: "row-actions" },
      button(t("recording.edit"), edit, { about, "data-key": `edit ${key}` }),
      button(t("recording.remove"), () => this.press(() => this.annotations.remove(kind, mark), t("recording.removed")), { about, "data-key": `remove ${key}` })));
  }

  /* The marker or excluded span that a row shows: those of a kind are shown in their order. */
  markOf(row) {
    const [kind, number] = row.dataset.mark.split(" ");
    const mark = this.annotations.data[kind] && this.annotations.data[kind][Number(number)];
    return mark ? [kind, mark] : null;
  }

  pressed(event) {
    const at = event.target;
    if (at.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") {
      event.preventDefault();
      (event.shiftKey ? this.redo : this.undo).click();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && (key === "m" || key === "x")) {
      event.preventDefault();
      if (key === "m") this.mark(); else this.leaveOut();
    }
  }
}

/* After an update the same button has the focus, though it is another element. */
const placeOfFocus = () => document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key || document.activeElement.id : null;
function focusAgain(key) {
  if (!key) return;
  const found = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key) || document.getElementById(key);
  if (found) found.focus();
}

function checkOrder({ start_s, end_s }) {
  if (end_s !== undefined && end_s !== null && end_s <= start_s)
    throw new Error(t("recording.endsBefore", { from: preciseClock(start_s), to: preciseClock(end_s) }));
}

/* Every export, with the names and exclusions applied: what most people look for first. */
function exportsOf({ results }) {
  const of = Object.fromEntries(results.map((result) => [result.format, result]));
  const rest = results.map((result) => result.format).filter((format) => !Object.values(GROUPS).flat().includes(format));
  const link = (format) => el("li", {},
    el("a", { href: of[format].url, download: format === "html" ? null : "", target: format === "html" ? "_blank" : null },
      t(`recording.exports.format.${format}`)), " ", el("span", { class: "quiet" }, of[format].name));
  const group = (name, formats) => [el("h3", {}, t(`recording.exports.group.${name}`)), el("ul", { class: "formats" }, ...formats.map(link))];
  return el("section", { "aria-labelledby": "exports-title" }, el("h2", { id: "exports-title" }, t("recording.exports.title")),
    el("p", { class: "quiet" }, t("recording.exports.says")),
    ...Object.entries(GROUPS).flatMap(([name, formats]) => group(name, formats.filter((format) => of[format]))), ...group("programs", rest));
}
