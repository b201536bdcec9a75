/* What people added to the timeline: a track of markers and of excluded spans. */

Tracks.prototype.markText = function (mark) {
  return mark.kind === "marker" ? mark.text : this.say("excluded_of", { who: mark.who, text: mark.text });
};
/* The marks at a time, within some pixels. */
Tracks.prototype.marksAt = function (time) {
  const { area, model, state } = this, near = (4 * (state.to - state.from)) / Math.max(1, area.right - area.left);
  return model.marks.filter((mark) => mark.start <= time + near && mark.end >= time - near);
};
Tracks.prototype.drawMarks = function (pen, row) {
  const { marks } = this.model;
  marks.forEach((mark, i) => this.drawMark(pen, row, mark, marks[i + 1]));
};
Tracks.prototype.drawMark = function (pen, row, mark, next) {
  const { area, ink, state } = this;
  if (mark.end < state.from || mark.start > state.to) return;
  const x = this.toX(mark.start), width = this.toX(mark.end) - x, excluded = mark.kind !== "marker";
  pen.fillStyle = excluded ? ink.line : ink.grid; pen.fillRect(x, row.top, width, row.height);
  pen.fillStyle = excluded ? ink.quiet : ink.speech; pen.fillRect(x, row.top, 2, row.height);
  pen.globalAlpha = 0.5;
  if (!excluded) pen.fillRect(x, 26, 1, row.top - 26);
  pen.globalAlpha = 1;
  const room = (next ? this.toX(next.start) : area.right) - x - 8;
  pen.font = "12px " + FONT; pen.textAlign = "left"; pen.textBaseline = "middle"; pen.fillStyle = ink.text;
  if (room < 12) return;
  const text = shortened(pen, this.markText(mark).replace(/\s+/g, " ").slice(0, 300), room);
  if (text.length > 1) pen.fillText(text, Math.max(x, area.left) + 5, row.top + row.height / 2);
};
