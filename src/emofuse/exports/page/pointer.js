/* What the pointer does to the tracks: seek, pan, select, zoom, and tell what is there. */

Viewer.prototype.listenToPointer = function (on) {
  const { tracks: element, overview } = this.parts, { state, tracks } = this;
  on(element, "pointerdown", (event) => {
    if (event.button) return;
    const time = tracks.toTime(event.clientX - element.getBoundingClientRect().left);
    this.drag = { x: event.clientX, from: state.from, moved: false, beside: time < state.from || time > state.to, selects: this.selectsFrom(event.shiftKey, time) };
    element.setPointerCapture(event.pointerId);
  });
  on(element, "pointermove", (event) => this.whenPointerMoves(event));
  on(element, "pointerup", (event) => this.whenReleased(event));
  on(element, "pointercancel", () => this.endDrag());
  on(element, "pointerleave", () => { state.hover = null; this.parts.tip.hidden = true; this.redraw(false); });
  on(element, "wheel", (event) => this.whenWheel(event), { passive: false });
  const time = (event) => this.model.from + ((event.clientX - overview.getBoundingClientRect().left - tracks.area.left)
    / (tracks.area.right - tracks.area.left)) * (this.model.to - this.model.from);
  const center = (event) => this.showSpan(time(event) - (state.to - state.from) / 2);
  on(overview, "pointerdown", (event) => { overview.setPointerCapture(event.pointerId); center(event); });
  on(overview, "pointermove", (event) => { if (event.buttons & 1) center(event); });
};

/* Where a selection starts that is dragged from a time; null: the drag pans, which it can only where not all is in view. */
Viewer.prototype.selectsFrom = function (shift, time) {
  const { state, model } = this, whole = state.to - state.from >= (model.to - model.from) * 0.999;
  return time >= state.from && time <= state.to && (shift || whole) ? time : null;
};
Viewer.prototype.whenPointerMoves = function (event) {
  const { state, drag, tracks } = this, { area } = tracks, element = this.parts.tracks, box = element.getBoundingClientRect();
  const x = event.clientX - box.left;
  if (drag && (drag.moved || Math.abs(event.clientX - drag.x) > 5)) {
    drag.moved = true;
    state.hover = null; this.parts.tip.hidden = true;
    if (drag.selects !== null) {
      const time = tracks.toTime(Math.min(Math.max(x, area.left), area.right));
      this.setSelection({ start: Math.min(drag.selects, time), end: Math.max(drag.selects, time) });
      return;
    }
    if (drag.beside) return;
    element.classList.add("dragging");
    this.showSpan(drag.from - ((event.clientX - drag.x) / (area.right - area.left)) * (state.to - state.from));
    return;
  }
  state.hover = x >= area.left && x <= area.right ? tracks.toTime(x) : null;
  this.showTip(x, event.clientY - box.top);
  this.redraw(false);
};
Viewer.prototype.endDrag = function () {
  const { drag } = this;
  this.drag = null;
  this.parts.tracks.classList.remove("dragging");
  if (drag && drag.moved && drag.selects !== null) this.announceSelection();
  return drag;
};
Viewer.prototype.whenReleased = function (event) {
  const { tracks } = this, { area } = tracks, box = this.parts.tracks.getBoundingClientRect();
  const x = event.clientX - box.left, drag = this.endDrag();
  if (drag && drag.moved) return;
  const row = tracks.rowAt(event.clientY - box.top);
  if (row && row.ribbon && x < area.left) this.choosePerson(row.ribbon.person);
  else this.seek(tracks.toTime(Math.min(Math.max(x, area.left), area.right)));
};
Viewer.prototype.whenWheel = function (event) {
  const { state, model, tracks } = this, { area } = tracks, span = state.to - state.from;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    this.showSpan(state.from + ((event.deltaX || event.deltaY) / (area.right - area.left)) * span);
  } else if (event.deltaY < 0 || span < (model.to - model.from) * 0.999) { // everything is in view: the wheel scrolls the page
    event.preventDefault();
    this.zoom(Math.exp(event.deltaY * 0.0025), tracks.toTime(event.clientX - this.parts.tracks.getBoundingClientRect().left));
  }
};

/* --- what is at the pointer, in words */

