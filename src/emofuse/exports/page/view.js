/* The timeline, unpacked, and its tracks, drawn on a canvas. Times are in seconds. */

const DATA = JSON.parse(document.getElementById("timeline-data").textContent);
const N = DATA.emotions.length, FROM = DATA.start, TO = Math.max(DATA.end, DATA.start + 1e-3);
const NARROWEST = Math.min(1, TO - FROM), UNKNOWN = 255, LABEL = 18, FONT = "system-ui, sans-serif";

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

/* One person's windows. A window is drawn at its midpoint: its cell reaches halfway to its neighbors. */
function unpacked(series) {
  const starts = new Int32Array(bytes(series.starts).buffer), ends = new Int32Array(bytes(series.ends).buffer);
  const n = starts.length, middle = new Float64Array(n), left = new Float64Array(n), right = new Float64Array(n);
  for (let i = 0; i < n; i++) middle[i] = (starts[i] + ends[i]) / 2000;
  for (let i = 0; i < n; i++) {
    left[i] = i ? Math.max(starts[i] / 1000, (middle[i - 1] + middle[i]) / 2) : starts[i] / 1000;
    right[i] = i < n - 1 ? Math.min(ends[i] / 1000, (middle[i] + middle[i + 1]) / 2) : ends[i] / 1000;
  }
  const of = {};
  for (const kind of DATA.kinds) of[kind] = bytes(series[kind]);
  return { person: series.person, n, middle, left, right, of, speech: bytes(series.speech),
    face: bytes(series.face_present), reasons: series.reasons, speakers: series.speakers };
}

const SERIES = DATA.series.map(unpacked);
const RIBBONS = DATA.ribbons.map((ribbon) => ({
  person: ribbon.person, name: ribbon.name,
  parts: ribbon.segments.map(([start, end, emotion, confidence, abstained, word]) =>
    ({ start: start / 1000, end: end / 1000, emotion, confidence, abstained, word: word || DATA.emotions[emotion] })),
}));
const PEAKS = DATA.peaks && {
  bin: DATA.peaks.bin_s, start: DATA.peaks.start_s,
  low: new Int8Array(bytes(DATA.peaks.low).buffer), high: new Int8Array(bytes(DATA.peaks.high).buffer),
};
const LOUDEST = PEAKS ? PEAKS.high.reduce((a, b) => Math.max(a, b), PEAKS.low.reduce((a, b) => Math.max(a, -b), 8)) : 0;
const HAS_SPEECH = SERIES.some((series) => series.speech.some((share) => share !== UNKNOWN));

const view = { from: FROM, to: TO, kind: DATA.kind, series: 0, stacked: true, highlighted: null, cursor: FROM };

/* The index of the first of increasing times that is not before a time. */
function firstFrom(times, time) {
  let low = 0, high = times.length;
  while (low < high) { const mid = (low + high) >> 1; if (times[mid] < time) low = mid + 1; else high = mid; }
  return low;
}
function windowAt(series, time) {
  const i = firstFrom(series.right, time);
  return i < series.n && series.left[i] <= time ? i : -1;
}
function segmentAt(parts, time) {
  let low = 0, high = parts.length;
  while (low < high) { const mid = (low + high) >> 1; if (parts[mid].end <= time) low = mid + 1; else high = mid; }
  return low < parts.length && parts[low].start <= time ? parts[low] : null;
}
const known = (series, kind, i) => series.of[kind][i * N] !== UNKNOWN;
const share = (series, kind, i, emotion) => series.of[kind][i * N + emotion] / 200;

function clock(time, digits = 1) {
  const tick = 10 ** digits, ticks = Math.round(Math.abs(time) * tick), whole = Math.floor(ticks / tick);
  const two = (value) => String(value).padStart(2, "0");
  const rest = digits ? "." + String(ticks % tick).padStart(digits, "0") : "";
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const head = hours || TO >= 3600 ? hours + ":" + two(minutes) : String(minutes);
  return (time < 0 && ticks ? "−" : "") + head + ":" + two(whole % 60) + rest;
}

