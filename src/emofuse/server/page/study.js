// One study: its recordings, their conditions and the people in them. What comes out of it is in study_results.js.

import { ask, askForReply, sending } from "./api.js";
import { asked, button, by, el, say } from "./dom.js";
import { StudyResults } from "./study_results.js";
import { t } from "./texts.js";

const LOOK_MS = 4000;
const isOpen = (recording) => recording.state === "queued" || recording.state === "running";

export async function show(root, [id]) {
  const view = new Study(root, id);
  await view.begin();
  return () => view.end();
}

class Study {
  constructor(root, id) {
    this.root = root;
    this.address = `/v1/studies/${id}`;
    this.changes = Promise.resolve(); // one after the other, each made of what the one before left
    this.looking = 0;
  }

  async begin() {
    await this.read();
    const { study } = this;
    this.heading = el("h1", { id: "study-title", tabindex: "-1" }, study.name);
    this.participants = el("datalist", { id: "participants" });
    this.conditions = el("datalist", { id: "conditions" });
    this.summary = el("p", { id: "study-facts", class: "quiet" });
    this.body = el("tbody");
    this.table = el("table", { class: "recordings" },
      el("thead", {}, el("tr", {}, ...["recording", "condition", "people", "markers"].map((name) => el("th", { scope: "col" }, t(`study.column.${name}`))),
        el("td", {}))), this.body);
    this.none = el("p", { class: "quiet" }, t("study.none"));
    this.keeping = el("p", { class: "note study-keeping" });
    this.results = new StudyResults(study);
    this.root.append(
      el("p", { class: "quiet" }, el("a", { href: "#/studies" }, t("study.all"))), this.heading, this.summary,
      this.participants, this.conditions,
      el("section", { "aria-labelledby": "recordings-title" },
        el("h2", { id: "recordings-title", tabindex: "-1" }, t("study.recordings")), el("p", { class: "quiet" }, t("study.says")),
        this.none, this.keeping, this.table, this.adding()),
      this.results.root,
      el("div", { class: "line study-end" }, button(t("study.rename"), () => this.rename()), button(t("study.erase"), () => this.erase())));
    this.show();
    this.results.refresh(study, 0);
  }

  end() {
    clearTimeout(this.looking);
    this.ended = true;
    this.results.end();
  }

  async read() {
    const { data, headers } = await askForReply(this.address);
    this.study = data;
    this.version = headers.get("ETag");
  }

  // --- what there is

  show() {
    if (this.ended) return;
    const { study } = this, { recordings } = study;
    this.heading.textContent = study.name;
    this.summary.textContent = [t("study.nRecordings", { n: recordings.length }), t("study.nPeople", { n: study.participants.length }),
      t("study.nConditions", { n: study.conditions.length })].join(" · ");
    this.participants.replaceChildren(...study.participants.map((name) => el("option", { value: name })));
    this.conditions.replaceChildren(...study.conditions.map((name) => el("option", { value: name })));
    this.none.hidden = recordings.length > 0;
    this.showKeeping();
    this.table.hidden = !recordings.length;
    const places = [...recordings].sort((a, b) => a.file.localeCompare(b.file, undefined, { numeric: true }));
    const rows = new Map([...this.body.children].map((row) => [row.dataset.job, row]));
    places.forEach((recording, place) => {
      const before = rows.get(recording.job), isSame = before && before.shape === shapeOf(recording);
      const row = isSame ? before : this.row(recording); // a field that is written in stays what it is
      if (isSame) rows.delete(recording.job);
      if (this.body.children[place] !== row) this.body.insertBefore(row, this.body.children[place] || null);
      valuesOf(recording).forEach((value, number) => row.fields[number].show(value));
    });
    for (const row of rows.values()) row.remove();
    clearTimeout(this.looking);
    if (recordings.some(isOpen)) this.looking = setTimeout(() => this.look(), LOOK_MS);
  }

  /* A study outlives its recordings unless somebody says that they are kept. */
  showKeeping() {
    const ending = this.study.recordings.filter(({ keep_until: until }) => until).sort((a, b) => (a.keep_until < b.keep_until ? -1 : 1));
    this.keeping.hidden = !ending.length;
    if (!ending.length) return;
    const date = new Date(ending[0].keep_until).toLocaleDateString([], { dateStyle: "long" });
    this.keeping.replaceChildren(t("study.ending", { n: ending.length, date }), " ", button(t("study.keepAll"), () => this.keep(ending), { id: "keep-all" }));
  }

