// What comes out of a study: means of conditions and curves around markers, as pictures and tables; all files.

import { Refused } from "./api.js";
import { el } from "./dom.js";
import { t } from "./texts.js";

const WAIT_MS = 1200; // several changes in a row are one

export class StudyResults {
  constructor(study) {
    this.study = study;
    this.waiting = 0;
    this.number = 0;
    this.loading = Promise.resolve();
    this.state = el("p", { class: "quiet", role: "status" });
    this.shown = el("div", { id: "study-shown" });
    this.files = el("dl", { class: "study-files" }, ...study.results.flatMap(({ result, name, url }) => {
      const which = result.replace(".svg", "Picture");
      return [el("dt", {}, el("a", { class: result === "summary" ? "open" : "open other", href: url, download: name, "data-result": result }, t(`study.result.${which}.name`))),
        el("dd", {}, t(`study.result.${which}.says`))];
    }));
    this.root = el("section", { "aria-labelledby": "results-title" },
      el("h2", { id: "results-title" }, t("study.results")), this.state, this.shown,
      el("h3", {}, t("study.files")), el("p", { class: "quiet" }, t("study.filesSay")), this.files);
  }

  end() {
    clearTimeout(this.waiting);
    this.ended = true;
  }

  /* Ask for nothing from now on, until the next refresh. */
  async pause() {
    clearTimeout(this.waiting);
    await this.loading;
    await Promise.all([...this.shown.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
  }

  /* Show the results of the study as it is now, once it has not changed for a moment. */
  refresh(study, wait = WAIT_MS) {
    this.study = study;
    clearTimeout(this.waiting);
    const n = study.recordings.filter(({ state }) => state === "done").length;
    this.files.hidden = !study.recordings.length;
    if (!n) {
      this.state.textContent = t("study.nothingRead");
      this.shown.replaceChildren();
      return;
    }
    this.waiting = setTimeout(() => { this.loading = this.load(); }, wait);
  }

  async load() {
    const number = ++this.number;
    this.state.textContent = t("study.making");
    this.shown.setAttribute("aria-busy", "true");
    try {
      const conditions = rowsOf(await this.text("conditions"));
      const isMarked = this.study.recordings.some(({ n_markers: n }) => n);
      const markers = isMarked ? rowsOf(await this.text("markers")) : [];
      if (number !== this.number || this.ended) return;
      const open = new Set([...this.shown.querySelectorAll("details[open]")].map((one) => one.id));
      this.shown.replaceChildren(
        el("h3", {}, t("study.conditions.title")), el("p", { class: "quiet" }, t("study.conditions.says")),
        this.picture("conditions.svg", t("study.conditions.alt"), number),
        this.details("means", t("study.conditions.table"), meansTable(conditions), open),
        el("h3", {}, t("study.markers.title")), ...(markers.length ? [
          el("p", { class: "quiet" }, t("study.markers.says")), this.picture("markers.svg", t("study.markers.alt"), number),
          this.details("curves", t("study.markers.table"), curvesTable(markers), open),
        ] : [el("p", { class: "quiet" }, isMarked ? t("study.markers.unread") : t("study.markers.none"))]));
      this.state.textContent = "";
    } catch (error) {
      if (number === this.number && !this.ended) this.state.textContent = error instanceof TypeError ? t("silent") : error.message;
    }
    if (number === this.number) this.shown.removeAttribute("aria-busy");
  }

  address(result) { return this.study.results.find((one) => one.result === result).url; }

  async text(result) {
    const reply = await fetch(this.address(result), { credentials: "same-origin" });
    if (!reply.ok) throw new Refused(reply.status, (await reply.json().catch(() => ({}))).detail || reply.statusText);
    return reply.text();
  }

  picture(result, alt, number) {
    const address = this.address(result);
    return el("div", { class: "scroll picture", tabindex: "0", role: "region", "aria-label": alt }, el("picture", {},
      el("source", { media: "(prefers-color-scheme: dark)", srcset: `${address}?dark=true&again=${number}` }),
      el("img", { src: `${address}?again=${number}`, alt })));
  }

  details(id, title, table, open) {
    const details = el("details", { id }, el("summary", {}, title), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table));
    details.open = open.has(id);
    return details;
  }
}

const percent = (share) => (share === "" ? "–" : `${(100 * share).toFixed(0)} %`);
const withInterval = (row, mean, low, high) => [percent(row[mean]), ...(row[low] === "" ? [] : [el("span", { class: "interval" },
  t("study.interval", { low: percent(row[low]).replace(" %", ""), high: percent(row[high]) }))])];
const headRow = (names) => el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, el("span", { class: "head" }, name)))));
/* The labels that have a column with its bounds: a label itself may end like the name of a bound. */
const labelsOf = (row, prefix, hasBounds) => Object.keys(row).filter((column) => column.startsWith(prefix)).map((column) => column.slice(prefix.length)).filter(hasBounds);
const who = (row) => (row.level === "everybody" ? t("study.everybody") : row.person);

function meansTable(rows) {
  if (!rows.length) return el("p", { class: "quiet" }, t("study.nothingRead"));
  const emotions = labelsOf(rows[0], "share_", (name) => `share_${name}_low` in rows[0]);
  return el("table", {}, headRow([t("study.column.condition"), t("study.column.who"), t("study.column.n"),
    ...emotions.map((name) => (name === "abstained" ? t("study.notSure") : name))]), el("tbody", {}, ...rows.map((row) => el("tr", { class: row.level },
    el("th", { scope: "row" }, row.condition || t("study.noCondition")), el("td", {}, who(row)),
    el("td", {}, row.level === "everybody" ? [t("study.nPeople", { n: Number(row.n_people) }), t("study.nRecordings", { n: Number(row.n_recordings) })].join(", ")
      : t("study.nRecordings", { n: Number(row.n_recordings) })),
    ...emotions.map((name) => el("td", {}, ...withInterval(row, `share_${name}`, `share_${name}_low`, `share_${name}_high`)))))));
}

function curvesTable(rows) {
  const emotions = labelsOf(rows[0], "mean_", (name) => `low_${name}` in rows[0]), all = rows.filter((row) => row.level === "everybody");
  return el("table", {}, headRow([t("study.column.marker"), t("study.column.condition"), t("study.column.offset"), t("study.column.n"), ...emotions]),
    el("tbody", {}, ...all.map((row) => el("tr", {},
      el("th", { scope: "row" }, row.marker), el("td", {}, row.condition || t("study.noCondition")), el("td", {}, `${Number(row.offset_s)} s`),
      el("td", {}, t("study.nMarkers", { n: Number(row.n_markers) })),
      ...emotions.map((name) => el("td", {}, ...withInterval(row, `mean_${name}`, `low_${name}`, `high_${name}`)))))));
}

/* The rows of a CSV table by the names of its columns; an apostrophe that keeps a spreadsheet from calculating is taken off. */
export function rowsOf(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    const cell = quoted === undefined ? plain : quoted.replaceAll('""', '"');
    rows.at(-1).push(cell.replace(/(^|[;\t])'(?='*[^\S\t]*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1"));
    if (end === "") break;
    if (end !== ",") rows.push([]);
  }
  const [head, ...found] = rows.filter((row) => row.length > 1);
  return found.map((row) => Object.fromEntries(head.map((name, place) => [name, row[place]])));
}
