/* A view, as it is packed for JSON → what is drawn and looked up. Times are in seconds. */

const UNKNOWN = 255, BOX_UNIT = 1e-4, STATUS = ["nothing", "abstained", "excluded", "read"];

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
/* The index of the first of increasing times that is not before a time. */
function firstFrom(times, time) {
  let low = 0, high = times.length;
  while (low < high) { const mid = (low + high) >> 1; if (times[mid] < time) low = mid + 1; else high = mid; }
  return low;
}

/* One person's windows. A window is drawn at its midpoint: its cell reaches halfway to its neighbors. */
class Series {
  constructor(packed, kinds, n, alike) {
    const starts = new Int32Array(bytes(packed.starts).buffer), ends = new Int32Array(bytes(packed.ends).buffer);
    this.person = packed.person;
    this.emotions = n;
    this.n = starts.length;
    this.middle = new Float64Array(this.n); this.left = new Float64Array(this.n); this.right = new Float64Array(this.n);
    const { middle, left, right } = this, last = this.n - 1;
    for (let i = 0; i <= last; i++) middle[i] = (starts[i] + ends[i]) / 2000;
    for (let i = 0; i <= last; i++) {
      left[i] = i ? Math.max(starts[i] / 1000, (middle[i - 1] + middle[i]) / 2) : starts[i] / 1000;
      right[i] = i < last ? Math.min(ends[i] / 1000, (middle[i] + middle[i + 1]) / 2) : ends[i] / 1000;
    }
    this.of = Object.fromEntries(kinds.map((kind) => [kind, bytes(packed[kind])]));
    this.tied = { fused: bytes(packed.fused_tied), face: bytes(packed.face_tied) }; // a bit per window
    this.alike = alike;
    this.speech = bytes(packed.speech); this.face = bytes(packed.face_present);
    this.reasons = packed.reasons; this.speakers = packed.speakers;
    // on each scale, value, low and high of every window; NaN: not rated
    this.ratings = (packed.ratings || []).map((each) => new Float32Array(bytes(each).buffer));
    this.runs = {}; this.sums = {};
  }
  known(kind, i) { return this.emotions > 0 && this.of[kind][i * this.emotions] !== UNKNOWN; }
  share(kind, i, emotion) { return this.of[kind][i * this.emotions + emotion] / 200; }
  /* The most probable emotion of a window, with those that a face alone does not tell from it. */
  top(kind, i) {
    let top = 0;
    for (let e = 1; e < this.emotions; e++) if (this.share(kind, i, e) > this.share(kind, i, top)) top = e;
    if (!this.tied[kind] || !(this.tied[kind][i >> 3] & (128 >> (i & 7)))) return [top];
    // equal ones may lie half a percent apart once they are rounded
    return this.alike.find((group) => this.share(kind, i, group[0]) > this.share(kind, i, top) - 0.0075) || [top];
  }
  /* What these emotions have together. */
  sum(kind, i, emotions) { return emotions.reduce((sum, e) => sum + this.share(kind, i, e), 0); }
  /* The window that is drawn at a time, or -1. */
  at(time) {
    const i = firstFrom(this.right, time);
    return i < this.n && this.left[i] <= time ? i : -1;
  }
  /* The indices of the windows between two times: the first, and the one behind the last. */
  between(from, to) {
    return [firstFrom(this.right, from), Math.min(this.n, firstFrom(this.left, to) + 1)];
  }
  rated(k, i) { return !Number.isNaN(this.ratings[k][3 * i]); }
  rating(k, i) { return Array.from(this.ratings[k].subarray(3 * i, 3 * i + 3)); }
  /* Stretches of windows that follow one another, all with results or all without: {known, first, end}. */
  stretches(kind, isKnown = (i) => this.known(kind, i)) {
    if (this.runs[kind]) return this.runs[kind];
    const found = (this.runs[kind] = []);
    for (let i = 0; i < this.n; i++) {
      const known = isKnown(i), run = found[found.length - 1];
      if (run && run.known === known && (!known || this.left[i] - this.right[i - 1] <= 0.0015)) run.end = i + 1;
      else found.push({ known, first: i, end: i + 1 });
    }
    return found;
  }
  /* Mean shares of the windows first … end - 1, which have results. The sums are made once. */
  means(kind, first, end) {
    const n = this.emotions;
    if (!this.sums[kind]) {
      const values = this.of[kind], sums = (this.sums[kind] = new Uint32Array((this.n + 1) * n));
      for (let k = 0; k < values.length; k++) sums[k + n] = sums[k] + values[k];
    }
    const sums = this.sums[kind], row = new Float64Array(n), scale = 200 * (end - first);
    for (let e = 0; e < n; e++) row[e] = (sums[end * n + e] - sums[first * n + e]) / scale;
    return row;
  }
  /* The same of value, low and high on a scale. */
  meanRating(k, first, end) {
    const values = this.ratings[k], key = "rating " + k;
    if (!this.sums[key]) {
      const sums = (this.sums[key] = new Float64Array(values.length + 3));
      for (let i = 0; i < values.length; i++) sums[i + 3] = sums[i] + (Number.isNaN(values[i]) ? 0 : values[i]);
    }
    const sums = this.sums[key];
    return Float64Array.from([0, 1, 2], (part) => (sums[end * 3 + part] - sums[first * 3 + part]) / (end - first));
  }
}

