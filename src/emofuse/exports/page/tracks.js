/* The tracks of a timeline on a canvas: ruler, waveform, speech, curves, segments and markers. */

const LEVELS = [0.25, 0.5, 0.75], // of the grid behind the lines
  LABEL = 18, NARROW = 4, // pixels between points, below which curves are drawn by columns
  FONT = "system-ui, sans-serif";
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000];

/* A canvas of a size in CSS pixels, cleared; its memory is taken again only when the size changes. */
function sized(canvas, width, height) {
  const ratio = devicePixelRatio || 1, columns = Math.round(width * ratio), lines = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  if (canvas.width !== columns || canvas.height !== lines) {
    canvas.width = columns; canvas.height = lines;
    if (canvas.style) canvas.style.height = height + "px";
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/* Colors come from the style sheet, so that light and dark are decided in one place. */
function readInk(element, n) {
  const style = getComputedStyle(element), get = (name) => style.getPropertyValue(name).trim();
  const names = ["paper", "text", "quiet", "grid", "line", "wave", "speech", "gap", "hatch", "cursor", "raised", "link"];
  const ink = Object.fromEntries(names.map((name) => [name, get("--" + name)]));
  ink.emotions = Array.from({ length: n }, (_, i) => get("--e" + i));
  ink.on = ink.emotions.map((color) => {
    const [r, g, b] = [1, 3, 5].map((i) => (parseInt(color.slice(i, i + 2), 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#10141a" : "#ffffff";
  });
  ink.hatched = hatchTile(ink.hatch, ink.raised);
  return ink;
}
function hatchTile(color, background) {
  const tile = document.createElement("canvas"), ratio = devicePixelRatio || 1, side = Math.round(7 * ratio);
  tile.width = tile.height = side;
  const pen = tile.getContext("2d");
  pen.fillStyle = background; pen.fillRect(0, 0, side, side);
  pen.strokeStyle = color; pen.lineWidth = 1.4 * ratio; pen.beginPath();
  for (const shift of [-side, 0, side]) { pen.moveTo(shift - 1, side + 1); pen.lineTo(shift + side + 1, -1); }
  pen.stroke();
  return { tile, ratio };
}
function hatchPattern(pen, { tile, ratio }) {
  const pattern = pen.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

/* Draws a model as a state says: {from, to, kind, series, stacked, highlighted}. */
class Tracks {
  constructor(model, state, say) { this.model = model; this.state = state; this.say = say; this.ink = null; this.area = null; }
  get series() { return this.model.series[this.state.series]; }

  /* The position of each track, from top to bottom; where names have no room beside the tracks, they stand above. */
  layout(width) {
    const { model, say } = this, narrow = width < 600, rows = [{ what: "ruler", height: 26 }];
    if (model.peaks) rows.push({ what: "wave", name: say("audio"), height: 76 });
    if (model.hasSpeech) rows.push({ what: "speech", name: say("speech"), height: 24 });
    if (model.n) rows.push({ what: "curves", name: say(this.state.kind), height: narrow ? 170 : 230 });
    rows.push(...this.ratingRows());
    for (const ribbon of model.ribbons) rows.push({ what: "ribbon", name: ribbon.name || say("segments"), ribbon, height: 32 });
    if (model.marks.length) rows.push({ what: "marks", name: say("markers"), height: 22 });
    let top = 0;
    for (const row of rows) {
      row.top = top + (narrow && row.name ? LABEL : 0);
      top = row.top + row.height + (row.what === "ruler" ? 2 : 10);
    }
    this.area = { rows, height: top, narrow, left: narrow ? 8 : this.gutter(rows), right: width - 10, width };
    return this.area;
  }
  /* The room that the names need beside the tracks. */
  gutter(rows) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "600 12px " + FONT;
    return Math.min(220, Math.max(76, ...rows.map((row) => (row.name ? Math.ceil(pen.measureText(row.name).width) + 18 : 0))));
  }
  rowAt(y) { return this.area.rows.find((each) => y >= each.top && y <= each.top + each.height); }
  toX(time) {
    const { area, state } = this;
    return area.left + ((time - state.from) / (state.to - state.from)) * (area.right - area.left);
  }
  toTime(x) {
    const { area, state } = this;
    return state.from + ((x - area.left) / (area.right - area.left)) * (state.to - state.from);
  }

  draw(pen) {
    const { area } = this;
    const ways = { ruler: this.drawRuler, wave: this.drawWave, speech: this.drawSpeech, curves: this.drawCurves,
      rating: this.drawRating, ribbon: this.drawRibbon, marks: this.drawMarks };
    for (const row of area.rows) {
      if (row.name) this.drawName(pen, row);
      pen.save(); pen.beginPath();
      const whole = row.what === "ruler" || row.what === "marks"; // both have lines through all tracks
      pen.rect(area.left, whole ? 0 : row.top, area.right - area.left, whole ? area.height : row.height);
      if (row.what !== "ruler") pen.clip();
      ways[row.what].call(this, pen, row);
      pen.restore();
    }
  }
  drawName(pen, row) {
    const { area, ink, model } = this;
    const chosen = row.ribbon && model.ribbons.length > 1 && this.series && this.series.person === row.ribbon.person;
    pen.fillStyle = chosen ? ink.text : ink.quiet;
    const beside = !area.narrow, room = beside ? area.left - 16 : area.right - area.left;
    pen.font = (chosen ? "600 " : "") + (beside ? "12px " : "13px ") + FONT; pen.textBaseline = "middle";
    pen.textAlign = beside ? "right" : "left";
    const text = shortened(pen, row.name, room);
    if (beside) pen.fillText(text, area.left - 8, row.top + row.height / 2);
    else pen.fillText(text, area.left + 4, row.top - LABEL / 2);
  }
  drawRuler(pen, row) {
    const { area, ink, model, state } = this;
    const wanted = ((state.to - state.from) * 88) / (area.right - area.left);
    const step = STEPS.find((each) => each >= wanted) || 36000;
    pen.font = "11px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
    for (let k = Math.ceil(state.from / step - 1e-9); k * step <= state.to + 1e-9; k++) {
      const x = Math.round(this.toX(k * step)) + 0.5;
      pen.strokeStyle = ink.grid; pen.lineWidth = 1; pen.beginPath();
      pen.moveTo(x, row.top + row.height - 5); pen.lineTo(x, area.height - 10); pen.stroke();
      const text = model.clock(k * step, step < 1 ? 1 : 0), half = pen.measureText(text).width / 2;
      pen.fillStyle = ink.quiet;
      pen.fillText(text, Math.min(Math.max(x, area.left + half), area.right - half), row.top + 12);
    }
  }
  drawWave(pen, row) {
    const { area, ink, model } = this, { bin, start, low, high } = model.peaks;
    const middle = row.top + row.height / 2, scale = (row.height / 2 - 1) / model.loudest;
    const place = (x) => (this.toTime(x) - start) / bin;
    pen.fillStyle = ink.wave;
    for (let x = Math.floor(area.left); x < area.right; x++) {
      const first = Math.max(0, Math.floor(place(x)));
      const last = Math.min(low.length, Math.max(first + 1, Math.floor(place(x + 1))));
      if (first >= low.length || this.toTime(x) < start) continue;
      let lowest = 0, highest = 0;
      for (let i = first; i < last; i++) { if (low[i] < lowest) lowest = low[i]; if (high[i] > highest) highest = high[i]; }
      pen.fillRect(x, middle - highest * scale - 0.5, 1, (highest - lowest) * scale + 1);
    }
  }
  /* Speech by window; of windows that share a pixel, their mean. */
  drawSpeech(pen, row) {
    const { area, ink, model, state, series } = this;
    pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top + row.height - 1, area.right - area.left, 1);
    if (!series) return;
    const [first, last] = series.between(state.from, state.to), bottom = row.top + row.height;
    pen.fillStyle = ink.speech;
    for (let i = first; i < last; ) {
      const x = this.toX(series.left[i]), pixel = Math.floor(x);
      let sum = 0, count = 0, elsewhere = 0, end = i;
      do {
        if (series.speech[end] !== UNKNOWN) {
          const speaker = series.speakers[end];
          sum += series.speech[end] / 200; count++;
          if (speaker >= 0 && model.people[speaker] !== series.person) elsewhere++;
        }
        end++;
      } while (end < last && Math.floor(this.toX(series.right[end])) === pixel);
      const height = count ? (sum / count) * row.height : 0;
      pen.globalAlpha = elsewhere * 2 > count ? 0.3 : 0.8;
      pen.fillRect(x, bottom - height, this.toX(series.right[end - 1]) - x + 0.3, height);
      i = end;
    }
    pen.globalAlpha = 1;
  }

  /* A stretch of windows with results as points {xs, rows}; windows that share a pixel are averaged. */
  points(series, first, end, means) {
    const xs = [this.toX(series.left[first])], rows = [];
    for (let i = first; i < end; ) {
      const x = this.toX(series.middle[i]), pixel = Math.floor(x);
      let j = i + 1;
      while (j < end && Math.floor(this.toX(series.middle[j])) === pixel) j++;
      xs.push(j === i + 1 ? x : (x + this.toX(series.middle[j - 1])) / 2);
      rows.push(means(i, j));
      i = j;
    }
    xs.push(this.toX(series.right[end - 1]));
    return { xs, rows: [rows[0], ...rows, rows[rows.length - 1]] };
  }
  drawCurves(pen, row) {
    const { area, ink, state, series } = this;
    pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top, area.right - area.left, row.height);
    if (!series) return;
    const [first, last] = series.between(state.from, state.to);
    pen.font = "12px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
    for (const stretch of series.stretches(state.kind)) {
      if (stretch.end <= first) continue;
      if (stretch.first >= last) break;
      if (!stretch.known) { this.drawGap(pen, row, series, stretch); continue; }
      // one more on each side, so that curves reach the edges as they do when all is in view
      const run = this.points(series, Math.max(stretch.first, first - 1), Math.min(stretch.end, last + 1), (i, j) => series.means(state.kind, i, j));
      pen.fillStyle = ink.paper; pen.fillRect(run.xs[0], row.top, run.xs[run.xs.length - 1] - run.xs[0], row.height);
      if (state.stacked) this.drawStack(pen, run, row); else this.drawLines(pen, run, row);
    }
    if (!state.stacked) this.drawLevels(pen, row);
  }
  drawStack(pen, run, row) {
    const { xs, rows } = run, { ink, model, state } = this, bottom = row.top + row.height, last = xs.length - 1;
    const spacing = (xs[last] - xs[0]) / xs.length;
    if (spacing < NARROW) { this.stackColumns(pen, run, row); return; }
    // outlines help where areas are wide, and would cover narrow ones
    const seams = spacing > 5;
    let below = new Float64Array(xs.length);
    for (let e = 0; e < model.n; e++) {
      const above = below.map((value, i) => value + rows[i][e]);
      pen.beginPath();
      pen.moveTo(xs[0], bottom - above[0] * row.height);
      for (let i = 1; i <= last; i++) pen.lineTo(xs[i], bottom - above[i] * row.height);
      for (let i = last; i >= 0; i--) pen.lineTo(xs[i], bottom - below[i] * row.height);
      pen.closePath();
      pen.fillStyle = ink.emotions[e];
      pen.globalAlpha = state.highlighted === null || state.highlighted === e ? 0.92 : 0.13;
      pen.fill();
      pen.globalAlpha = 1;
      if (seams) { pen.strokeStyle = ink.paper; pen.lineWidth = 0.75; pen.stroke(); }
      below = above;
    }
  }
  /* What has very many points is cheaper pixel by pixel: long paths take long to fill. For each column of pixels, its
     place, and the values in its middle. */
  eachColumn({ xs, rows }, draw) {
    const { area } = this, n = rows[0].length, from = Math.max(area.left, xs[0]), to = Math.min(area.right, xs[xs.length - 1]);
    const ratio = devicePixelRatio || 1, after = (x) => Math.min(to, (Math.floor(x * ratio + 1e-3) + 1) / ratio);
    const values = new Float64Array(n);
    for (let x = from, i = 0; x < to; x = after(x)) {
      const width = after(x) - x, middle = x + width / 2;
      while (i < xs.length - 2 && xs[i + 1] <= middle) i++;
      const way = Math.min(1, Math.max(0, (middle - xs[i]) / (xs[i + 1] - xs[i] || 1)));
      for (let e = 0; e < n; e++) values[e] = rows[i][e] + way * (rows[i + 1][e] - rows[i][e]);
      draw(x, width, values);
    }
  }
  stackColumns(pen, run, row) {
    const { ink, model, state } = this;
    this.eachColumn(run, (x, width, values) => {
      let y = row.top + row.height;
      for (let e = 0; e < model.n; e++) {
        const height = values[e] * row.height;
        y -= height;
        if (height < 0.05) continue;
        pen.fillStyle = ink.emotions[e];
        pen.globalAlpha = state.highlighted === null || state.highlighted === e ? 0.92 : 0.13;
        pen.fillRect(x, y, width, height);
      }
    });
    pen.globalAlpha = 1;
  }
  lineColumns(pen, run, row, order) {
    const { ink, state } = this, bottom = row.top + row.height, before = new Float64Array(order.length).fill(NaN);
    this.eachColumn(run, (x, width, values) => {
      for (const e of order) {
        const y = bottom - values[e] * row.height, last = Number.isNaN(before[e]) ? y : before[e];
        const thick = state.highlighted === e ? 3 : 2;
        pen.fillStyle = ink.emotions[e];
        pen.globalAlpha = state.highlighted === null || state.highlighted === e ? 1 : 0.18;
        pen.fillRect(x, Math.min(y, last) - thick / 2, width, Math.abs(y - last) + thick);
        before[e] = y;
      }
    });
    pen.globalAlpha = 1;
  }
  /* The percentages of the grid, over the lines. */
  drawLevels(pen, row) {
    const { area, ink, say } = this;
    pen.font = "11px " + FONT; pen.textAlign = "left"; pen.textBaseline = "bottom"; pen.lineJoin = "round";
    for (const level of LEVELS) {
      const text = say("level", { percent: level * 100 }), y = row.top + (1 - level) * row.height - 1;
      pen.strokeStyle = ink.paper; pen.lineWidth = 3; pen.strokeText(text, area.left + 4, y);
      pen.fillStyle = ink.quiet; pen.fillText(text, area.left + 4, y);
    }
  }
  drawLines(pen, run, row) {
    const { xs, rows } = run, { ink, model, state } = this, bottom = row.top + row.height, last = xs.length - 1;
    pen.strokeStyle = ink.grid; pen.lineWidth = 1;
    for (const level of LEVELS) {
      const y = bottom - level * row.height;
      pen.beginPath(); pen.moveTo(xs[0], y); pen.lineTo(xs[last], y); pen.stroke();
    }
    pen.lineJoin = "round";
    const order = [...Array(model.n).keys()].sort((a, b) => (a === state.highlighted) - (b === state.highlighted));
    if ((xs[last] - xs[0]) / xs.length < NARROW) { this.lineColumns(pen, run, row, order); return; }
    for (const e of order) {
      const highlighted = state.highlighted === e;
      pen.globalAlpha = state.highlighted === null || highlighted ? 1 : 0.18;
      pen.strokeStyle = ink.emotions[e]; pen.lineWidth = highlighted ? 3 : 2;
      pen.beginPath();
      for (let i = 0; i <= last; i++) pen.lineTo(xs[i], bottom - rows[i][e] * row.height);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
  /* The reason is written into gaps that are wide enough for it. */
  drawGap(pen, row, series, { first, end }, otherwise = this.say("unknown")) {
    const { area, ink, model } = this;
    const left = Math.max(area.left, this.toX(series.left[first])), right = Math.min(area.right, this.toX(series.right[end - 1]));
    if (right - left < 30) return;
    const text = model.reasons[series.reasons[first]] || otherwise;
    pen.fillStyle = ink.quiet;
    if (pen.measureText(text).width < right - left - 12) pen.fillText(text, (left + right) / 2, row.top + row.height / 2);
  }

  drawRibbon(pen, row) {
    const { area, ink, state } = this, { parts } = row.ribbon;
    pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top, area.right - area.left, row.height);
    let painted = -1;
    for (let i = row.ribbon.first(state.from); i < parts.length && parts[i].start < state.to; i++) {
      const x = Math.max(area.left, this.toX(parts[i].start)), right = Math.min(area.right, this.toX(parts[i].end));
      if (right < painted + 0.5) continue; // narrower than a pixel: the neighbor before it is shown instead
      painted = right;
      this.drawSegment(pen, parts[i], x, right - x, row);
    }
  }
  drawSegment(pen, part, x, width, row) {
    const { ink, state, say } = this, named = part.status === "read", excluded = part.status === "excluded";
    if (part.status === "nothing") return;
    const faint = state.highlighted !== null && state.highlighted !== part.emotion && !excluded;
    pen.fillStyle = named ? ink.emotions[part.emotion] : excluded ? ink.line : hatchPattern(pen, ink.hatched);
    pen.globalAlpha = faint ? 0.15 : 1;
    pen.fillRect(x, row.top, Math.max(width - (width > 3 && !excluded ? 1 : 0), 0.6), row.height);
    pen.globalAlpha = 1;
    if (width < 30 || row.height < 18) return; // no room for a label
    pen.font = "600 12px " + FONT; pen.textAlign = "left"; pen.textBaseline = "middle";
    const word = named ? part.word : say(excluded ? "excluded" : "not_sure"), middle = row.top + row.height / 2 + 0.5;
    const texts = [...(named ? [word + "  " + part.confidence + " %"] : []), word];
    const text = texts.find((each) => pen.measureText(each).width < width - 14);
    if (!text) return;
    if (part.status === "abstained" && !faint) {
      pen.fillStyle = ink.raised; pen.fillRect(x + 4, row.top + 7, pen.measureText(text).width + 8, row.height - 14);
    }
    pen.fillStyle = named && !faint ? ink.on[part.emotion] : ink.text;
    pen.fillText(text, x + 8, middle);
  }

  /* The whole recording in small: everyone's segments, whatever is in view; without any, the first scale. */
  drawOverview(pen, height) {
    const { model, state } = this, { from, to } = state;
    Object.assign(state, { from: model.from, to: model.to });
    if (!model.ribbons.length && model.scales.length) this.drawRating(pen, { scale: 0, top: 6, height: height - 12 });
    const each = (height - 12) / Math.max(1, model.ribbons.length);
    model.ribbons.forEach((ribbon, k) => this.drawRibbon(pen, { ribbon, top: 6 + k * each, height: Math.max(2, each - 1) }));
    Object.assign(state, { from, to });
  }
}
/* A text, or as much of it as has room. */
function shortened(pen, text, room) {
  const fits = (each) => pen.measureText(each).width <= room;
  if (fits(text)) return text;
  let low = 0, high = text.length - 1;
  while (low < high) { const mid = (low + high + 1) >> 1; if (fits(text.slice(0, mid) + "…")) low = mid; else high = mid - 1; }
  return text.slice(0, low) + "…";
}
