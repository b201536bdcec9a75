/* Ratings on numeric scales: a track for each scale, whose line is the rating and whose band its interval. */

const RATING = 72; // the height of a track

/* A rating with as many digits as its scale needs to tell a hundredth of its range. */
function digitsOf({ low, high }) { return Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(high - low)))); }
function ratingText(scale, value) { return value.toFixed(digitsOf(scale)).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, ""); }
/* A bound of the scale, without digits that it does not have. */
function boundText(value) { return String(Number(value.toPrecision(6))).replace("-", "−"); }
/* {name, value, low, high} in words' places: of a rating, as series.rating() gives it. */
function ratingWords(scale, rating) {
  const [value, low, high] = rating.map((one) => ratingText(scale, one));
  return { name: scale.name, value, low, high, percent: Math.round(scale.level * 100) };
}

Tracks.prototype.ratingRows = function () {
  return this.model.scales.map((scale, k) => ({ what: "rating", name: scale.name, scale: k, height: RATING }));
};
Tracks.prototype.ratingY = function (row, value) {
  const { low, high } = this.model.scales[row.scale];
  return row.top + row.height * (1 - Math.min(1, Math.max(0, (value - low) / (high - low))));
};
Tracks.prototype.drawRating = function (pen, row) {
  const { area, ink, state, series } = this;
  pen.fillStyle = ink.gap; pen.fillRect(area.left, row.top, area.right - area.left, row.height);
  if (series) {
    const [first, last] = series.between(state.from, state.to), k = row.scale;
    pen.font = "12px " + FONT; pen.textAlign = "center"; pen.textBaseline = "middle";
    for (const stretch of series.stretches("rating " + k, (i) => series.rated(k, i))) {
      if (stretch.end <= first) continue;
      if (stretch.first >= last) break;
      if (!stretch.known) { if (row.what) this.drawGap(pen, row, series, stretch, this.say("not_rated")); continue; }
      const run = this.points(series, Math.max(stretch.first, first - 1), Math.min(stretch.end, last + 1), (i, j) => series.meanRating(k, i, j));
      const x = run.xs[0], width = run.xs[run.xs.length - 1] - x;
      pen.fillStyle = ink.paper; pen.fillRect(x, row.top, width, row.height);
      pen.fillStyle = ink.grid; pen.fillRect(x, row.top, width, 1); pen.fillRect(x, row.top + row.height - 1, width, 1);
      this.drawRun(pen, run, row);
    }
  }
  if (row.what) this.drawBounds(pen, row); // not in the overview
};
/* The band, its edges and the line; of very many points, column by column, as it is drawn for the emotions. */
Tracks.prototype.drawRun = function (pen, run, row) {
  const { xs, rows } = run, { ink } = this, last = xs.length - 1, y = (value) => this.ratingY(row, value);
  if ((xs[last] - xs[0]) / xs.length < NARROW) { this.ratingColumns(pen, run, row); return; }
  pen.beginPath();
  pen.moveTo(xs[0], y(rows[0][1]));
  for (let i = 1; i <= last; i++) pen.lineTo(xs[i], y(rows[i][1]));
  for (let i = last; i >= 0; i--) pen.lineTo(xs[i], y(rows[i][2]));
  pen.closePath();
  pen.fillStyle = ink.hatch; pen.globalAlpha = 0.45; pen.fill(); pen.globalAlpha = 1;
  pen.lineJoin = "round";
  for (const [part, color, width] of [[1, ink.quiet, 1], [2, ink.quiet, 1], [0, ink.text, 2]]) {
    pen.strokeStyle = color; pen.lineWidth = width; pen.beginPath();
    for (let i = 0; i <= last; i++) pen.lineTo(xs[i], y(rows[i][part]));
    pen.stroke();
  }
};
Tracks.prototype.ratingColumns = function (pen, run, row) {
  const { ink } = this, y = (value) => this.ratingY(row, value);
  let before = NaN;
  this.eachColumn(run, (x, width, [value, low, high]) => {
    pen.fillStyle = ink.hatch; pen.globalAlpha = 0.45; pen.fillRect(x, y(high), width, y(low) - y(high));
    const now = y(value), last = Number.isNaN(before) ? now : before;
    pen.fillStyle = ink.text; pen.globalAlpha = 1; pen.fillRect(x, Math.min(now, last) - 1, width, Math.abs(now - last) + 2);
    before = now;
  });
};
/* The ends of the scale, over the band. */
Tracks.prototype.drawBounds = function (pen, row) {
  const { area, ink } = this, { low, high } = this.model.scales[row.scale];
  pen.font = "11px " + FONT; pen.textAlign = "left"; pen.lineJoin = "round";
  for (const [value, y, baseline] of [[high, row.top + 3, "top"], [low, row.top + row.height - 2, "bottom"]]) {
    pen.textBaseline = baseline; pen.strokeStyle = ink.paper; pen.lineWidth = 3; pen.strokeText(boundText(value), area.left + 4, y);
    pen.fillStyle = ink.quiet; pen.fillText(boundText(value), area.left + 4, y);
  }
};