/* Colors come from the style sheet, so that light and dark are decided in one place. */
let ink = {};
function readInk() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  ink = { paper: get("--paper"), text: get("--text"), quiet: get("--quiet"), grid: get("--grid"),
    line: get("--line"), wave: get("--wave"), speech: get("--speech"), gap: get("--gap"), hatch: get("--hatch"),
    cursor: get("--cursor"), raised: get("--raised"), emotions: DATA.emotions.map((_, i) => get("--e" + i)) };
  ink.on = ink.emotions.map((color) => {
    const [r, g, b] = [1, 3, 5].map((i) => (parseInt(color.slice(i, i + 2), 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#10141a" : "#ffffff";
  });
  ink.hatched = hatchTile(ink.hatch, ink.raised);
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
function hatchPattern(pen) {
  const pattern = pen.createPattern(ink.hatched.tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ink.hatched.ratio));
  return pattern;
}

/* The room that the names need beside the tracks. */
function gutter(rows) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "600 12px " + FONT;
  return Math.min(220, Math.max(76, ...rows.map((row) => (row.name ? Math.ceil(pen.measureText(row.name).width) + 18 : 0))));
}
/* The position of each track, from top to bottom. */
function layout(width) {
  const rows = [{ what: "ruler", height: 26 }];
  if (PEAKS) rows.push({ what: "wave", name: "audio", height: 76 });
  if (HAS_SPEECH) rows.push({ what: "speech", name: "speech", height: 24 });
  rows.push({ what: "curves", name: view.kind, height: width < 600 ? 170 : 230 });
  for (const ribbon of RIBBONS) rows.push({ what: "ribbon", name: ribbon.name || "segments", ribbon, height: 32 });
  // where there is no room for names beside the tracks, they stand above
  const narrow = width < 600;
  let top = 0;
  for (const row of rows) {
    row.top = top + (narrow && row.name ? LABEL : 0);
    top = row.top + row.height + (row.what === "ruler" ? 2 : 10);
  }
  return { rows, height: top, narrow, left: narrow ? 8 : gutter(rows), right: width - 10, width };
}
const toX = (area, time) => area.left + ((time - view.from) / (view.to - view.from)) * (area.right - area.left);
const toTime = (area, x) => view.from + ((x - area.left) / (area.right - area.left)) * (view.to - view.from);

function sized(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  canvas.style.height = height + "px";
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0); pen.clearRect(0, 0, width, height);
  return pen;
}

function drawTracks(pen, area) {
  for (const row of area.rows) {
    if (row.name) drawName(pen, area, row);
    pen.save(); pen.beginPath();
    pen.rect(area.left, row.top, area.right - area.left, row.height + (row.what === "ruler" ? 9999 : 0));
    if (row.what !== "ruler") pen.clip();
    ({ ruler: drawRuler, wave: drawWave, speech: drawSpeech, curves: drawCurves, ribbon: drawRibbon })[row.what](
      pen, area, row);
    pen.restore();
  }
}
function drawName(pen, area, row) {
  const chosen = row.ribbon && RIBBONS.length > 1 && SERIES[view.series].person === row.ribbon.person;
  pen.fillStyle = chosen ? ink.text : ink.quiet;
  const beside = !area.narrow, room = beside ? area.left - 16 : area.right - area.left;
  pen.font = (chosen ? "600 " : "") + (beside ? "12px " : "13px ") + FONT; pen.textBaseline = "middle";
  pen.textAlign = beside ? "right" : "left";
  let text = row.name;
  while (text.length > 1 && pen.measureText(text).width > room) text = text.slice(0, -2) + "…";
  if (beside) pen.fillText(text, area.left - 8, row.top + row.height / 2);
  else pen.fillText(text, area.left + 4, row.top - LABEL / 2);
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000];
function drawRuler(pen, area, row) {
  const wanted = ((view.to - view.from) * 88) / (area.right - area.left);
  const step = STEPS.find((each) => each >= wanted) || 36000;
  pen.font = "11px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
  for (let k = Math.ceil(view.from / step - 1e-9); k * step <= view.to + 1e-9; k++) {
    const x = Math.round(toX(area, k * step)) + 0.5;
    pen.strokeStyle = ink.grid; pen.lineWidth = 1; pen.beginPath();
    pen.moveTo(x, row.top + row.height - 5); pen.lineTo(x, area.height - 10); pen.stroke();
    const text = clock(k * step, step < 1 ? 1 : 0), half = pen.measureText(text).width / 2;
    pen.fillStyle = ink.quiet;
    pen.fillText(text, Math.min(Math.max(x, area.left + half), area.right - half), row.top + 12);
  }
}

function drawWave(pen, area, row) {
  const middle = row.top + row.height / 2, scale = (row.height / 2 - 1) / LOUDEST;
  pen.fillStyle = ink.wave;
  const reach = (time) => (time - PEAKS.start) / PEAKS.bin;
  for (let x = Math.floor(area.left); x < area.right; x++) {
    const first = Math.max(0, Math.floor(reach(toTime(area, x))));
    const last = Math.min(PEAKS.low.length, Math.max(first + 1, Math.floor(reach(toTime(area, x + 1)))));
    if (first >= PEAKS.low.length || toTime(area, x) < PEAKS.start) continue;
    let low = 0, high = 0;
    for (let i = first; i < last; i++) { low = Math.min(low, PEAKS.low[i]); high = Math.max(high, PEAKS.high[i]); }
    pen.fillRect(x, middle - high * scale - 0.5, 1, (high - low) * scale + 1);
  }
}

