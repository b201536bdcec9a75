/* What the page does: seeking, playing, zooming, choosing. */

const by = (id) => document.getElementById(id);
const media = by("media"), tracks = by("tracks"), base = by("base"), overlay = by("cursor"), overview = by("overview");
const OVERVIEW = 40;
let area = layout(300), hover = null, pending = false, loaded = false;

/* --- drawing */

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; drawAll(); });
}
function drawAll() {
  const width = tracks.clientWidth;
  area = layout(width);
  drawTracks(sized(base, width, area.height), area);
  drawCursor();
}
function drawCursor() {
  const pen = sized(overlay, area.width, area.height);
  drawOverview(sized(overview, area.width, OVERVIEW), area, OVERVIEW);
  if (hover !== null) line(pen, hover, ink.quiet, 1, null);
  line(pen, view.cursor, ink.cursor, 2, clock(view.cursor));
  showCursorValues();
}
function line(pen, time, color, width, text) {
  if (time < view.from || time > view.to) return;
  const x = toX(area, time);
  pen.fillStyle = color; pen.fillRect(x - width / 2, 4, width, area.height - 14);
  if (!text) return;
  pen.font = "600 11px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
  const half = pen.measureText(text).width / 2 + 6, middle = Math.min(Math.max(x, half), area.width - half);
  pen.beginPath(); pen.roundRect(middle - half, 3, 2 * half, 19, 5); pen.fill();
  pen.fillStyle = ink.paper; pen.fillText(text, middle, 13);
}

/* The clock, the legend and the text for screen readers, all at the cursor. */
function showCursorValues() {
  by("now").textContent = clock(view.cursor);
  const series = SERIES[view.series], i = series ? windowAt(series, view.cursor) : -1;
  const values = i >= 0 && known(series, view.kind, i) ? DATA.emotions.map((_, e) => share(series, view.kind, i, e)) : null;
  const top = values ? values.indexOf(Math.max(...values)) : -1;
  [...by("legend").children].forEach((item, e) => {
    item.firstChild.classList.toggle("top", e === top);
    item.querySelector(".value").textContent = values ? Math.round(values[e] * 100) + " %" : "–";
    item.querySelector("i").style.width = (values ? values[e] * 100 : 0) + "%";
  });
  tracks.setAttribute("aria-valuenow", view.cursor.toFixed(2));
  tracks.setAttribute("aria-valuetext", clock(view.cursor) + ", " +
    (values ? DATA.emotions[top] + " " + Math.round(values[top] * 100) + " percent" : "no result"));
}

/* --- time */

const clamped = (time) => Math.min(Math.max(time, FROM), TO);
function seek(time, follow = true) {
  view.cursor = clamped(time);
  if (loaded) media.currentTime = Math.max(0, view.cursor);
  if (follow && (view.cursor < view.from || view.cursor > view.to)) showSpan(view.cursor - (view.to - view.from) / 2);
  drawCursor();
}
function showSpan(from, length = view.to - view.from) {
  const span = Math.min(Math.max(length, NARROWEST), TO - FROM);
  view.from = Math.min(Math.max(from, FROM), TO - span);
  view.to = view.from + span;
  by("in").disabled = span <= NARROWEST * 1.001;
  by("out").disabled = by("fit").disabled = span >= (TO - FROM) * 0.999;
  redraw();
}
function zoom(factor, around = view.cursor) {
  const anchor = around >= view.from && around <= view.to ? around : (view.from + view.to) / 2;
  const span = Math.min(Math.max((view.to - view.from) * factor, NARROWEST), TO - FROM);
  showSpan(anchor - ((anchor - view.from) / (view.to - view.from)) * span, span);
}
function follow() {
  if (media.paused) return;
  if (media.currentTime >= TO && media.duration > TO + 0.1) media.pause(); // an excerpt ends before the recording does
  view.cursor = clamped(media.currentTime);
  const span = view.to - view.from;
  if (view.cursor > view.to - span * 0.05 || view.cursor < view.from) showSpan(view.cursor - span * 0.1);
  drawCursor();
  requestAnimationFrame(follow);
}
function play() {
  if (!loaded) { by("status").textContent = "Open the recording first to play it."; by("file").focus(); return; }
  if (media.paused && view.cursor >= TO - 0.05) seek(FROM);
  if (media.paused) media.play().catch((error) => { by("status").textContent = String(error.message); });
  else media.pause();
}
function step(direction) {
  const edges = RIBBONS.flatMap((ribbon) => ribbon.parts.map((part) => part.start)).sort((a, b) => a - b);
  const next = direction > 0 ? edges.find((edge) => edge > view.cursor + 0.01) : edges.findLast((edge) => edge < view.cursor - 0.01);
  if (next !== undefined) seek(next);
}

