"use strict";
// The plain page: says what the service is for, sends recordings, follows their jobs, links to results.

const by = (id) => document.getElementById(id);
const FOLLOWED = 3; // browsers open six connections to a server at most, and each followed job takes one
const LOOK_MS = 4000;
const SILENT = "The service does not answer; trying again.";
const OPEN = new Set(["queued", "running"]);
const WORDS = { queued: "waiting", running: "being read", done: "done", failed: "failed", cancelled: "cancelled" };

const jobs = new Map(); // id → { job, item, events }
const waiting = []; // uploads that have not started
let sending = null;
let formats = {};
let looking = 0;

function say(text) { by("message").textContent = text; }

async function ask(path, options = {}) {
  const reply = await fetch(path, { credentials: "same-origin", ...options });
  if (reply.status === 401) { signIn(); throw new Error("The service wants its token."); }
  if (!reply.ok) throw new Error(await problemOf(reply));
  return reply.status === 204 ? null : reply.json();
}

async function problemOf(reply) {
  try { return (await reply.json()).detail || reply.statusText; } catch { return `${reply.status} ${reply.statusText}`; }
}

// --- who asks, and what for

function signIn() {
  by("service").hidden = by("sign-out-line").hidden = true;
  by("sign-in").hidden = false;
  by("token").focus();
}