function visible(series) {
  return [firstFrom(series.right, view.from), Math.min(series.n, firstFrom(series.left, view.to) + 1)];
}
function drawSpeech(pen, area, row) {
  const series = SERIES[view.series], [first, last] = visible(series);
  pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top + row.height - 1, area.right - area.left, 1);
  for (let i = first; i < last; i++) {
    if (series.speech[i] === UNKNOWN) continue;
    const speaker = series.speakers[i], elsewhere = speaker >= 0 && DATA.people[speaker] !== series.person;
    const x = toX(area, series.left[i]), height = (series.speech[i] / 200) * row.height;
    pen.globalAlpha = elsewhere ? 0.3 : 0.8; pen.fillStyle = ink.speech;
    pen.fillRect(x, row.top + row.height - height, toX(area, series.right[i]) - x + 0.3, height);
  }
  pen.globalAlpha = 1;
}

/* Runs of windows with results, as points; where there are more windows than pixels, those of one are averaged. */
function runs(area, series, kind) {
  const [first, last] = visible(series), found = [];
  let run = null;
  for (let i = first; i < last; i++) {
    if (!known(series, kind, i)) { run = null; continue; }
    if (!run || series.left[i] - run.end > 0.0015) found.push((run = { xs: [], rows: [], ends: [], counts: [] }));
    const x = toX(area, series.middle[i]), at = run.xs.length - 1;
    const begin = Math.floor(toX(area, series.left[i]));
    run.end = series.right[i];
    if (at > 0 && begin === Math.floor(run.ends[at]) && toX(area, run.end) - begin < 1.5) {
      for (let e = 0; e < N; e++) run.rows[at][e] += (share(series, kind, i, e) - run.rows[at][e]) / (run.counts[at] + 1);
      run.counts[at]++;
      continue;
    }
    if (at < 0) push(run, toX(area, series.left[i]), series, kind, i);
    push(run, x, series, kind, i);
  }
  for (const each of found) {
    each.xs.push(toX(area, each.end)); each.rows.push(each.rows[each.rows.length - 1]);
  }
  return found;
}
function push(run, x, series, kind, i) {
  const row = new Float64Array(N);
  for (let e = 0; e < N; e++) row[e] = share(series, kind, i, e);
  run.xs.push(x); run.rows.push(row); run.ends.push(x); run.counts.push(1);
}