/* --- the recording */

function load(address, name) {
  loaded = false;
  media.dataset.name = name;
  media.src = address;
}
media.addEventListener("loadedmetadata", () => {
  loaded = true;
  media.hidden = by("again").hidden = false;
  by("invite").hidden = true;
  by("stage").classList.toggle("audio-only", !media.videoWidth);
  by("status").textContent = "";
  media.currentTime = Math.max(0, view.cursor);
});
media.addEventListener("error", () => {
  if (!media.getAttribute("src")) return;
  loaded = false;
  media.hidden = by("again").hidden = true;
  by("invite").hidden = false;
  if (media.dataset.name) by("status").textContent = "The browser cannot play " + media.dataset.name + ".";
});
for (const kind of ["play", "pause", "ended"]) {
  media.addEventListener(kind, () => {
    by("play").textContent = media.paused ? "▶ Play" : "❚❚ Pause";
    if (kind === "play") follow();
  });
}
media.addEventListener("seeked", () => {
  if (media.paused && Math.abs(media.currentTime - view.cursor) > 0.05) seek(media.currentTime);
});
function open(file) {
  if (!file) return;
  if (media.src.startsWith("blob:")) URL.revokeObjectURL(media.src);
  load(URL.createObjectURL(file), file.name);
}
for (const id of ["file", "file-again"]) by(id).addEventListener("change", (event) => open(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  by("stage").addEventListener(kind, (event) => {
    event.preventDefault();
    by("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}

/* --- pointer */

let drag = null;
tracks.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  drag = { x: event.clientX, from: view.from, moved: false };
  tracks.setPointerCapture(event.pointerId);
});
tracks.addEventListener("pointermove", (event) => {
  const box = tracks.getBoundingClientRect(), x = event.clientX - box.left;
  if (drag && (drag.moved || Math.abs(event.clientX - drag.x) > 5)) {
    drag.moved = true;
    tracks.classList.add("dragging");
    hover = null; by("tip").hidden = true;
    showSpan(drag.from - ((event.clientX - drag.x) / (area.right - area.left)) * (view.to - view.from));
    return;
  }
  hover = x >= area.left && x <= area.right ? toTime(area, x) : null;
  showTip(x, event.clientY - box.top);
  drawCursor();
});
tracks.addEventListener("pointerup", (event) => {
  const box = tracks.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const moved = drag && drag.moved;
  drag = null;
  tracks.classList.remove("dragging");
  if (moved) return;
  const row = area.rows.find((each) => y >= each.top && y <= each.top + each.height);
  if (row && row.ribbon && x < area.left) choosePerson(row.ribbon.person);
  else seek(toTime(area, Math.min(Math.max(x, area.left), area.right)));
});
tracks.addEventListener("pointercancel", () => { drag = null; tracks.classList.remove("dragging"); });
tracks.addEventListener("pointerleave", () => { hover = null; by("tip").hidden = true; drawCursor(); });
tracks.addEventListener("wheel", (event) => {
  const span = view.to - view.from;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    showSpan(view.from + ((event.deltaX || event.deltaY) / (area.right - area.left)) * span);
  } else if (event.deltaY < 0 || span < (TO - FROM) * 0.999) { // everything is in view: the wheel scrolls the page
    event.preventDefault();
    zoom(Math.exp(event.deltaY * 0.0025), toTime(area, event.clientX - tracks.getBoundingClientRect().left));
  }
}, { passive: false });

const overviewTime = (event) =>
  FROM + ((event.clientX - overview.getBoundingClientRect().left - area.left) / (area.right - area.left)) * (TO - FROM);
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  showSpan(overviewTime(event) - (view.to - view.from) / 2);
});
overview.addEventListener("pointermove", (event) => {
  if (event.buttons & 1) showSpan(overviewTime(event) - (view.to - view.from) / 2);
});

