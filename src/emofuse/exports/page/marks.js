/* What people added to the timeline: a row of markers, and excluded spans. Only pages that have any hold this. */

const MARKS = DATA.marks.map(([start, end, kind, who, text]) =>
  ({ start: start / 1000, end: (end === null ? start : end) / 1000, kind, who, text }));
const markAt = (time) => MARKS.filter((mark) => mark.start <= time + NEAR() && mark.end >= time - NEAR());
const NEAR = () => (4 * (view.to - view.from)) / Math.max(1, area.right - area.left);
const markText = (mark) => (mark.kind === "marker" ? "" : "excluded, " + mark.who + ": ") + mark.text;

const plainLayout = layout, plainTracks = drawTracks, plainSegment = drawSegment;
const plainSegmentText = segmentText, plainTip = showTip;

layout = (width) => {
  const made = plainLayout(width), top = made.height + (made.narrow ? LABEL : 0);
  made.rows.push({ what: "marks", name: "markers", top, height: 22 });
  made.height = top + 32;
  return made;
};
drawTracks = (pen, given) => {
  plainTracks(pen, { ...given, rows: given.rows.filter((row) => row.what !== "marks") });
  const row = given.rows.find((each) => each.what === "marks");
  drawName(pen, given, row);
  pen.save(); pen.beginPath();
  pen.rect(given.left, 0, given.right - given.left, given.height); pen.clip();
  MARKS.forEach((mark, i) => drawMark(pen, given, row, mark, MARKS[i + 1]));
  pen.restore();
};
function drawMark(pen, given, row, mark, next) {
  if (mark.end < view.from || mark.start > view.to) return;
  const x = toX(given, mark.start), width = toX(given, mark.end) - x, excluded = mark.kind !== "marker";
  pen.fillStyle = excluded ? ink.line : ink.grid; pen.fillRect(x, row.top, width, row.height);
  pen.fillStyle = excluded ? ink.quiet : ink.speech; pen.fillRect(x, row.top, 2, row.height);
  pen.globalAlpha = 0.5;
  if (!excluded) pen.fillRect(x, 26, 1, row.top - 26);
  pen.globalAlpha = 1;
  const room = (next ? toX(given, next.start) : given.right) - x - 8;
  pen.font = "12px " + FONT; pen.textAlign = "left"; pen.textBaseline = "middle"; pen.fillStyle = ink.text;
  let text = markText(mark).replace(/\s+/g, " ");
  while (text.length > 1 && pen.measureText(text).width > room) text = text.slice(0, -2) + "…";
  if (text.length > 1) pen.fillText(text, Math.max(x, given.left) + 5, row.top + row.height / 2);
}

drawSegment = (pen, part, x, width, row) => {
  if (part.word !== "excluded" || part.emotion >= 0) { plainSegment(pen, part, x, width, row); return; }
  pen.fillStyle = ink.line; pen.fillRect(x, row.top, Math.max(width, 0.6), row.height);
  if (width < 60 || row.height < 18) return;
  pen.font = "600 12px " + FONT; pen.textAlign = "left"; pen.textBaseline = "middle"; pen.fillStyle = ink.text;
  pen.fillText("excluded", x + 8, row.top + row.height / 2 + 0.5);
};
segmentText = (ribbon) => {
  const part = segmentAt(ribbon.parts, hover), lines = plainSegmentText(ribbon);
  return part && part.emotion < 0 && part.word === "excluded"
    ? lines.map((line) => (line === "nothing to read" ? "excluded" : line)) : lines;
};
showTip = (x, y) => {
  plainTip(x, y);
  const row = area.rows.find((each) => y >= each.top && y <= each.top + each.height), tip = by("tip");
  if (tip.hidden || row.what !== "marks") return;
  tip.lastChild.textContent = "\n" + (markAt(hover).map(markText).join("\n") || "no marker here");
};
