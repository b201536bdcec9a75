// What is read of one person, as it comes: the last minute as areas, the last window as figures.

import { el } from "./dom.js";
import { t } from "./texts.js";

export const SPAN_S = 60;
const KINDS = ["fused", "voice", "face"];
const LANE = 46, GAP = 8, RULER = 20, ROOM = 52, MARK_S = 15;

/* Colors come from the style sheet, so that light and dark are decided in one place. */
let ink = { emotions: [] };
export function readInk(n) {
  const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(name).trim();
  ink = { quiet: get("--quiet"), gap: get("--gap"), grid: get("--grid"), emotions: Array.from({ length: n }, (_, i) => get(`--e${i}`)) };
}

export class PersonCard {
  constructor(name, emotions, reasons) {
    [this.name, this.emotions, this.reasons] = [name, emotions, reasons];
    this.windows = [];
    this.until = 0;
    this.now = el("span", { class: "live-emotion" });
    this.canvas = el("canvas", { role: "img" });
    this.missing = el("p", { class: "live-missing quiet" });
    this.rows = emotions.map((emotion, number) => this.row(emotion, number));
    this.root = el("article", { class: "live-card" },
      el("h2", {}, name, " ", this.now), this.canvas, this.missing,
      el("table", { class: "live-values" },
        el("caption", { class: "visually-hidden" }, t("live.lastWindow", { name })),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("live.emotion")),
          ...KINDS.map((kind) => el("th", { scope: "col" }, t(`live.kind.${kind}`))))),
        el("tbody", {}, ...this.rows.map((row) => row.line))));
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
    this.now.textContent = shown ? t("live.is", { emotion: shown.emotion, percent: Math.round(100 * shown.share) }) : t("live.nothing");
    const why = ["voice", "face"].filter((kind) => window[kind] === null).map((kind) => [t(`live.kind.${kind}`), this.why(kind, window.reasons)]);
    this.missing.textContent = why.filter(([, reason]) => reason).map((parts) => parts.join(": ")).join(" · ");
    KINDS.forEach((kind, column) => {
      const shares = window[kind];
      this.emotions.forEach((one, number) => {
        const { value, bar } = this.rows[number].cells[column];
        value.textContent = shares === null ? "–" : `${Math.round(100 * shares[one])} %`;
        bar.style.width = shares === null ? "0" : `${100 * shares[one]}%`;
      });
    });
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
    const height = KINDS.length * (LANE + GAP) + RULER;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    // whole pixels of the screen, or seams would show between cells
    const toX = (time) => Math.round(ratio * place(time)) / ratio;
    const place = (time) => ROOM + ((time - this.until + SPAN_S) / SPAN_S) * (width - ROOM);
    KINDS.forEach((kind, number) => this.drawLane(pen, kind, number * (LANE + GAP), toX, width));
    pen.fillStyle = ink.quiet;
    for (let back = SPAN_S; back >= 0; back -= MARK_S) {
      pen.textAlign = back === SPAN_S ? "left" : back ? "center" : "right";
      pen.fillText(back ? t("live.ago", { seconds: back }) : t("live.justNow"), toX(this.until - back), height - RULER / 2);
    }
    canvas.setAttribute("aria-label", t("live.curves", { name: this.name }));
  }

  drawLane(pen, kind, top, toX, width) {
    pen.fillStyle = ink.quiet;
    pen.textAlign = "left";
    pen.fillText(t(`live.kind.${kind}`), 0, top + LANE / 2);
    pen.fillStyle = ink.gap;
    pen.fillRect(ROOM, top, width - ROOM, LANE);
    pen.save();
    pen.beginPath();
    pen.rect(ROOM, top, width - ROOM, LANE);
    pen.clip();
    const middles = this.windows.map((one) => (one.start_s + one.end_s) / 2);
    this.windows.forEach((one, number) => {
      if (one[kind] === null) return;
      // a window is drawn at its middle: its cell reaches halfway to its neighbors, the last one to its end
      const left = number ? (middles[number - 1] + middles[number]) / 2 : one.start_s;
      const right = number < middles.length - 1 ? (middles[number] + middles[number + 1]) / 2 : one.end_s;
      const from = toX(Math.max(left, one.start_s)), to = toX(Math.min(right, one.end_s));
      let y = top + LANE;
      this.emotions.forEach((emotion, index) => {
        const share = one[kind][emotion] * LANE;
        pen.fillStyle = ink.emotions[index];
        pen.fillRect(from, y - share, to - from, share + 0.2);
        y -= share;
      });
    });
    pen.restore();
  }
}
