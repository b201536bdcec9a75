// Recordings: says what the service is for, sends files, follows their jobs, leads to what was read.

import { ask, sending } from "./api.js";
import { asked, button, by, clock, el, say } from "./dom.js";
import { whenErased } from "./keeping.js";
import { mountRecorder } from "./record.js";
import { t } from "./texts.js";

const FOLLOWED = 3; // browsers open six connections to a server at most, and each followed job takes one
const LOOK_MS = 4000;
const PACE_MS = 5000; // before that, nobody knows the pace
const ACCEPTED = "audio/*,video/*,.mkv,.avi,.mov,.wav,.flac,.m4a,.webm,.ogg,.mp3";
const isOpen = (job) => job.state === "queued" || job.state === "running";

// uploads go on while other views are shown
const uploads = []; // { file, item, request }: those that wait, and the one that is sent
let queue = null;

export async function show(root) {
  queue = new Queue(root);
  await queue.begin();
  return () => { queue.end(); queue = null; };
}

// --- recordings are sent one after the other

function send(files, options) {
  for (const file of files) {
    const upload = { file, options, item: newItem(file.name), request: null, begun: false };
    upload.item.dataset.state = "upload";
    uploads.push(upload);
    showUpload(upload.item, t("home.state.waits"), [[t("home.leaveOut"), () => leaveOut(upload)]]);
  }
  if (queue) queue.showUploads();
  sendNext();
}

function leaveOut(upload) {
  uploads.splice(uploads.indexOf(upload), 1);
  remove(upload.item);
}