by("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await fetch("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${by("token").value}` } });
  if (!reply.ok) { say(reply.status === 401 ? "That is not the token of this service." : await problemOf(reply)); return; }
  by("token").value = "";
  by("sign-in").hidden = true;
  by("sign-out-line").hidden = false;
  say("");
  await start();
});

by("sign-out").addEventListener("click", async () => {
  await fetch("/v1/session", { method: "DELETE" });
  location.reload();
});

function showPurpose(purpose) {
  by("purpose-text").textContent = purpose || "";
  by("purpose-line").hidden = by("drop").hidden = !purpose;
  by("purpose-form").hidden = Boolean(purpose);
}

by("purpose-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const body = JSON.stringify({ purpose: by("purpose").value });
    const headers = { "Content-Type": "application/json" };
    showPurpose((await ask("/v1/purpose", { method: "PUT", headers, body })).purpose);
    say("");
    by("files").focus();
  } catch (error) { say(error.message); }
});

by("purpose-change").addEventListener("click", () => {
  by("purpose").value = by("purpose-text").textContent;
  by("purpose-form").hidden = false;
  by("purpose-line").hidden = true;
  by("purpose").focus();
});

// --- recordings are sent one after the other

function send(files) {
  for (const file of files) {
    const item = newItem(file.name);
    by("queue").prepend(item);
    waiting.push({ file, item });
    showUpload(item, "waiting to be sent", [["Leave out", () => drop(item)]]);
  }
  by("empty").hidden = true;
  sendNext();
}

function drop(item) {
  const at = waiting.findIndex((upload) => upload.item === item);
  if (at >= 0) waiting.splice(at, 1);
  remove(item);
}

function sendNext() {
  if (sending || !waiting.length) return;
  const { file, item } = sending = waiting.shift();
  const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
  const name = encodeURIComponent(file.name).replace(/['()*!]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
  request.open("POST", "/v1/jobs");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("Content-Disposition", `attachment; filename*=UTF-8''${name}`);
  request.upload.addEventListener("progress", (event) => {
    const share = event.total ? event.loaded / event.total : 0;
    showProgress(item, share, `sent ${Math.floor(100 * share)} %`);
  });
  request.addEventListener("loadend", () => {
    sending = null;
    if (request.status === 202) {
      const job = JSON.parse(request.responseText);
      item.remove();
      show(job);
      follow();
      say(`${job.name} is sent.`);
    } else {
      showUpload(item, "not sent", [
        ["Try again", () => { item.remove(); send([file]); }], ["Leave out", () => remove(item)],
      ], problemIn(request));
      if (request.status === 401) signIn();
    }
    sendNext();
  });
  showUpload(item, "being sent", [["Stop", () => request.abort()]]);
  request.send(file);
}

function problemIn(request) {
  try { return JSON.parse(request.responseText).detail; } catch {
    return request.status ? `${request.status} ${request.statusText}` : "The service was not reached, or sending was stopped.";
  }
}

by("files").addEventListener("change", () => { send(by("files").files); by("files").value = ""; });

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // or the browser would leave the page to show the file
    by("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && !by("drop").hidden && !by("service").hidden) send(event.dataTransfer.files);
  });
}

// --- items of the queue

function newItem(name) {
  const item = by("item").content.firstElementChild.cloneNode(true);
  item.querySelector(".name").textContent = name;
  item.querySelector("progress").setAttribute("aria-label", `How far ${name} is`);
  return item;
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
  const line = item.querySelector(".actions");
  const wanted = actions.map(([text]) => text).join();
  if (line.dataset.shown === wanted) return; // a button that is pressed or has the focus stays
  line.dataset.shown = wanted;
  line.replaceChildren(...actions.map(([text, act]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", `${text}: ${item.querySelector(".name").textContent}`);
    button.addEventListener("click", act);
    return button;
  }));
}

function remove(item) {
  const focused = item.contains(document.activeElement);
  item.remove();
  by("empty").hidden = Boolean(by("queue").children.length);
  if (focused) by("queue-title").focus();
}

function clock(seconds) {
  const whole = Math.round(seconds), pad = (value) => String(value).padStart(2, "0");
  return (whole >= 3600 ? `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}` : `${Math.floor(whole / 60)}`) + `:${pad(whole % 60)}`;
}

function show(job) {
  let entry = jobs.get(job.id);
  if (!entry) {
    entry = { job, item: newItem(job.name), events: null };
    jobs.set(job.id, entry);
    by("queue").prepend(entry.item);
    by("empty").hidden = true;
  } else if (OPEN.has(entry.job.state) && !OPEN.has(job.state)) say(`${job.name} is ${WORDS[job.state]}.`);
  entry.job = job;
  const { item } = entry, { done_s: done, total_s: total } = job.progress;
  item.dataset.state = job.state;
  item.querySelector(".state").textContent = WORDS[job.state];
  const running = job.state === "running";
  const share = !running ? null : total ? Math.min(1, done / total) : undefined;
  const length = job.outcome.duration_s, people = job.outcome.n_people;
  const facts = length === undefined ? "" : `${clock(length)}, ${people} ${people === 1 ? "person" : "people"}`;
  showProgress(item, share, running ? `${clock(done)}${total ? ` of ${clock(total)}` : ""}` : job.error || facts);
  if (job.state === "done" && item.querySelector(".results").hidden) showResults(item, job);
  showActions(item, OPEN.has(job.state) ? [["Cancel", () => end(job.id, "")]] : [["Erase", () => end(job.id, "?erase=true")]]);
}

function showResults(item, job) {
  const address = (format) => `/v1/jobs/${job.id}/results/${format}`;
  item.querySelector(".timeline").href = address("html");
  item.querySelector(".timeline").setAttribute("aria-label", `Open the timeline of ${job.name}`);
  item.querySelector(".formats").replaceChildren(...Object.keys(formats).map((format) => {
    const link = document.createElement("a"), line = document.createElement("li");
    link.href = address(format);
    link.textContent = format;
    link.download = "";
    line.append(link);
    return line;
  }));
  item.querySelector(".results").hidden = item.querySelector(".exports").hidden = false;
}

async function end(id, how) {
  try {
    const job = await ask(`/v1/jobs/${id}${how}`, { method: "DELETE" });
    if (job) show(job); else forget(id);
  } catch (error) { say(error.message); }
  follow();
}

function forget(id) {
  const entry = jobs.get(id);
  if (!entry) return;
  if (entry.events) entry.events.close();
  jobs.delete(id);
  remove(entry.item);
}

// --- how jobs are doing

async function look() {
  clearTimeout(looking);
  try {
    const found = (await ask("/v1/jobs?limit=100")).jobs;
    const known = new Set(found.map((job) => job.id));
    for (const id of [...jobs.keys()]) if (!known.has(id)) forget(id);
    for (const job of found.reverse()) show(job);
    follow();
    if (by("message").textContent === SILENT) say("");
  } catch (error) { say(error instanceof TypeError ? SILENT : error.message); } // fetch raises it where nobody answers
  if (!by("service").hidden) looking = setTimeout(look, LOOK_MS);
}

function follow() {
  const entries = [...jobs.values()];
  const open = entries.filter((entry) => OPEN.has(entry.job.state));
  open.sort((a, b) => (a.job.state === "running" ? 0 : 1) - (b.job.state === "running" ? 0 : 1));
  const chosen = new Set(open.slice(0, FOLLOWED));
  for (const entry of entries) {
    if (entry.events && !chosen.has(entry)) { entry.events.close(); entry.events = null; }
  }
  for (const entry of chosen) {
    if (!entry.events) entry.events = eventsOf(entry);
  }
}

function eventsOf(entry) {
  const events = new EventSource(`/v1/jobs/${entry.job.id}/events`);
  events.addEventListener("job", (event) => {
    show(JSON.parse(event.data));
    if (!OPEN.has(entry.job.state)) follow();
  });
  events.addEventListener("erased", () => forget(entry.job.id));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) entry.events = null; // looked at again with the whole list
  });
  return events;
}

async function start() {
  try {
    const [purpose, models] = await Promise.all([ask("/v1/purpose"), ask("/v1/models")]);
    formats = models.formats;
    by("service").hidden = false;
    showPurpose(purpose.purpose);
    await look();
  } catch (error) { if (by("sign-in").hidden) say(error.message); }
}

start();
