// What somebody changed about a timeline, with undo. Every change is kept by the service at once.

import { askForReply, Refused, sending } from "./api.js";

const KINDS = ["names", "merges", "excluded", "markers"];
const DEPTH = 100; // changes that can be taken back

/* The names, merges, excluded spans and markers of one job. Persons are called as in the recording as it was read. */
export class Annotations extends EventTarget {
  constructor(id, people) {
    super();
    this.address = `/v1/jobs/${id}/annotations`;
    this.key = `emofuse.undo.${id}`;
    this.people = people;
    this.data = { names: {}, merges: {}, excluded: [], markers: [] };
    this.etag = null;
    this.past = [];
    this.future = [];
  }

  async load() {
    this.take(await askForReply(this.address));
    const kept = JSON.parse(sessionStorage.getItem(this.key) || "null");
    if (kept && kept.etag === this.etag) { this.past = kept.past; this.future = kept.future; }
  }

  take({ data, headers }) {
    this.data = Object.fromEntries(KINDS.map((kind) => [kind, data[kind]]));
    this.etag = headers.get("ETag");
  }

  // --- who is who

  /* Into whom somebody was merged in the end: themselves, if they were not. */
  root(person) {
    while (this.data.merges[person] !== undefined) person = this.data.merges[person];
    return person;
  }
  shownName(person) { const root = this.root(person); return this.data.names[root] || root; }
  /* The person who is shown under a name. */
  called(name) { return this.people.find((person) => this.data.merges[person] === undefined && this.shownName(person) === name); }
  /* Everybody who was merged into a person. */
  mergedInto(person) { return this.people.filter((one) => one !== person && this.root(one) === person); }
  left() { return this.people.filter((person) => this.data.merges[person] === undefined); }

  // --- changes

  rename(person, name) { return this.change({ ...this.data, names: without(this.data.names, person, name === person ? {} : { [person]: name }) }); }
  merge(person, into) { return this.change({ ...this.data, merges: { ...this.data.merges, [person]: into } }); }
  split(person) { return this.change({ ...this.data, merges: without(this.data.merges, person) }); }
  add(kind, mark) { return this.change({ ...this.data, [kind]: [...this.data[kind], mark] }); }
  remove(kind, mark) { return this.change({ ...this.data, [kind]: this.data[kind].filter((one) => !same(one, mark)) }); }
  replace(kind, old, mark) { return this.change({ ...this.data, [kind]: this.data[kind].map((one) => (same(one, old) ? mark : one)) }); }

  async change(wanted) {
    const before = this.data;
    await this.send(wanted);
    this.past = [...this.past, before].slice(-DEPTH);
    this.future = [];
    this.keep();
  }

  async undo() { await this.step(this.past, this.future); }
  async redo() { await this.step(this.future, this.past); }
  async step(from, to) {
    if (!from.length) return;
    const before = this.data;
    await this.send(from[from.length - 1]);
    from.pop();
    to.push(before);
    this.keep();
  }

  async send(wanted) {
    try {
      this.take(await askForReply(this.address, sending("PATCH", patch(this.data, wanted), { "If-Match": this.etag })));
    } catch (error) {
      if (error instanceof Refused && error.status === 412) { // somebody else changed it: undo would undo theirs
        this.past = this.future = [];
        this.take(await askForReply(this.address));
        this.keep();
      }
      throw error;
    }
  }

  keep() {
    sessionStorage.setItem(this.key, JSON.stringify({ etag: this.etag, past: this.past, future: this.future }));
    this.dispatchEvent(new Event("change"));
  }
}

/* A JSON merge patch that makes one of the other; what is null there is taken back. */
function patch(from, to) {
  const made = { excluded: to.excluded, markers: to.markers };
  for (const kind of ["names", "merges"]) {
    made[kind] = { ...to[kind] };
    for (const key of Object.keys(from[kind])) if (!(key in to[kind])) made[kind][key] = null;
  }
  return made;
}

function without(all, key, more = {}) {
  const { [key]: _, ...rest } = all;
  return { ...rest, ...more };
}

const FIELDS = ["start_s", "end_s", "person", "text", "reason"];
const same = (one, other) => FIELDS.every((field) => (one[field] ?? null) === (other[field] ?? null));