function sendNext() {
  const upload = uploads.find((one) => !one.begun);
  if (!upload || uploads.some((one) => one.request)) return;
  const { file, item, options } = upload, request = upload.request = new XMLHttpRequest(); // fetch does not tell how much has been sent
  upload.begun = true;
  const name = encodeURIComponent(file.name).replace(/['()*!]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
  request.open("POST", options.person ? `/v1/jobs?person=${options.person}` : "/v1/jobs");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("Content-Disposition", `attachment; filename*=UTF-8''${name}`);
  request.upload.addEventListener("progress", (event) => {
    const share = event.total ? event.loaded / event.total : 0;
    showProgress(item, share, t("home.sent", { percent: Math.floor(100 * share) }));
  });
  request.addEventListener("loadend", () => { upload.request = null; sent(upload, request); sendNext(); });
  showUpload(item, t("home.state.sending"), [[t("home.stop"), () => request.abort()]]);
  request.send(file);
}

function sent(upload, request) {
  const { file, item, options } = upload;
  if (request.status === 202) {
    uploads.splice(uploads.indexOf(upload), 1);
    item.remove();
    say(t("home.isSent", { name: file.name }));
    const job = JSON.parse(request.responseText);
    if (queue) { queue.show(job); queue.follow(); }
    if (options.consent) noteConsent(job.id, options.consent);
    return;
  }
  const again = () => { leaveOut(upload); send([file], options); };
  showUpload(item, t("home.state.notSent"), [[t("home.again"), again], [t("home.leaveOut"), () => leaveOut(upload)]], problemIn(request));
  item.dataset.state = "failed";
}

/* Never as part of an address, which may be logged. */
async function noteConsent(id, consent) {
  try {
    const job = await ask(`/v1/jobs/${id}`, sending("PATCH", { consent }));
    if (queue) queue.show(job);
  } catch (error) { say(error.message); }
}

function problemIn(request) {
  try { return JSON.parse(request.responseText).detail; } catch {
    return request.status ? `${request.status} ${request.statusText}` : t("home.notReached");
  }
}

addEventListener("beforeunload", (event) => { if (uploads.some((one) => one.request)) event.preventDefault(); });

// --- items

function newItem(name) {
  return el("li", {},
    el("div", { class: "line" }, el("a", { class: "name" }, name), el("span", { class: "state" })),
    el("progress", { max: 1, hidden: true, "aria-label": t("home.howFar", { name }) }),
    el("p", { class: "detail", hidden: true }),
    el("p", { class: "actions line" }));
}

function showUpload(item, state, actions, problem = "") {
  item.querySelector(".state").textContent = state;
  showProgress(item, null, problem);
  showActions(item, actions);
}

function showProgress(item, share, detail) {
  const bar = item.querySelector("progress");
  bar.hidden = share === null;
  if (share === undefined) bar.removeAttribute("value"); else if (share !== null) bar.value = share;
  const line = item.querySelector(".detail");
  line.hidden = !detail;
  line.textContent = detail;
}

function showActions(item, actions) {
  const line = item.querySelector(".actions"), wanted = actions.map(([text]) => text).join();
  if (line.dataset.shown === wanted) return; // a button that is pressed or has the focus stays
  line.dataset.shown = wanted;
  const about = item.querySelector(".name").textContent;
  line.replaceChildren(...actions.map(([text, act]) => typeof act === "string"
    ? el("a", { class: "open", href: act, "aria-label": `${text}: ${about}` }, text)
    : button(text, act, { about })));
}

function remove(item) {
  const focused = item.contains(document.activeElement);
  item.remove();
  if (queue) queue.showWhetherEmpty();
  if (focused && by("queue-title")) by("queue-title").focus();
}

// --- the view

class Queue {
  constructor(root) {
    this.dropped = []; // before anybody said what for
    this.jobs = new Map(); // id → { job, item, events }
    this.looking = 0;
    this.list = el("ul", { id: "queue" });
    this.empty = el("p", { id: "empty", class: "quiet" }, t("home.empty"));
    root.append(
      el("h1", {}, t("home.title")), el("p", { class: "quiet" }, t("home.says")),
      this.purposeForm(), this.purposeLine(), this.dropField(),
      el("section", { "aria-labelledby": "queue-title" },
        el("h2", { id: "queue-title", tabindex: "-1" }, t("home.recordings")), this.empty, this.list));
  }

  async begin() {
    this.onDrag = (event) => this.dragged(event);
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(kind, this.onDrag);
    this.showUploads();
    this.showPurpose((await ask("/v1/purpose")).purpose);
    await this.showPeople();
    await this.look();
  }

  end() {
    clearTimeout(this.looking);
    this.ended = true;
    this.endRecorder();
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) document.removeEventListener(kind, this.onDrag);
    for (const entry of this.jobs.values()) if (entry.events) entry.events.close();
  }

  // --- what for

  purposeForm() {
    const purpose = el("input", { id: "purpose", maxlength: 500, placeholder: t("home.purpose.example"), required: true, autocomplete: "off" });
    const save = async (event) => {
      event.preventDefault();
      try {
        this.showPurpose((await ask("/v1/purpose", sending("PUT", { purpose: purpose.value }))).purpose);
        say("");
        by("files").focus();
        send(this.dropped.splice(0), this.options());
      } catch (error) { say(error.message); }
    };
    return el("form", { id: "purpose-form", class: "panel", hidden: true, submit: save },
      el("label", { for: "purpose" }, t("home.purpose.question")),
      el("div", { class: "line" }, purpose, el("button", { class: "main" }, t("home.purpose.save"))),
      el("p", { class: "quiet" }, t("home.purpose.why")),
      el("p", { class: "quiet" }, t("home.purpose.law"), " ", el("a", { href: "#/about" }, t("home.purpose.more"))));
  }

  purposeLine() {
    const change = () => {
      by("purpose").value = by("purpose-text").textContent;
      by("purpose-form").hidden = false;
      by("purpose-line").hidden = true;
      by("purpose").focus();
    };
    return el("p", { id: "purpose-line", hidden: true }, t("home.purpose.is"), " ", el("strong", { id: "purpose-text" }), " ",
      button(t("home.purpose.change"), change, { id: "purpose-change" }));
  }

  showPurpose(purpose) {
    by("purpose-text").textContent = purpose || "";
    by("purpose-line").hidden = by("drop").hidden = !purpose;
    by("purpose-form").hidden = Boolean(purpose);
  }

  // --- what is read

  dropField() {
    const files = el("input", { class: "visually-hidden", id: "files", type: "file", multiple: true, accept: ACCEPTED,
      "aria-describedby": "drop-text", change: () => { send(files.files, this.options()); files.value = ""; } });
    const recorder = el("div");
    this.endRecorder = mountRecorder(recorder, (file) => send([file], this.options()));
    this.person = el("select", { id: "drop-person" });
    this.who = el("p", { hidden: true }, el("label", { for: "drop-person" }, t("home.who")), " ", this.person);
    return el("div", { id: "drop", class: "drop", hidden: true },
      el("p", { id: "drop-text" }, t("home.drop")),
      el("label", { class: "open", for: "files" }, t("home.choose"), files), recorder, this.who, this.consentField(),
      el("p", { class: "quiet" }, t("home.stays")));
  }

  consentField() {
    this.consent = el("input", { id: "consent", maxlength: 500, autocomplete: "off" });
    return el("details", { class: "consent" }, el("summary", {}, t("home.consent.title")),
      el("p", { class: "field" }, el("label", { for: "consent" }, t("home.consent.where")), this.consent));
  }

  /* What holds for what is sent next. */
  options() { return { person: this.person.value, consent: this.consent.value.trim() }; }

  /* Who is enrolled may be who is seen and heard. */
  async showPeople() {
    this.people = (await ask("/v1/people")).people;
    this.who.hidden = !this.people.length;
    this.person.replaceChildren(el("option", { value: "" }, t("home.nobody")),
      ...this.people.map((one) => el("option", { value: one.id }, one.name)));
  }

  dragged(event) {
    if (!event.dataTransfer || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // or the browser would leave the page to show the file
    by("drop").classList.toggle("over", event.type === "dragenter" || event.type === "dragover");
    if (event.type !== "drop") return;
    if (!by("drop").hidden) { send(event.dataTransfer.files, this.options()); return; }
    this.dropped.push(...event.dataTransfer.files);
    say(t("home.purpose.first", { n: this.dropped.length }));
    by("purpose").focus();
  }

  showUploads() {
    for (const upload of uploads) if (!upload.item.isConnected) this.list.prepend(upload.item);
    this.showWhetherEmpty();
  }

  showWhetherEmpty() { this.empty.hidden = Boolean(this.list.children.length); }

  show(job) {
    let entry = this.jobs.get(job.id);
    if (!entry) {
      entry = { job, item: newItem(job.name), events: null };
      this.jobs.set(job.id, entry);
      this.list.prepend(entry.item);
      this.showWhetherEmpty();
    } else if (isOpen(entry.job) && !isOpen(job)) say(t(`home.is.${job.state}`, { name: job.name }));
    entry.job = job;
    const { item } = entry, { done_s: done, total_s: total } = job.progress, running = job.state === "running";
    item.dataset.state = job.state;
    item.dataset.id = job.id;
    item.querySelector(".state").textContent = t(`home.state.${job.state}`);
    const share = !running ? null : total ? Math.min(1, done / total) : undefined;
    showProgress(item, share, running ? this.far(entry, done, total) : job.error || this.facts(job));
    const open = [t("home.open"), `#/recording/${job.id}`], erase = [t("home.erase"), () => this.erase(job)];
    if (job.state === "done") item.querySelector(".name").href = `#/recording/${job.id}`;
    showActions(item, isOpen(job) ? [[t("home.cancel"), () => this.cancel(job)]] : job.state === "done" ? [open, erase] : [erase]);
  }

  /* How far a job is, and how long it may still take at the pace since it was first seen running. */
  far(entry, done, total) {
    const now = performance.now();
    if (!entry.seen || done < entry.seen.done) entry.seen = { now, done };
    if (!total) return clock(done);
    const far = t("home.far", { done: clock(done), total: clock(total) }), read = done - entry.seen.done;
    if (read <= 0 || now - entry.seen.now < PACE_MS) return far;
    const left_s = ((total - done) / read) * (now - entry.seen.now) / 1000;
    return `${far} · ${left_s < 60 ? t("home.left.seconds") : t("home.left.minutes", { n: Math.round(left_s / 60) })}`;
  }

  facts(job) {
    const facts = [];
    if (job.outcome.duration_s !== undefined) facts.push(clock(job.outcome.duration_s), job.outcome.n_people ? t("home.people", { n: job.outcome.n_people }) : t("home.nobodySeen"));
    const person = job.person && this.people.find((one) => one.id === job.person);
    if (job.consent) facts.push(t("home.consent.is", { consent: job.consent }));
    if (person) facts.push(t("home.readWith", { name: person.name }));
    return [...facts, whenErased(job.keep_until)].filter(Boolean).join(" · ");
  }

  async cancel(job) {
    try { this.show(await ask(`/v1/jobs/${job.id}`, { method: "DELETE" })); } catch (error) { say(error.message); }
    this.follow();
  }

  async erase(job) {
    if (job.state === "done") {
      const { studies } = await ask("/v1/studies").catch(() => ({ studies: [] }));
      const among = studies.filter((study) => study.recordings.some((one) => one.job === job.id)).map((study) => study.name);
      const also = among.length ? ` ${t("home.inStudies", { names: among.join(", ") })}` : "";
      if (!(await asked(t("home.eraseQuestion", { name: job.name }) + also, t("home.erase"), t("home.keep")))) return;
    }
    try {
      await ask(`/v1/jobs/${job.id}?erase=true`, { method: "DELETE" });
      this.forget(job.id);
      say(t("home.erased", { name: job.name }));
      by("queue-title").focus();
    } catch (error) { say(error.message); }
  }

  forget(id) {
    const entry = this.jobs.get(id);
    if (!entry) return;
    if (entry.events) entry.events.close();
    this.jobs.delete(id);
    remove(entry.item);
  }

  // --- how jobs are doing

  async look() {
    clearTimeout(this.looking);
    try {
      const found = (await ask("/v1/jobs?limit=100")).jobs;
      if (this.ended) return;
      const known = new Set(found.map((job) => job.id));
      for (const id of [...this.jobs.keys()]) if (!known.has(id)) this.forget(id);
      for (const job of found.reverse()) this.show(job);
      this.follow();
      if (by("message").textContent === t("silent")) say("");
    } catch (error) { if (!this.ended) say(error instanceof TypeError ? t("silent") : error.message); } // fetch raises it where nobody answers
    if (!this.ended) this.looking = setTimeout(() => this.look(), LOOK_MS);
  }

  follow() {
    const entries = [...this.jobs.values()], open = entries.filter((entry) => isOpen(entry.job));
    open.sort((a, b) => (a.job.state === "running" ? 0 : 1) - (b.job.state === "running" ? 0 : 1));
    const chosen = new Set(open.slice(0, FOLLOWED));
    for (const entry of entries) {
      if (entry.events && !chosen.has(entry)) { entry.events.close(); entry.events = null; }
    }
    for (const entry of chosen) if (!entry.events) entry.events = this.eventsOf(entry);
  }

  eventsOf(entry) {
    const events = new EventSource(`/v1/jobs/${entry.job.id}/events`);
    events.addEventListener("job", (event) => {
      this.show(JSON.parse(event.data));
      if (!isOpen(entry.job)) this.follow();
    });
    events.addEventListener("erased", () => this.forget(entry.job.id));
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) entry.events = null; // looked at again with the whole list
    });
    return events;
  }
}
