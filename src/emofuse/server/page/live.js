// Live: what camera and microphone give is read as it comes, and shown beside the picture.

import { ask, Refused } from "./api.js";
import { devices, open, release } from "./capture.js";
import { by, button, clock, el, say } from "./dom.js";
import { PersonCard, readInk, SPAN_S } from "./live_card.js";
import { LiveSession } from "./live_session.js";
import { t } from "./texts.js";

const QUIET_DBFS = -65, QUIET_BLOCKS = 50;
const BOX_S = 2.5; // how long a face's box stays without a newer one
const SLOW_MS = 250;
const MANY = 1; // pictures per second that were left out, of five

let kept = null; // the last session's table, until the next one starts: leaving the view does not lose it

export async function show(root) {
  const view = new Live(root);
  await view.begin();
  return () => view.leave();
}

class Live {
  constructor(root) {
    this.root = root;
    this.stream = this.session = null;
    this.left = false;
    this.problems = new Map();
    this.problemList = el("ul", { class: "live-problems", "aria-label": t("live.problems") });
    this.setup = el("form", { class: "panel", id: "live-setup", submit: (event) => { event.preventDefault(); this.start(); } });
    this.stage = el("section", { class: "live-stage", hidden: true, "aria-label": t("live.now") });
    this.cards = el("div", { class: "live-cards" });
    this.body = el("div", { class: "live-session" }, this.stage, this.cards);
    this.result = el("section", { class: "panel", id: "live-result", hidden: true, "aria-labelledby": "live-result-title" });
    root.append(el("h1", {}, t("live.title")), el("p", {}, t("live.says")), el("p", { class: "quiet" }, t("live.stays")),
      el("div", { role: "status" }, this.problemList), this.result, this.setup, this.body);
  }

