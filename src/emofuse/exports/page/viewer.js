/* The viewer: film, curves and lists of one timeline, kept at one cursor. */

const OVERVIEW = 40;

class Viewer extends EventTarget {
  /* root: an element whose content is replaced; view: a timeline as view_data() packs it; texts: the section
     "viewer" of texts.json; media: the address of the recording, or null. */
  constructor(root, view, { texts, media = null }) {
    super();
    this.root = root;
    this.say = (key, values = {}) => texts.script[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
    this.model = new Model(view);
    const { from, to, kind } = this.model;
    this.state = { from, to, kind, series: 0, stacked: true, highlighted: null, cursor: from, hover: null, selection: null };
    this.tracks = new Tracks(this.model, this.state, this.say);
    this.parts = build(root, this.say, this.model, this.state, view.name);
    root.classList.add("viewer");
    root.dataset.live = "";
    this.overview = document.createElement("canvas");
    this.segments = new PagedRows(this.parts.segments, this.say, () => this.tell("rows", { part: "segments", element: this.parts.segments }));
    this.loaded = false; this.pending = null; this.drag = null;
    this.ended = new AbortController();
    this.sheet = null;
    this.show(view);
    this.listen();
    this.showSpan(from, to - from);
    this.showCursorValues();
    this.draw();
    if (media) this.load(media, "");
  }

  get cursor() { return this.state.cursor; }
  get selection() { return this.state.selection && { ...this.state.selection }; }
  /* The name of the person whose curves are shown; null: nobody in particular. */
  get person() { const { series } = this.tracks; return series ? series.person : null; }

  /* Show other annotations of the same recording: cursor, zoom, person and kind stay, and the film plays on. */
  update(view) {
    const before = this.model, series = this.tracks.series, index = series ? before.people.indexOf(series.person) : -1;
    const model = (this.model = this.tracks.model = new Model(view)), { state } = this;
    // somebody who got another name is at the same place
    const names = series ? [series.person, model.people.length === before.people.length ? model.people[index] : undefined] : [];
    state.series = Math.max(0, ...names.map((name) => model.series.findIndex((each) => each.person === name)).filter((at) => at >= 0).slice(0, 1));
    if (!model.known.includes(state.kind)) state.kind = model.kind;
    state.cursor = model.clamped(state.cursor);
    this.show(view);
    this.showSpan(state.from, state.to - state.from);
    this.showCursorValues();
  }
  /* What depends on the view, other than what is drawn. */
  show(view) {
    const { parts, model, say } = this;
    if (view.css !== undefined) this.adopt(view.css);
    this.tracks.ink = readInk(this.root, model.n);
    for (const part of ["header", "people", "marks", "unused", "how"])
      if (place(parts[part], view.html[part])) this.tell("rows", { part, element: parts[part] });
    this.segments.set(view.html.segments, view.html.segment_rows);
    for (const input of parts.kind.querySelectorAll("input")) {
      input.disabled = !model.known.includes(input.value);
      input.checked = input.value === this.state.kind;
    }
    parts.person.replaceChildren(...model.series.map((series, at) =>
      make("option", { value: at, selected: at === this.state.series }, model.nameOf(series.person) ?? say("nobody"))));
    parts["person-choice"].hidden = model.series.length < 2;
    for (const part of ["kind", "shape", "legend", "swatches"]) parts[part].hidden = !model.n;
    parts.length.textContent = " / " + model.clock(model.to);
    parts.tracks.setAttribute("aria-valuemin", model.from.toFixed(2));
    parts.tracks.setAttribute("aria-valuemax", model.to.toFixed(2));
    parts["faces-switch"].hidden = !model.faces.people.length || !this.parts.media.videoWidth;
    this.overviewKey = null;
  }
  adopt(css) {
    if (!this.sheet) {
      this.sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.sheet];
    }
    this.sheet.replaceSync(css);
  }
  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
  /* Stop playing and listening, and leave the root empty. */
  close() {
    this.ended.abort();
    this.resized.disconnect();
    cancelAnimationFrame(this.pending);
    this.parts.media.pause();
    this.release();
    this.parts.media.removeAttribute("src");
    this.parts.media.load();
    if (this.sheet) document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== this.sheet);
    this.root.replaceChildren();
    this.root.classList.remove("viewer");
    delete this.root.dataset.live;
  }

  /* --- drawing: the tracks when what is in view changes, the cursor alone when it moves */

  redraw(all = true) {
    this.stale = this.stale || all;
    if (this.pending !== null) return;
    this.pending = requestAnimationFrame(() => { this.pending = null; if (this.stale) this.draw(); else this.drawCursor(); });
  }
  draw() {
    const width = this.parts.tracks.clientWidth, area = this.tracks.layout(width);
    this.stale = false;
    this.tracks.draw(sized(this.parts.base, width, area.height));
    this.drawCursor();
  }
  drawCursor() {
    const { state, tracks, parts, model } = this, { area, ink } = tracks, pen = sized(parts.cursor, area.width, area.height);
    this.drawOverview();
    if (state.selection) this.drawSelection(pen);
    if (state.hover !== null) this.line(pen, state.hover, ink.quiet, 1, null);
    this.line(pen, state.cursor, ink.cursor, 2, model.clock(state.cursor));
    this.drawFaces();
  }
  drawSelection(pen) {
    const { state, tracks } = this, { area, ink } = tracks, { start, end } = state.selection;
    const left = Math.max(area.left, tracks.toX(start)), right = Math.min(area.right, tracks.toX(end));
    if (right < area.left || left > area.right) return;
    pen.fillStyle = ink.link; pen.globalAlpha = 0.18; pen.fillRect(left, 24, Math.max(1, right - left), area.height - 34);
    pen.globalAlpha = 1;
    for (const time of [start, end]) this.line(pen, time, ink.link, 1.5, null);
  }
  line(pen, time, color, width, text) {
    const { state, tracks } = this, { area, ink } = tracks;
    if (time < state.from || time > state.to) return;
    const x = tracks.toX(time);
    pen.fillStyle = color; pen.fillRect(x - width / 2, 4, width, area.height - 14);
    if (!text) return;
    pen.font = "600 11px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
    const half = pen.measureText(text).width / 2 + 6, middle = Math.min(Math.max(x, half), area.width - half);
    pen.beginPath(); pen.roundRect(middle - half, 3, 2 * half, 19, 5); pen.fill();
    pen.fillStyle = ink.paper; pen.fillText(text, middle, 13);
  }
  /* The whole recording in small, with the part that is in view. Its segments are drawn once. */
  drawOverview() {
    const { state, tracks, parts, model } = this, { area, ink } = tracks, pen = sized(parts.overview, area.width, OVERVIEW);
    const key = [area.width, area.left, devicePixelRatio, state.highlighted, ink.paper, model.ribbons.length ? "" : state.series].join();
    if (this.overviewKey !== key) {
      tracks.drawOverview(sized(this.overview, area.width, OVERVIEW), OVERVIEW);
      this.overviewKey = key;
    }
    if (this.overview.width && this.overview.height) pen.drawImage(this.overview, 0, 0, area.width, OVERVIEW);
    const scale = (area.right - area.left) / (model.to - model.from), place = (time) => area.left + (time - model.from) * scale;
    const left = place(state.from), right = place(state.to);
    pen.fillStyle = ink.paper; pen.globalAlpha = 0.72;
    pen.fillRect(area.left, 0, left - area.left, OVERVIEW); pen.fillRect(right, 0, area.right - right, OVERVIEW);
    pen.globalAlpha = 1; pen.strokeStyle = ink.text; pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.75, 1.75, Math.max(4, right - left) - 1.5, OVERVIEW - 3.5);
    if (state.selection) {
      pen.fillStyle = ink.link; pen.globalAlpha = 0.4;
      pen.fillRect(place(state.selection.start), 0, Math.max(1, (state.selection.end - state.selection.start) * scale), OVERVIEW);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = ink.cursor; pen.fillRect(place(state.cursor) - 0.75, 0, 1.5, OVERVIEW);
  }
  drawFaces() {
    const { media, faces } = this.parts;
    faces.hidden = !this.loaded || !media.videoWidth || !this.model.faces.people.length || !this.parts["show-faces"].checked;
    if (!faces.hidden) drawFaces(faces, media, this.tracks, media.seeking ? this.state.cursor : media.currentTime);
  }

  /* The clock, the legend and the text for screen readers, all at the cursor. */
  showCursorValues() {
    const { model, parts, say, state, tracks } = this, { series } = tracks, i = series ? series.at(state.cursor) : -1;
    const values = i >= 0 && series.known(state.kind, i) ? model.emotions.map((_, e) => series.share(state.kind, i, e)) : null;
    const top = values ? series.top(state.kind, i) : [], time = model.clock(state.cursor);
    const result = values && { emotion: model.joined(top), percent: Math.round(series.sum(state.kind, i, top) * 100) };
    parts.now.textContent = time;
    this.legendItems ||= [...parts.legend.children].map((item) =>
      ({ button: item.firstChild, value: item.querySelector(".value"), bar: item.querySelector("i") }));
    this.legendItems.forEach((item, e) => {
      item.button.classList.toggle("top", top.includes(e));
      const percent = values ? Math.round(values[e] * 1000) / 10 : null;
      if (item.percent === percent) return;
      item.percent = percent;
      item.value.textContent = values ? Math.round(percent) + " %" : "–";
      item.bar.style.width = (percent || 0) + "%";
    });
    const rated = this.ratingsAt(i), spoken = this.spokenRatings(rated);
    this.showRatings(rated);
    this.showWhose(i, time, result, spoken);
    parts.tracks.setAttribute("aria-valuenow", state.cursor.toFixed(2));
    const words = values ? say("position_value", { time, ...result }) : model.n || !spoken.length ? say("position_nothing", { time }) : time;
    parts.tracks.setAttribute("aria-valuetext", [words, ...spoken].join(", "));
  }

  /* Above the values: whose they are, from what, and what they say. */
  showWhose(i, time, result, spoken) {
    const { model, parts, say, state, tracks: { series } } = this, name = series && (model.nameOf(series.person) ?? this.voiceName());
    const from = (kind) => (series.known(kind, i) ? [say(kind)] : []), kinds = state.kind === "fused" ? ["voice", "face"] : [state.kind];
    const where = say(name ? "values_of" : "values_at", { name, time });
    const found = result ? [kinds.flatMap(from).join(" + "), say("percent", { what: result.emotion, percent: result.percent })]
      : !model.n && spoken.length ? [] // the ratings themselves are below
      : [[say("no_result_fused"), i >= 0 ? model.reasons[series.reasons[i]] : ""].filter(Boolean).join(": ")];
    const words = [where, ...found].join(", ");
    if (parts.whose.textContent === words) return;
    const shown = found.length ? [", " + (result ? found[0] + ", " : ""), make(result ? "strong" : "span", {}, found.at(-1))] : [];
    parts.whose.replaceChildren(make("strong", {}, where), ...shown);
  }
  /* What a voice is called that is nobody's; nothing, where there is nobody else. */
  voiceName() { return this.model.people.length ? this.say("nobody") : ""; }

  /* --- time */

  seek(time) {
    const { state, parts } = this;
    state.cursor = this.model.clamped(time);
    if (this.loaded) parts.media.currentTime = Math.max(0, state.cursor);
    if (state.cursor < state.from || state.cursor > state.to) this.showSpan(state.cursor - (state.to - state.from) / 2);
    this.showCursorValues();
    this.redraw(false);
    this.tell("seek", { time: state.cursor });
  }
  showSpan(from, length = this.state.to - this.state.from) {
    const { model, parts, state } = this, whole = model.to - model.from;
    const span = Math.min(Math.max(length, model.narrowest), whole);
    state.from = Math.min(Math.max(from, model.from), model.to - span);
    state.to = state.from + span;
    parts.in.disabled = span <= model.narrowest * 1.001;
    parts.out.disabled = parts.fit.disabled = span >= whole * 0.999;
    this.redraw();
  }
  zoom(factor, around = this.state.cursor) {
    const { from, to } = this.state, anchor = around >= from && around <= to ? around : (from + to) / 2;
    const span = Math.min(Math.max((to - from) * factor, this.model.narrowest), this.model.to - this.model.from);
    this.showSpan(anchor - ((anchor - from) / (to - from)) * span, span);
  }
  follow() {
    const { media } = this.parts, { model, state } = this;
    this.following = !media.paused && !this.ended.signal.aborted;
    if (!this.following) return;
    if (media.currentTime >= model.to && media.duration > model.to + 0.1) media.pause(); // an excerpt ends before the recording does
    state.cursor = model.clamped(media.currentTime);
    const span = state.to - state.from;
    if (state.cursor > state.to - span * 0.05 || state.cursor < state.from) this.showSpan(state.cursor - span * 0.1);
    this.showCursorValues();
    this.drawCursor();
    requestAnimationFrame(() => this.follow());
  }
  play() {
    const { media, status, file } = this.parts;
    if (!this.loaded) { status.textContent = this.say("open_first"); file.focus(); return; }
    if (!media.paused) { media.pause(); return; }
    if (this.state.cursor >= this.model.to - 0.05) this.seek(this.model.from);
    media.play().catch((error) => { status.textContent = String(error.message); });
  }
  /* To the next or the last time at which a segment starts. */
  step(direction) {
    const { edges } = this.model, { cursor } = this.state;
    const at = direction > 0 ? firstFrom(edges, cursor + 0.01) : firstFrom(edges, cursor - 0.01) - 1;
    if (at >= 0 && at < edges.length) this.seek(edges[at]);
  }

  /* --- selection */

  /* Select a span of time; without arguments, nothing. */
  select(start = null, end = null) {
    this.setSelection(start === null || end === null ? null : { start: Math.min(start, end), end: Math.max(start, end) });
    this.announceSelection();
  }
  setSelection(selection) {
    const { model, parts, say } = this;
    if (selection) selection = { start: model.clamped(selection.start), end: model.clamped(selection.end) };
    this.state.selection = selection && selection.end > selection.start ? selection : null;
    parts["select-zoom"].disabled = parts["select-clear"].disabled = !this.state.selection;
    parts.selected.textContent = this.state.selection ? say("selected", this.selectionWords()) : say("selected_nothing");
    this.redraw(false);
  }
  selectionWords() {
    const { start, end } = this.state.selection, { model } = this;
    return { start: model.clock(start), end: model.clock(end), length: (end - start).toFixed(1) };
  }
  announceSelection() {
    const { selection } = this;
    this.parts.spoken.textContent = selection ? this.say("selection_spoken", this.selectionWords()) : this.say("selection_cleared");
    this.tell("select", { selection });
  }
  /* One end of the selection at the cursor; the other stays, or is the end of the recording. */
  selectEnd(which) {
    const { cursor, selection } = this.state, { model } = this;
    const other = which === "start" ? (selection && selection.end > cursor ? selection.end : model.to)
      : (selection && selection.start < cursor ? selection.start : model.from);
    this.select(cursor, other);
  }

  /* --- the recording */

  load(address, name) {
    this.loaded = false;
    this.parts.media.dataset.name = name;
    this.parts.media.src = address;
  }
  release() { if (this.parts.media.src.startsWith("blob:")) URL.revokeObjectURL(this.parts.media.src); }
  open(file) {
    if (!file) return;
    this.release();
    this.load(URL.createObjectURL(file), file.name);
  }
  whenLoaded() {
    const { media, again, invite, player, stage, status } = this.parts;
    this.loaded = true;
    media.hidden = again.hidden = false;
    invite.hidden = true;
    stage.classList.toggle("audio-only", !media.videoWidth);
    player.classList.toggle("film", media.videoWidth > 0);
    this.parts["faces-switch"].hidden = !this.model.faces.people.length || !media.videoWidth;
    this.parts["full-screen"].hidden = !media.videoWidth || !document.fullscreenEnabled;
    status.textContent = "";
    this.showMediaControls();
    media.currentTime = Math.max(0, this.state.cursor);
    this.redraw(false);
  }
  whenNotLoaded() {
    const { media, again, invite, status } = this.parts;
    if (!media.getAttribute("src")) return;
    this.loaded = false;
    media.hidden = again.hidden = true;
    invite.hidden = false;
    if (media.dataset.name) status.textContent = this.say("cannot_play", { name: media.dataset.name });
    this.redraw(false);
  }

  /* --- what people do */

  choosePerson(name) {
    const at = this.model.series.findIndex(({ person }) => person === name || (person !== null && this.model.nameOf(person) === name));
    if (at < 0) return;
    this.state.series = at;
    this.parts.person.value = String(at);
    this.showCursorValues();
    this.redraw();
    this.tell("person", { person: this.person });
  }
  highlight(emotion) {
    const { state, parts } = this;
    state.highlighted = state.highlighted === emotion ? null : emotion;
    parts.legend.classList.toggle("some", state.highlighted !== null);
    [...parts.legend.children].forEach((item, e) => item.firstChild.setAttribute("aria-pressed", String(e === state.highlighted)));
    this.redraw();
  }
  listen() {
    const { parts, state, ended: { signal } } = this;
    const on = (target, type, act, more = {}) => target.addEventListener(type, act, { signal, ...more });
    const click = (part, act) => on(parts[part], "click", act);
    this.listenToMedia(on);
    this.listenToPointer(on);
    [...parts.legend.children].forEach((item, e) => on(item.firstChild, "click", () => this.highlight(e)));
    on(parts.kind, "change", (event) => { state.kind = event.target.value; this.showCursorValues(); this.redraw(); });
    on(parts.shape, "change", (event) => { state.stacked = event.target.value === "stacked"; this.redraw(); });
    on(parts.person, "change", () => this.choosePerson(this.model.series[Number(parts.person.value)].person));
    on(parts["show-faces"], "change", () => this.redraw(false));
    click("play", () => this.play());
    click("in", () => this.zoom(0.5));
    click("out", () => this.zoom(2));
    click("fit", () => this.showSpan(this.model.from, this.model.to - this.model.from));
    click("select-start", () => this.selectEnd("start"));
    click("select-end", () => this.selectEnd("end"));
    click("select-zoom", () => this.showSpan(state.selection.start, state.selection.end - state.selection.start));
    click("full-screen", () => (document.fullscreenElement ? document.exitFullscreen() : parts.screen.requestFullscreen()));
    click("select-clear", () => { this.select(); parts["select-start"].focus(); });
    on(this.root, "click", (event) => {
      const pressed = event.target.closest("button");
      if (!pressed) return;
      if (pressed.dataset.time !== undefined) this.seek(Number(pressed.dataset.time));
      else if (pressed.dataset.part === "rows-before") this.segments.turn(-1);
      else if (pressed.dataset.part === "rows-after") this.segments.turn(1);
      else if (pressed.dataset.part === "rows-cursor") this.segments.showTime(state.cursor);
    });
    on(document, "keydown", (event) => this.whenKey(event));
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => { this.tracks.ink = readInk(this.root, this.model.n); this.redraw(); });
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(parts.tracks);
    this.resized.observe(parts.media);
  }
  listenToMedia(on) {
    const { media, play, file, stage } = this.parts;
    on(media, "loadedmetadata", () => this.whenLoaded());
    on(media, "error", () => this.whenNotLoaded());
    for (const kind of ["play", "pause", "ended"])
      on(media, kind, () => {
        play.textContent = this.say(media.paused ? "play" : "pause");
        if (kind === "play" && !this.following) this.follow();
      });
    on(media, "seeked", () => {
      if (media.paused && Math.abs(media.currentTime - this.state.cursor) > 0.05) this.seek(media.currentTime);
      else this.redraw(false);
    });
    this.listenToScreen(on);
    for (const input of [file, this.parts["file-again"]]) on(input, "change", () => this.open(input.files[0]));
    for (const kind of ["dragover", "dragleave", "drop"])
      on(stage, kind, (event) => {
        event.preventDefault();
        stage.classList.toggle("over", kind === "dragover");
        if (kind === "drop") this.open(event.dataTransfer.files[0]);
      });
  }
  whenKey(event) {
    const at = event.target, { state, model } = this;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.closest("select, input, textarea, video, summary, dialog, [contenteditable]")) return;
    if (event.key === " " && at.closest("button, a")) return;
    const jump = event.shiftKey ? 10 : 1;
    const act = {
      " ": () => this.play(), ArrowLeft: () => this.seek(state.cursor - jump), ArrowRight: () => this.seek(state.cursor + jump),
      Home: () => this.seek(model.from), End: () => this.seek(model.to), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
      "-": () => this.zoom(2), 0: () => this.showSpan(model.from, model.to - model.from), "[": () => this.step(-1), "]": () => this.step(1),
      i: () => this.selectEnd("start"), o: () => this.selectEnd("end"),
      Escape: () => { if (state.selection) this.select(); else if (state.highlighted !== null) this.highlight(state.highlighted); },
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

globalThis.emofuseViewer = { mount: (root, view, options) => new Viewer(root, view, options), facesAt, ratingItem, shortened };