/* One person's segments, in order of time. */
class Ribbon {
  constructor(packed, emotions) {
    this.person = packed.person; this.name = packed.name;
    this.parts = packed.segments.map(([start, end, emotion, confidence, status, words]) =>
      ({ start: start / 1000, end: end / 1000, emotion, confidence, status: STATUS[status], word: words || emotions[emotion] }));
    this.ends = Float64Array.from(this.parts, (part) => part.end);
  }
  first(from) { return Math.max(0, firstFrom(this.ends, from)); }
  at(time) {
    const part = this.parts[firstFrom(this.ends, time + 1e-9)];
    return part && part.start <= time ? part : null;
  }
}

class Model {
  constructor(view) {
    this.emotions = view.emotions; this.n = view.emotions.length;
    this.scales = view.scales || [];
    this.people = view.people; this.names = view.names;
    this.alike = view.alike;
    this.kinds = view.kinds; this.known = view.known; this.kind = view.kind; this.reasons = view.reasons;
    this.from = view.start; this.to = Math.max(view.end, view.start + 1e-3);
    this.narrowest = Math.min(1, this.to - this.from);
    this.series = view.series.map((each) => new Series(each, view.kinds, this.n, view.alike));
    this.ribbons = view.ribbons.map((each) => new Ribbon(each, view.emotions))
      .filter(({ parts }) => this.n || parts.length); // without emotions, only what is excluded
    this.hasSpeech = this.series.some((series) => series.speech.some((share) => share !== UNKNOWN));
    this.ties = this.series.some(({ tied }) => [...tied.fused, ...tied.face].some((byte) => byte));
    this.edges = Float64Array.from(this.ribbons.flatMap((ribbon) => ribbon.parts.map((part) => part.start))).sort();
    this.marks = view.marks.map(([start, end, kind, who, text]) =>
      ({ start: start / 1000, end: (end === null ? start : end) / 1000, kind, who, text }));
    this.faces = unpackedFaces(view.faces);
    this.peaks = view.peaks && {
      bin: view.peaks.bin_s, start: view.peaks.start_s,
      low: new Int8Array(bytes(view.peaks.low).buffer), high: new Int8Array(bytes(view.peaks.high).buffer),
    };
    if (this.peaks) {
      const { low, high } = this.peaks;
      this.loudest = high.reduce((a, b) => Math.max(a, b), low.reduce((a, b) => Math.max(a, -b), 8));
    }
  }
  clamped(time) { return Math.min(Math.max(time, this.from), this.to); }
  /* The name of a person of the windows or segments; null: nobody in particular. */
  nameOf(person) { return person === null ? null : this.names[this.people.indexOf(person)]; }
  /* "neutral or calm". */
  joined(emotions) { return emotions.map((e) => this.emotions[e]).join(" or "); }
  clock(time, digits = 1) {
    const tick = 10 ** digits, ticks = Math.round(Math.abs(time) * tick), whole = Math.floor(ticks / tick);
    const two = (value) => String(value).padStart(2, "0");
    const rest = digits ? "." + String(ticks % tick).padStart(digits, "0") : "";
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const head = hours || this.to >= 3600 ? hours + ":" + two(minutes) : String(minutes);
    return (time < 0 && ticks ? "−" : "") + head + ":" + two(whole % 60) + rest;
  }
}