  async begin() {
    this.onHidden = () => this.showProblem("hidden", document.hidden && this.session?.hasVideo ? t("live.hidden") : "");
    document.addEventListener("visibilitychange", this.onHidden);
    this.onScheme = () => this.draw();
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onScheme);
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.root);
    this.people = (await ask("/v1/people")).people;
    try { await ask("/v1/live"); } catch (error) {
      if (!(error instanceof Refused) || error.status !== 409) throw error;
      this.root.append(el("p", { class: "note", id: "live-no-purpose" }, t("live.noPurpose"), " ", el("a", { href: "#/" }, t("live.toPurpose"))));
      return;
    }
    await this.showSetup();
    if (kept) this.showKept();
  }

  leave() {
    this.left = true;
    document.removeEventListener("visibilitychange", this.onHidden);
    this.scheme.removeEventListener("change", this.onScheme);
    this.resized.disconnect();
    this.session?.stop();
    release(this.stream);
    clearInterval(this.ticking);
  }

  // --- before

  async showSetup() {
    const found = await devices(), missing = found.missing.length > 1 ? "both" : found.missing[0];
    const choice = (kind) => el("div", { class: "live-choice" },
      el("label", { for: `live-${kind}` }, t(`live.${kind}`)),
      el("select", { id: `live-${kind}` }, el("option", { value: "any" }, t("live.any")),
        ...found[kind].map((one) => el("option", { value: one.deviceId }, one.label)),
        el("option", { value: "" }, t("live.none"))));
    const who = this.people.map((person) => el("label", { class: "live-person" },
      el("input", { type: "checkbox", name: "person", value: person.id }), " ", person.name,
      person.has_face ? null : el("span", { class: "quiet" }, ` ${t("live.noFace")}`)));
    this.setup.replaceChildren(
      el("div", { class: "live-choices" }, choice("camera"), choice("microphone")),
      found.missing.length ? el("p", { id: "live-without" }, t(`live.without.${missing}`)) : "",
      who.length ? el("fieldset", { class: "live-people" }, el("legend", {}, t("live.who")), ...who, el("p", { class: "quiet" }, t("live.whoSays"))) : "",
      el("div", { class: "line" }, el("button", { class: "main", id: "live-start" }, t("live.start"))));
    this.setup.hidden = false;
    this.chooseAgain();
  }

  /* What was chosen for the session before, as far as it is still there. */
  chooseAgain() {
    if (!this.choice) return;
    for (const kind of ["camera", "microphone"]) {
      const select = by(`live-${kind}`), before = this.choice[kind];
      if ([...select.options].some((one) => one.value === before)) select.value = before;
    }
    for (const box of this.setup.querySelectorAll("[name=person]")) box.checked = this.choice.people.some((one) => one.id === box.value);
  }

  get chosen() { return [...this.setup.querySelectorAll("[name=person]:checked")].map((box) => this.people.find((one) => one.id === box.value)); }

  /* What cannot be read as chosen; "" where it can. */
  wrongChoice(camera, microphone, people) {
    if (!camera && !microphone) return t("live.nothingChosen");
    const faceless = people.find((one) => !one.has_face);
    if (people.length > 1 && faceless) return t("live.faceless", { name: faceless.name });
    return people.length > 1 && !camera ? t("live.needsCamera") : "";
  }

  async start() {
    const [camera, microphone] = [by("live-camera").value, by("live-microphone").value], people = this.chosen;
    this.clearProblems();
    const wrong = this.wrongChoice(camera, microphone, people);
    if (wrong) { say(wrong); return; }
    this.choice = { camera, microphone, people };
    this.setup.querySelector("#live-start").disabled = true;
    say(t("live.asking"));
    const { stream, problems } = await open({ camera, microphone });
    problems.forEach((text, number) => this.showProblem(`device ${number}`, text));
    if (this.left) { release(stream); return; }
    if (!stream) { say(t("live.notStarted")); this.setup.querySelector("#live-start").disabled = false; return; }
    this.stream = stream;
    this.result.hidden = true;
    this.cards.replaceChildren();
    this.readers = new Map();
    this.showStage();
    say(t("live.opening"));
    this.session = new LiveSession(stream, this.video, people.map((one) => one.id));
    this.listen(this.session);
    try { await this.session.start(); } catch (error) { this.failed(error); return; }
    if (this.left) return;
    this.sayReading();
    this.pauseButton.disabled = false;
    this.closed(await this.session.closed);
  }

  failed(error) {
    this.session.stop();
    release(this.stream);
    if (this.left) return;
    this.session = this.stream = null;
    this.stage.hidden = true;
    this.showSetup();
    this.showProblem("session", error.message);
    say(t("live.notStarted"));
  }

  // --- meanwhile

  showStage() {
    const has = (kind) => this.stream.getTracks().some((track) => track.kind === kind);
    this.video = el("video", { muted: true, playsinline: true, autoplay: true, "aria-label": t("live.picture") });
    this.video.muted = true;
    this.video.srcObject = this.stream;
    this.overlay = el("canvas", { "aria-hidden": "true" });
    this.time = el("span", { class: "live-time" }, clock(0));
    this.latency = el("span", { class: "quiet" });
    this.meter = el("meter", { min: -70, max: 0, low: QUIET_DBFS, value: -70, "aria-label": t("live.level") });
    this.pauseButton = button(t("live.pause"), () => this.pause(), { id: "live-pause", disabled: true });
    this.endButton = button(t("live.end"), () => this.finish(), { id: "live-end", main: true });
    this.stage.replaceChildren(
      ...(has("video") ? [el("div", { class: "live-picture" }, this.video, this.overlay)] : []),
      el("div", { class: "line" }, this.pauseButton, this.endButton, this.time, this.latency,
        ...(has("audio") ? [el("label", { class: "live-level" }, t("live.sound"), " ", this.meter)] : [])));
    this.body.classList.toggle("without-picture", !has("video"));
    this.setup.hidden = true;
    this.stage.hidden = false;
    this.endButton.focus();
    this.quiet = 0;
    this.ticking = setInterval(() => this.tick(), SLOW_MS);
  }

  listen(session) {
    session.addEventListener("window", ({ detail }) => this.showWindow(detail));
    session.addEventListener("faces", ({ detail }) => { this.faces = { ...detail, shown: performance.now() }; this.drawFaces(); });
    session.addEventListener("note", ({ detail }) => this.showProblem(detail.note, detail.note));
    session.addEventListener("refused", ({ detail }) => this.showProblem(`refused ${detail.what}`, t("live.refused", { problem: detail.problem })));
    session.addEventListener("left", ({ detail }) => this.showProblem(detail, t(`live.left.${detail}`)));
    session.addEventListener("level", ({ detail }) => {
      this.meter.value = Math.max(-70, detail);
      this.quiet = detail < QUIET_DBFS ? this.quiet + 1 : 0;
      this.showProblem("quiet", this.quiet > QUIET_BLOCKS ? t("live.quiet") : "");
    });
  }

  tick() {
    this.time.textContent = clock(Math.floor(this.session?.seconds || 0));
    this.drawFaces();
  }

  showWindow(window) {
    const { emotions, reasons, dimensions = [] } = this.session.created, who = window.person;
    let card = this.readers.get(who);
    if (!card) {
      const scales = dimensions.map(({ name, range: [low, high], level }) => ({ name, low, high, level }));
      card = new PersonCard(who ?? t("live.voice"), emotions, reasons, scales);
      this.readers.set(who, card);
      this.cards.append(card.root);
      readInk(emotions.length);
    }
    card.add(window);
    for (const one of this.readers.values()) one.showUntil(window.end_s);
    this.latency.textContent = t("live.latency", { seconds: window.latency_s.toFixed(1) });
    const { dropped_pictures: pictures, skipped_windows: windows, lost_sound_s: sound } = window;
    const slow = windows || sound || pictures > MANY * window.end_s;
    this.showProblem("slow", slow ? t("live.slow", { pictures, windows, sound: sound.toFixed(1) }) : "");
  }

  draw() {
    if (!this.readers) return;
    readInk(this.session?.created?.emotions.length ?? 0);
    for (const card of this.readers.values()) card.draw();
    this.drawFaces();
  }

  drawFaces() {
    const { overlay, video, session } = this;
    if (!overlay?.isConnected || !session?.size) return;
    const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = video, pen = overlay.getContext("2d");
    overlay.width = Math.round(width * ratio);
    overlay.height = Math.round(height * ratio);
    if (!this.faces || session.seconds - this.faces.time_s > BOX_S) return;
    const scale = (width / session.size.width) * ratio;
    pen.font = `600 ${14 * ratio}px system-ui, sans-serif`;
    for (const face of this.faces.faces) {
      const card = this.readers.get(face.person), color = card?.color || "#ffffff";
      const [left, top, right, bottom] = [face.left, face.top, face.right, face.bottom].map((edge) => edge * scale);
      pen.lineWidth = 3 * ratio;
      pen.strokeStyle = color;
      pen.strokeRect(left, top, right - left, bottom - top);
      const words = [face.person, card?.emotion].filter(Boolean).join(": ");
      if (!words) continue;
      const text = globalThis.emofuseViewer.shortened(pen, words, overlay.width - 10 * ratio);
      const room = pen.measureText(text).width + 10 * ratio, line = 20 * ratio, at = top > line ? top - line : bottom;
      const start = Math.max(0, Math.min(left - 1.5 * ratio, overlay.width - room));
      pen.fillStyle = "rgb(0 0 0 / .75)";
      pen.fillRect(start, at, room, line);
      pen.fillStyle = "#ffffff";
      pen.fillText(text, start + 5.5 * ratio, at + 14.5 * ratio);
    }
  }

  pause() {
    const paused = !this.session.paused;
    if (paused) this.session.pause(); else this.session.resume();
    this.pauseButton.textContent = paused ? t("live.resume") : t("live.pause");
    this.stage.classList.toggle("paused", paused);
    if (paused) say(t("live.paused")); else this.sayReading();
  }

  sayReading() {
    const { people } = this.choice;
    say(people.length === 1 ? t("live.readingWith", { name: people[0].name }) : t("live.reading"));
  }

  // --- afterwards

  finish() {
    this.endButton.disabled = this.pauseButton.disabled = true;
    if (!this.session.sending) { this.failed(new Error(t("live.stopped"))); return; }
    say(t("live.ending"));
    this.session.finish();
    release(this.stream);
  }

  closed(message) {
    clearInterval(this.ticking);
    release(this.stream);
    const { session } = this;
    if (this.left) return;
    this.stage.hidden = true;
    this.body.classList.add("without-picture");
    for (const key of ["quiet", "hidden"]) this.showProblem(key, "");
    const asked = this.endButton.disabled;
    if (!asked) this.showProblem("ended", t("live.endedBy", { reason: message.reason }));
    const rows = session.lines.length - 1, seconds = session.seconds;
    if (rows > 0) keep(session, rows, seconds);
    this.stream = null;
    this.showSetup();
    if (rows > 0) this.showKept(); else this.showResult(t("live.nothingRead"));
    say(t("live.over"));
  }

  showResult(text, ...more) {
    const title = el("h2", { id: "live-result-title", tabindex: "-1" }, t("live.over"));
    this.result.replaceChildren(title, el("p", {}, text), ...more);
    this.result.hidden = false;
    title.focus();
  }

  showKept() {
    this.showResult(t("live.read", { n: kept.rows, length: clock(kept.seconds), at: kept.at }),
      el("p", { class: "line" }, el("a", { class: "open", id: "live-table", href: kept.url, download: kept.name }, t("live.table"))),
      el("p", { class: "quiet" }, t("live.tableSays")));
  }

  // --- problems

  showProblem(key, text) {
    const line = this.problems.get(key);
    if (!text) { line?.remove(); this.problems.delete(key); return; }
    if (line) { if (line.textContent !== text) line.textContent = text; return; }
    const added = el("li", { class: "note" }, text);
    this.problems.set(key, added);
    this.problemList.append(added);
  }

  clearProblems() { for (const key of [...this.problems.keys()]) this.showProblem(key, ""); say(""); }
}

/* Keep the table of a session, as the service wrote its lines. */
function keep(session, rows, seconds) {
  if (kept) URL.revokeObjectURL(kept.url);
  const now = new Date(), two = (value) => String(value).padStart(2, "0");
  const at = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} ${two(now.getHours())}.${two(now.getMinutes())}`;
  const url = URL.createObjectURL(new Blob(session.lines, { type: "text/csv" }));
  kept = { url, rows, seconds, at, name: `live ${at}.windows.csv` };
}
