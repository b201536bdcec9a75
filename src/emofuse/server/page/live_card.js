// What is read of one person, as it comes: the last minute as areas, the last window as figures.

import { button, el } from "./dom.js";
import { t } from "./texts.js";

export const SPAN_S = 60;
const KINDS = ["fused", "voice", "face"];
const LANE = 46, RATING = 40, GAP = 8, RULER = 20, ROOM = 52, MOST_ROOM = 110, MARK_S = 15;
const MOST_ROWS = 12; // of many labels, the table has those that were highest in the last minute

/* Colors come from the style sheet, so that light and dark are decided in one place. */
let ink = { emotions: [] };
export function readInk(n) {
  const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(name).trim();
  ink = { text: get("--text"), hatch: get("--hatch"), paper: get("--paper"), quiet: get("--quiet"), gap: get("--gap"), grid: get("--grid"), emotions: Array.from({ length: n }, (_, i) => get(`--e${i}`)) };
}

export class PersonCard {
  /* scales: numeric ones, {name, low, high, level}; without emotions there are only these. */
  constructor(name, emotions, reasons, scales = []) {
    [this.name, this.emotions, this.reasons, this.scales] = [name, emotions, reasons, scales];
    this.windows = [];
    this.until = 0;
    this.now = el("span", { class: "live-emotion" });
    this.canvas = el("canvas", { role: "img" });
    this.missing = el("p", { class: "live-missing quiet" });
    this.rows = emotions.map((emotion, number) => this.row(emotion, number));
    const words = (key, values) => t(`live.${key}`, values);
    this.rated = scales.map((scale) => globalThis.emofuseViewer.ratingItem(words, scale));
    this.root = el("article", { class: "live-card" },
      el("h2", {}, name, " ", this.now), this.canvas, this.missing,
      scales.length ? el("ul", { class: "ratings", "aria-label": t("live.ratings", { name }) }, ...this.rated.map(({ item }) => item)) : null,
      emotions.length ? el("table", { class: "live-values" },
        el("caption", { class: "visually-hidden" }, t("live.lastWindow", { name })),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("live.emotion")),
          ...KINDS.map((kind) => el("th", { scope: "col" }, t(`live.kind.${kind}`))))),
        el("tbody", {}, ...this.rows.map((row) => row.line))) : null);
    if (emotions.length <= MOST_ROWS) return;
    this.allButton = button("", () => this.showAll(!this.all), { class: "live-all" });
    this.root.append(this.allButton);
    this.showAll(false);
  }

  row(emotion, number) {
    const cells = KINDS.map(() => ({ value: el("span"), bar: el("i") }));
    const line = el("tr", { class: `e${number}` },
      el("th", { scope: "row" }, el("span", { class: "live-key" }), emotion),
      ...cells.map(({ value, bar }) => el("td", {}, value, el("span", { class: "live-bar", "aria-hidden": "true" }, bar))));
    return { line, cells };
  }

  /* The emotion of the last window, from voice and face together, and its color. */
  get emotion() { return this.windows.at(-1)?.shown?.emotion; }
  get color() { return ink.emotions[this.emotions.indexOf(this.windows.at(-1)?.emotion)]; }

  add(window) {
    this.windows.push(window);
    const { shown } = window;
    this.now.textContent = shown ? t("live.is", { emotion: shown.emotion, percent: Math.round(100 * shown.share) })
      : !this.emotions.length && window.dimensions ? "" : t("live.nothing");
    this.rated.forEach(({ show }, k) => show(ratingOf(window, this.scales[k])));
    const why = ["voice", "face"].filter((kind) => !this.emotions.length || window[kind] === null).map((kind) => [t(`live.kind.${kind}`), this.why(kind, window.reasons)]);
    this.missing.textContent = why.filter(([, reason]) => reason).map((parts) => parts.join(": ")).join(" · ");
    if (this.allButton) this.showRows();
    KINDS.forEach((kind, column) => {
      const shares = window[kind];
      this.emotions.forEach((one, number) => {
        const { value, bar } = this.rows[number].cells[column];
        value.textContent = shares === null ? "–" : `${Math.round(100 * shares[one])} %`;
        bar.style.width = shares === null ? "0" : `${100 * shares[one]}%`;
      });
    });
  }

  /* All rows, or those of the labels that were highest. */
  showAll(all) {
    this.all = all;
    const text = all ? t("live.highest", { n: MOST_ROWS }) : t("live.allLabels", { n: this.emotions.length });
    this.allButton.textContent = text;
    this.allButton.setAttribute("aria-label", `${text}: ${this.name}`);
    this.showRows();
  }
  showRows() {
    const shares = this.windows.flatMap((one) => KINDS.map((kind) => one[kind]).filter(Boolean));
    const highest = this.emotions.map((emotion) => Math.max(0, ...shares.map((one) => one[emotion])));
    const order = [...highest.keys()].sort((a, b) => highest[b] - highest[a]), shown = new Set(order.slice(0, MOST_ROWS));
    this.rows.forEach(({ line }, number) => { line.hidden = !this.all && !shown.has(number); });
  }

  /* Why a kind could not be read, in the service's words. */
  why(kind, codes) {
    return codes.filter((code) => code.startsWith(`${kind}:`)).map((code) => this.reasons[code] || code).join("; ");
  }

  /* Show the minute up to a time; a person of whom nothing came in it is not shown. */
  showUntil(time) {
    this.until = time;
    this.windows = this.windows.filter((one) => one.end_s > time - SPAN_S - 5);
    this.root.hidden = !this.windows.length;
    this.draw();
  }

  draw() {
    const { canvas } = this, ratio = devicePixelRatio || 1, width = canvas.clientWidth;
    if (!width) return;
    const kinds = this.emotions.length ? KINDS : [], lanes = kinds.length * (LANE + GAP);
    const height = lanes + this.scales.length * (RATING + GAP) + RULER;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const names = this.scales.map((scale) => pen.measureText(scale.name).width + 8);
    this.room = Math.min(MOST_ROOM, Math.max(ROOM, ...names));
    // whole pixels of the screen, or seams would show between cells
    const toX = (time) => Math.round(ratio * place(time)) / ratio;
    const place = (time) => this.room + ((time - this.until + SPAN_S) / SPAN_S) * (width - this.room);
    kinds.forEach((kind, number) => this.drawLane(pen, this.kindLane(pen, kind, number * (LANE + GAP)), toX, width));
    this.scales.forEach((scale, number) => this.drawLane(pen, this.ratingLane(pen, scale, lanes + number * (RATING + GAP)), toX, width));
    pen.fillStyle = ink.quiet;
    for (let back = SPAN_S; back >= 0; back -= MARK_S) {
      pen.textAlign = back === SPAN_S ? "left" : back ? "center" : "right";
      pen.fillText(back ? t("live.ago", { seconds: back }) : t("live.justNow"), toX(this.until - back), height - RULER / 2);
    }
    canvas.setAttribute("aria-label", t(this.emotions.length ? "live.curves" : "live.ratingCurves", { name: this.name }));
  }

  /* A lane with its name; draw(from, to, window) paints the cell of each window that has something to show. */
  drawLane(pen, { name, top, height, has, draw }, toX, width) {
    const { room } = this;
    pen.fillStyle = ink.quiet;
    pen.textAlign = "left";
    pen.fillText(name, 0, top + height / 2, room - 6);
    pen.fillStyle = ink.gap;
    pen.fillRect(room, top, width - room, height);
    pen.save();
    pen.beginPath();
    pen.rect(room, top, width - room, height);
    pen.clip();
    const middles = this.windows.map((one) => (one.start_s + one.end_s) / 2);
    this.windows.forEach((one, number) => {
      if (!has(one)) return;
      // a window is drawn at its middle: its cell reaches halfway to its neighbors, the last one to its end
      const left = number ? (middles[number - 1] + middles[number]) / 2 : one.start_s;
      const right = number < middles.length - 1 ? (middles[number] + middles[number + 1]) / 2 : one.end_s;
      draw(toX(Math.max(left, one.start_s)), toX(Math.min(right, one.end_s)), one);
    });
    pen.restore();
  }

  /* The probabilities of a kind, one above the other. */
  kindLane(pen, kind, top) {
    const draw = (from, to, one) => {
      let y = top + LANE;
      this.emotions.forEach((emotion, index) => {
        const share = one[kind][emotion] * LANE;
        pen.fillStyle = ink.emotions[index];
        pen.fillRect(from, y - share, to - from, share + 0.2);
        y -= share;
      });
    };
    return { name: t(`live.kind.${kind}`), top, height: LANE, has: (one) => one[kind] !== null, draw };
  }

  /* The ratings on a scale, as a line in the band of its interval. */
  ratingLane(pen, scale, top) {
    const y = (value) => top + RATING * (1 - Math.min(1, Math.max(0, (value - scale.low) / (scale.high - scale.low))));
    const draw = (from, to, one) => {
      const [value, low, high] = ratingOf(one, scale).map(y);
      pen.fillStyle = ink.paper;
      pen.fillRect(from, top, to - from, RATING);
      pen.fillStyle = ink.hatch;
      pen.globalAlpha = 0.45;
      pen.fillRect(from, high, to - from, low - high);
      pen.globalAlpha = 1;
      pen.fillStyle = ink.text;
      pen.fillRect(from, value - 1, to - from, 2);
    };
    return { name: scale.name, top, height: RATING, has: (one) => ratingOf(one, scale) !== null, draw };
  }
}

/* Value, low and high of a window on a scale; null: not rated. */
function ratingOf(window, { name }) {
  const found = window.dimensions?.[name];
  return found ? [found.value, found.low, found.high] : null;
}