  async keep(ending) {
    const isKept = await this.kept(async () => {
      for (const { job } of ending) await ask(`/v1/jobs/${job}`, sending("PATCH", { keep: null }));
      await this.read();
    }, t("study.keptAll"));
    if (isKept) by("recordings-title").focus();
  }

  row(recording) {
    const { job, file, state } = recording, done = state === "done";
    const cell = (name, ...children) => el("td", { "data-name": t(`study.column.${name}`) }, ...children);
    const condition = this.field(t("study.conditionOf", { file }), "conditions", (value) => this.changeEntry(job, { condition: value }));
    const people = done ? this.people(recording) : [];
    const row = el("tr", { "data-job": job },
      el("th", { scope: "row" }, el("a", { href: `#/recording/${job}` }, file),
        done ? null : el("span", { class: "detail" }, ` ${t(`study.state.${state}`)}`), recording.error ? el("p", { class: "detail" }, recording.error) : null),
      cell("condition", condition), cell("people", ...people),
      cell("markers", done ? String(recording.n_markers) : ""),
      el("td", {}, button(t("study.takeOut"), () => this.takeOut(recording), { about: file })));
    row.shape = shapeOf(recording);
    row.fields = [condition, ...people];
    return row;
  }

  people(recording) {
    const { job, file, people } = recording;
    if (!people.length) {
      return [this.field(t("study.voiceOf", { file }), "participants", (name) => this.changeEntry(job, { participant: name }), t("study.voice"))];
    }
    return people.map(({ person }) => this.field(t("study.nameOf", { person, file }), "participants", (name) => this.name(job, person, name), person));
  }

  /* A text that is kept when it is left or Enter is pressed, and is shown as it was where it cannot be. */
  field(label, list, keep, placeholder = "") {
    let kept = "";
    const field = el("input", { "aria-label": label, list, placeholder, maxlength: 200, autocomplete: "off", change: async () => {
      if (!(await keep(field.value.trim() || null))) field.value = kept;
    } });
    field.show = (value) => {
      const isWritten = field === document.activeElement && field.value !== kept;
      kept = value || "";
      if (!isWritten) field.value = kept;
    };
    return field;
  }

  async look() {
    try {
      await this.read();
      this.show();
      this.results.refresh(this.study);
    } catch (error) { if (!this.ended) this.tell(error); }
  }

  // --- changes

  tell(error) { say(error instanceof TypeError ? t("silent") : error.message); }

  /* Make a change of the recordings as they are then; whether it is kept. */
  change(make, said) {
    return this.kept(async () => {
      const recordings = this.study.recordings.map(({ job, condition, participant }) => ({ job, condition, participant }));
      const { data, headers } = await askForReply(this.address, sending("PATCH", make(recordings), { "If-Match": this.version }));
      this.study = data;
      this.version = headers.get("ETag");
    }, said);
  }

  kept(make, said) {
    const done = this.changes.then(async () => {
      let isKept = true;
      try {
        await make();
        say(said);
      } catch (error) {
        if (error.status !== 412) { this.tell(error); return false; }
        isKept = false;
        await this.read();
        say(t("study.changedElsewhere"));
      }
      this.show();
      this.results.refresh(this.study);
      return isKept;
    });
    this.changes = done.catch(() => {});
    return done;
  }

  changeEntry(job, values) {
    return this.change((recordings) => ({ recordings: recordings.map((one) => (one.job === job ? { ...one, ...values } : one)) }), t("study.kept"));
  }

  name(job, person, name) {
    return this.kept(async () => {
      await ask(`/v1/jobs/${job}/annotations`, sending("PATCH", { names: { [person]: name } }));
      await this.read();
    }, t("study.kept"));
  }

  async takeOut({ job, file }) {
    if (await this.change((recordings) => ({ recordings: recordings.filter((one) => one.job !== job) }), t("study.takenOut", { file }))) by("recordings-title").focus();
  }

  async rename() {
    const name = await newName(this.study.name);
    if (name) await this.change(() => ({ name }), t("study.kept"));
    this.heading.focus();
  }

  async erase() {
    if (!(await asked(t("studies.eraseQuestion", { name: this.study.name }), t("studies.erase"), t("studies.keep")))) return;
    await this.results.pause(); // of a study that is gone, nothing is asked any more
    try {
      await ask(this.address, { method: "DELETE" });
      location.hash = "#/studies";
    } catch (error) {
      this.tell(error);
      this.results.refresh(this.study);
    }
  }

  // --- more recordings