function drawCurves(pen, area, row) {
  const bottom = row.top + row.height, y = (value) => bottom - value * row.height;
  pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top, area.right - area.left, row.height);
  const series = SERIES[view.series];
  if (!series) return;
  for (const run of runs(area, series, view.kind)) {
    const last = run.xs.length - 1;
    pen.fillStyle = ink.paper; pen.fillRect(run.xs[0], row.top, run.xs[last] - run.xs[0], row.height);
    if (view.stacked) drawStack(pen, run, y); else drawLines(pen, run, y, row, area);
  }
  drawGaps(pen, area, row, series);
}
function drawStack(pen, run, y) {
  let below = run.xs.map(() => 0);
  // outlines help where areas are wide, and would cover narrow ones
  const seams = (run.xs[run.xs.length - 1] - run.xs[0]) / run.xs.length > 5;
  for (let e = 0; e < N; e++) {
    const above = below.map((value, i) => value + run.rows[i][e]);
    pen.beginPath();
    run.xs.forEach((x, i) => (i ? pen.lineTo(x, y(above[i])) : pen.moveTo(x, y(above[i]))));
    for (let i = run.xs.length - 1; i >= 0; i--) pen.lineTo(run.xs[i], y(below[i]));
    pen.closePath();
    pen.fillStyle = ink.emotions[e]; pen.globalAlpha = view.highlighted === null || view.highlighted === e ? 0.92 : 0.13; pen.fill();
    pen.globalAlpha = 1;
    if (seams) { pen.strokeStyle = ink.paper; pen.lineWidth = 0.75; pen.stroke(); }
    below = above;
  }
}
function drawLines(pen, run, y, row, area) {
  pen.strokeStyle = ink.grid; pen.lineWidth = 1;
  for (const level of [0.25, 0.5, 0.75]) {
    pen.beginPath(); pen.moveTo(run.xs[0], y(level)); pen.lineTo(run.xs[run.xs.length - 1], y(level)); pen.stroke();
  }
  pen.lineJoin = "round";
  const order = [...Array(N).keys()].sort((a, b) => (a === view.highlighted) - (b === view.highlighted));
  for (const e of order) {
    const highlighted = view.highlighted === e;
    pen.globalAlpha = view.highlighted === null || highlighted ? 1 : 0.18; pen.strokeStyle = ink.emotions[e]; pen.lineWidth = highlighted ? 3 : 2;
    pen.beginPath();
    run.xs.forEach((x, i) => (i ? pen.lineTo(x, y(run.rows[i][e])) : pen.moveTo(x, y(run.rows[i][e]))));
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/* The reason is written into gaps that are wide enough for it. */
function drawGaps(pen, area, row, series) {
  const [first, last] = visible(series);
  pen.font = "12px " + FONT; pen.fillStyle = ink.quiet; pen.textAlign = "center"; pen.textBaseline = "middle";
  for (let i = first; i < last; ) {
    if (known(series, view.kind, i)) { i++; continue; }
    let end = i;
    while (end < last && !known(series, view.kind, end)) end++;
    const left = Math.max(area.left, toX(area, series.left[i])), right = Math.min(area.right, toX(area, series.right[end - 1]));
    const text = DATA.reasons[series.reasons[i]] || "unknown";
    if (pen.measureText(text).width < right - left - 12) pen.fillText(text, (left + right) / 2, row.top + row.height / 2);
    i = end;
  }
}

function drawRibbon(pen, area, row) {
  pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top, area.right - area.left, row.height);
  let painted = -1;
  for (const part of row.ribbon.parts) {
    if (part.end <= view.from) continue;
    if (part.start >= view.to) break;
    const x = Math.max(area.left, toX(area, part.start)), right = Math.min(area.right, toX(area, part.end));
    if (right < painted + 0.5) continue; // narrower than a pixel: the neighbor before it is shown instead
    painted = right;
    drawSegment(pen, part, x, right - x, row);
  }
}
function drawSegment(pen, part, x, width, row) {
  const named = part.emotion >= 0, gap = width > 3 ? 1 : 0;
  if (!named && !part.abstained) return;
  pen.fillStyle = named ? ink.emotions[part.emotion] : hatchPattern(pen);
  pen.globalAlpha = view.highlighted === null || (named && view.highlighted === part.emotion) ? 1 : 0.15;
  pen.fillRect(x, row.top, Math.max(width - gap, 0.6), row.height);
  pen.globalAlpha = 1;
  if (width < 30 || row.height < 18) return; // no room for a label
  pen.font = "600 12px " + FONT; pen.textAlign = "left"; pen.textBaseline = "middle";
  const word = named ? part.word : "not sure", middle = row.top + row.height / 2 + 0.5;
  const texts = [word + (named ? "  " + part.confidence + " %" : ""), word];
  const text = texts.find((each) => pen.measureText(each).width < width - 14);
  if (!text) return;
  const faint = view.highlighted !== null && view.highlighted !== part.emotion;
  if (!named && !faint) { pen.fillStyle = ink.raised; pen.fillRect(x + 4, row.top + 7, pen.measureText(text).width + 8, row.height - 14); }
  pen.fillStyle = named && !faint ? ink.on[part.emotion] : ink.text;
  pen.fillText(text, x + 8, middle);
}

/* The whole recording in small, with the part that is in view. */
function drawOverview(pen, area, height) {
  const all = { from: view.from, to: view.to };
  view.from = FROM; view.to = TO;
  const each = (height - 12) / Math.max(1, RIBBONS.length);
  RIBBONS.forEach((ribbon, k) => drawRibbon(pen, area, { ribbon, top: 6 + k * each, height: Math.max(2, each - 1) }));
  view.from = all.from; view.to = all.to;
  const scale = (area.right - area.left) / (TO - FROM);
  const left = area.left + (view.from - FROM) * scale, right = area.left + (view.to - FROM) * scale;
  pen.fillStyle = ink.paper; pen.globalAlpha = 0.72;
  pen.fillRect(area.left, 0, left - area.left, height); pen.fillRect(right, 0, area.right - right, height);
  pen.globalAlpha = 1; pen.strokeStyle = ink.text; pen.lineWidth = 1.5;
  pen.strokeRect(left + 0.75, 1.75, Math.max(4, right - left) - 1.5, height - 3.5);
  pen.fillStyle = ink.cursor; pen.fillRect(area.left + (view.cursor - FROM) * scale - 0.75, 0, 1.5, height);
}