function showTip(x, y) {
  const tip = by("tip"), row = area.rows.find((each) => y >= each.top && y <= each.top + each.height);
  tip.hidden = hover === null || !row;
  if (tip.hidden) return;
  tip.textContent = "";
  const head = document.createElement("b");
  head.textContent = clock(hover);
  tip.append(head, "\n" + (row.ribbon ? segmentText(row.ribbon) : windowText()).join("\n"));
  tip.style.left = Math.min(x + 16, area.width - tip.offsetWidth - 6) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, area.height - tip.offsetHeight - 4)) + "px";
  if (x + 16 > area.width - tip.offsetWidth - 6) tip.style.left = Math.max(4, x - tip.offsetWidth - 16) + "px";
}
function segmentText(ribbon) {
  const part = segmentAt(ribbon.parts, hover), who = ribbon.name ? [ribbon.name] : [];
  if (!part) return [...who, "nothing to read here"];
  const guess = part.confidence === null ? "" : " (best guess " + part.confidence + " %)";
  const result = part.emotion >= 0 ? part.word + " " + part.confidence + " %"
    : part.abstained ? "not sure" + guess : "nothing to read";
  return [...who, result, clock(part.start) + " – " + clock(part.end)];
}
function windowText() {
  const series = SERIES[view.series], i = series ? windowAt(series, hover) : -1;
  if (i < 0) return ["no window here"];
  const lines = [];
  if (known(series, view.kind, i)) {
    const order = DATA.emotions.map((name, e) => [share(series, view.kind, i, e), name]).sort((a, b) => b[0] - a[0]);
    for (const [value, name] of order.slice(0, 3)) lines.push(name + " " + Math.round(value * 100) + " %");
  } else lines.push("no result from " + view.kind);
  if (DATA.reasons[series.reasons[i]]) lines.push(DATA.reasons[series.reasons[i]]);
  const speaker = series.speakers[i];
  if (series.speech[i] !== UNKNOWN)
    lines.push("speech " + Math.round(series.speech[i] / 2) + " %" + (speaker >= 0 ? ", voice of " + DATA.names[speaker] : ""));
  if (series.face[i] !== UNKNOWN) lines.push("face " + Math.round(series.face[i] / 2) + " %");
  return lines;
}

/* --- controls and keys */

function choosePerson(person) {
  const at = SERIES.findIndex((series) => series.person === person);
  if (at < 0) return;
  view.series = at;
  by("person").value = String(at);
  redraw();
}
function highlight(emotion) {
  view.highlighted = view.highlighted === emotion ? null : emotion;
  by("legend").classList.toggle("some", view.highlighted !== null);
  [...by("legend").children].forEach((item, e) => item.firstChild.setAttribute("aria-pressed", String(e === view.highlighted)));
  redraw();
}
[...by("legend").children].forEach((item, e) => item.firstChild.addEventListener("click", () => highlight(e)));
for (const input of document.querySelectorAll("input[name=kind]"))
  input.addEventListener("change", () => { view.kind = input.value; redraw(); });
for (const input of document.querySelectorAll("input[name=shape]"))
  input.addEventListener("change", () => { view.stacked = input.value === "stacked"; redraw(); });
by("person").addEventListener("change", (event) => { view.series = Number(event.target.value); redraw(); });
by("play").addEventListener("click", play);
by("in").addEventListener("click", () => zoom(0.5));
by("out").addEventListener("click", () => zoom(2));
by("fit").addEventListener("click", () => showSpan(FROM, TO - FROM));
document.querySelectorAll("button[data-time]").forEach((button) =>
  button.addEventListener("click", () => seek(Number(button.dataset.time))));

document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || at.matches("select, input, video, summary")) return;
  if (event.key === " " && at.matches("button")) return;
  const jump = event.shiftKey ? 10 : 1;
  const act = {
    " ": play, ArrowLeft: () => seek(view.cursor - jump), ArrowRight: () => seek(view.cursor + jump),
    Home: () => seek(FROM), End: () => seek(TO), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
    0: () => showSpan(FROM, TO - FROM), "[": () => step(-1), "]": () => step(1),
    Escape: () => { if (view.highlighted !== null) highlight(view.highlighted); },
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/* --- start */

readInk();
for (const id of ["player", "controls", "live", "keys"]) by(id).hidden = false;
by("still").hidden = true;
by("length").textContent = " / " + clock(TO);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readInk(); drawAll(); });
new ResizeObserver(redraw).observe(tracks);
showSpan(FROM, TO - FROM);
drawAll();
if (DATA.media) load(DATA.media, "");