  adding() {
    this.search = el("input", { id: "add-search", type: "search", autocomplete: "off", input: () => this.filter() });
    this.newCondition = el("input", { id: "add-condition", list: "conditions", maxlength: 200, autocomplete: "off" });
    this.choices = el("ul", { class: "study-choices", "aria-label": t("study.add.choices") });
    this.noChoice = el("p", { class: "quiet" });
    this.count = el("button", { class: "main", id: "add-chosen", disabled: true });
    const all = button(t("study.add.all"), () => {
      const boxes = this.shownBoxes(), checked = !boxes.every((box) => box.checked);
      for (const box of boxes) box.checked = checked;
      this.showCount();
    }, { id: "add-all" });
    const form = el("form", { id: "add-form", submit: (event) => { event.preventDefault(); this.add(); } },
      el("div", { class: "line" }, el("label", { for: "add-search" }, t("study.add.search")), this.search, all),
      this.noChoice, this.choices,
      el("div", { class: "line" }, el("label", { for: "add-condition" }, t("study.add.condition")), this.newCondition, this.count));
    this.chooser = el("details", { class: "panel", id: "add", toggle: () => { if (this.chooser.open) this.listChoices(); } },
      el("summary", {}, t("study.add.title")), form);
    this.chooser.open = !this.study.recordings.length;
    this.showCount();
    return this.chooser;
  }

  async listChoices() {
    const known = new Set(this.study.recordings.map(({ job }) => job)), jobs = [];
    try {
      for (let page = null; !page || page.length === 1000;) {
        page = (await ask(`/v1/jobs?limit=1000${page ? `&after=${page.at(-1).id}` : ""}`)).jobs;
        jobs.push(...page.filter((job) => !known.has(job.id) && job.state !== "failed" && job.state !== "cancelled"));
      }
    } catch (error) { this.tell(error); return; }
    this.choices.replaceChildren(...jobs.map((job) => el("li", {}, el("label", {},
      el("input", { type: "checkbox", value: job.id, change: () => this.showCount() }), " ", el("span", { class: "name" }, job.name), " ",
      el("span", { class: "quiet" }, new Date(job.created).toLocaleString([], { dateStyle: "short", timeStyle: "short" }), job.state === "done" ? "" : ` · ${t(`study.state.${job.state}`)}`)))));
    this.filter();
  }

  filter() {
    const wanted = this.search.value.trim().toLocaleLowerCase(), items = [...this.choices.children];
    for (const item of items) item.hidden = !item.querySelector(".name").textContent.toLocaleLowerCase().includes(wanted);
    this.noChoice.hidden = items.some((item) => !item.hidden);
    this.noChoice.textContent = items.length ? t("study.add.noMatch") : t("study.add.nothing");
    this.showCount();
  }

  shownBoxes() { return [...this.choices.querySelectorAll("li:not([hidden]) input")]; }

  chosen() { return [...this.choices.querySelectorAll("input:checked")].map((box) => box.value); }

  showCount() {
    const n = this.chosen().length;
    this.count.disabled = !n;
    this.count.textContent = n ? t("study.add.add", { n }) : t("study.add.title");
  }

  async add() {
    const condition = this.newCondition.value.trim() || null, jobs = this.chosen();
    if (!jobs.length) return;
    const more = jobs.map((job) => ({ job, condition, participant: null }));
    if (!(await this.change((recordings) => ({ recordings: [...recordings, ...more] }), t("study.add.added", { n: jobs.length })))) return;
    this.newCondition.value = this.search.value = "";
    await this.listChoices();
    this.search.focus();
  }
}

/* What a row is made of: while it stays, only what stands in its fields changes. */
const shapeOf = ({ file, state, error, n_markers: markers, people }) => JSON.stringify([file, state, error, markers, people.map(({ person }) => person)]);

/* What stands in the fields of a row: the condition, then the people. */
function valuesOf({ state, condition, participant, people }) {
  const names = people.length ? people.map(({ person, name }) => (name === person ? null : name)) : [participant];
  return state === "done" ? [condition, ...names] : [condition];
}

/* Ask for another name in a dialog; null: it stays. */
function newName(name) {
  return new Promise((resolve) => {
    const field = el("input", { id: "new-name", maxlength: 200, required: true, autocomplete: "off" });
    field.value = name;
    const dialog = el("dialog", { class: "panel", "aria-labelledby": "new-name-label" });
    dialog.append(el("form", { method: "dialog", submit: (event) => { event.preventDefault(); dialog.close(field.value.trim()); } },
      el("label", { for: "new-name", id: "new-name-label" }, t("studies.name")), el("div", { class: "line" }, field),
      el("div", { class: "line" }, button(t("study.cancel"), () => dialog.close("")), el("button", { class: "main" }, t("study.save")))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue || null); });
    document.body.append(dialog);
    dialog.showModal();
    field.select();
  });
}