/* --- at the cursor and at the pointer */

/* The scales, with their ratings at the cursor: a mark in a bar from end to end, over the interval. */
function ratingLegend(say, model) {
  return make("ul", { class: "ratings", "data-part": "ratings", "aria-label": say("ratings"), hidden: !model.scales.length });
}
/* One scale of such a list, and what shows a rating, value, low and high, in it; null: none. */
function ratingItem(say, scale) {
  const value = make("span", { class: "value" }, "–"), band = make("i", { hidden: true }), mark = make("b", { hidden: true });
  const share = (one) => 100 * Math.min(1, Math.max(0, (one - scale.low) / (scale.high - scale.low)));
  const show = (rating) => {
    const text = rating ? say("rating_value", ratingWords(scale, rating)) : "–";
    if (value.textContent === text) return;
    value.textContent = text;
    band.hidden = mark.hidden = !rating;
    if (!rating) return;
    const [middle, low, high] = rating.map(share);
    mark.style.left = middle + "%"; band.style.left = low + "%"; band.style.width = high - low + "%";
  };
  const item = make("li", {}, make("span", { class: "name" }, scale.name), value,
    make("span", { class: "scale", "aria-hidden": "true" }, band, mark));
  return { item, show };
}
Viewer.prototype.ratingMeans = function ({ low, high, level }) {
  return this.say("rating_means", { low: boundText(low), high: boundText(high), percent: Math.round(level * 100) });
};
/* The ratings at a window, by scale: null where there is none. */
Viewer.prototype.ratingsAt = function (i) {
  const { series } = this.tracks;
  return this.model.scales.map((_, k) => (i >= 0 && series.rated(k, i) ? series.rating(k, i) : null));
};
Viewer.prototype.showRatings = function (found) {
  if (!this.ratingItems) {
    this.ratingItems = this.model.scales.map((scale) => ratingItem(this.say, scale));
    this.parts.ratings.append(...this.ratingItems.map(({ item }) => item));
  }
  this.ratingItems.forEach(({ show }, k) => show(found[k]));
};
/* What screen readers say of them after the time. */
Viewer.prototype.spokenRatings = function (found) {
  return this.model.scales.flatMap((scale, k) => (found[k] ? [this.say("rating_spoken", ratingWords(scale, found[k]))] : []));
};
Viewer.prototype.ratingTip = function (row) {
  const { model, say, state } = this, { series } = this.tracks, i = series ? series.at(state.hover) : -1, scale = model.scales[row.scale];
  if (i < 0) return [say("no_window")];
  const reason = model.reasons[series.reasons[i]];
  if (!series.rated(row.scale, i)) return [scale.name + ": " + say("not_rated"), ...(reason ? [reason] : [])];
  const words = ratingWords(scale, series.rating(row.scale, i));
  return [say("rating_at", words), say("rating_interval", words), ...(reason ? [reason] : [])];
};