Viewer.prototype.showTip = function (x, y) {
  const { tip } = this.parts, { area } = this.tracks, { hover } = this.state, row = this.tracks.rowAt(y);
  const means = row && hover === null && x < area.left ? this.trackMeans(row) : "";
  tip.hidden = !row || (hover === null && !means);
  if (tip.hidden) return;
  if (means) tip.replaceChildren(make("b", {}, row.name), "\n" + means);
  else this.fillTip(tip, row);
  const beside = x + 16 <= area.width - tip.offsetWidth - 6;
  tip.style.left = (beside ? x + 16 : Math.max(4, x - tip.offsetWidth - 16)) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, area.height - tip.offsetHeight - 4)) + "px";
};
/* What the name of a track means, where that is not plain. */
Viewer.prototype.trackMeans = function (row) {
  if (row.ribbon) return this.model.series.length > 1 ? this.say("choose") : "";
  if (row.what === "rating") return this.ratingMeans(this.model.scales[row.scale]);
  return row.what === "speech" ? this.say("speech_means") : row.what === "curves" && this.state.kind === "fused" ? this.say("fused_means") : "";
};
Viewer.prototype.fillTip = function (tip, row) {
  const { hover } = this.state;
  const lines = row.ribbon ? this.segmentWords(row.ribbon) : row.what === "marks" ? this.markWords()
    : row.what === "rating" ? this.ratingTip(row) : this.windowWords();
  tip.replaceChildren(make("b", {}, this.model.clock(hover)), "\n" + lines.join("\n"));
};
Viewer.prototype.segmentWords = function (ribbon) {
  const { model, say } = this, part = ribbon.at(this.state.hover), who = ribbon.name ? [ribbon.name] : [];
  if (!part) return [...who, say("nothing_here")];
  const guess = part.confidence === null ? say("not_sure") : say("not_sure_guess", { percent: part.confidence });
  const result = { read: () => say("percent", { what: part.word, percent: part.confidence }), abstained: () => guess,
    excluded: () => say("excluded"), nothing: () => say("nothing_to_read") }[part.status]();
  const tied = part.status === "read" ? tieAt(model, ribbon.person, part, this.state.hover) : [];
  return [...who, result, ...(tied.length ? [this.tieText(tied)] : []), say("from_to", { start: model.clock(part.start), end: model.clock(part.end) })];
};
Viewer.prototype.markWords = function () {
  const texts = this.tracks.marksAt(this.state.hover).map((mark) => this.tracks.markText(mark));
  return texts.length ? texts : [this.say("no_marker")];
};
Viewer.prototype.tieText = function ([one, ...others]) {
  return this.say("face_alone", { one: this.model.emotions[one], other: this.model.joined(others) });
};
Viewer.prototype.windowWords = function () {
  const { model, say, state } = this, { series } = this.tracks, i = series ? series.at(state.hover) : -1, lines = [];
  if (i < 0) return [say("no_window")];
  if (series.known(state.kind, i)) {
    const top = series.top(state.kind, i), rest = model.emotions.map((_, e) => [e]).filter(([e]) => !top.includes(e));
    const order = rest.sort(([a], [b]) => series.share(state.kind, i, b) - series.share(state.kind, i, a));
    for (const group of [top, ...order.slice(0, 2)])
      lines.push(say("percent", { what: model.joined(group), percent: Math.round(series.sum(state.kind, i, group) * 100) }));
    if (top.length > 1) lines.push(this.tieText(top));
  } else if (model.n) lines.push(state.kind === "fused" ? say("no_result_fused") : say("no_result", { kind: say(state.kind) }));
  const rated = this.spokenRatings(this.ratingsAt(i));
  lines.push(...rated);
  if (!model.n && !rated.length) lines.push(say("no_result_fused"));
  if (model.reasons[series.reasons[i]]) lines.push(model.reasons[series.reasons[i]]);
  const speaker = series.speakers[i];
  if (series.speech[i] !== UNKNOWN) {
    const speech = say("percent", { what: say("speech"), percent: Math.round(series.speech[i] / 2) });
    lines.push(speaker >= 0 ? say("voice_of", { speech, name: model.names[speaker] }) : speech);
  }
  if (series.face[i] !== UNKNOWN) lines.push(say("percent", { what: say("face"), percent: Math.round(series.face[i] / 2) }));
  return lines;
};
