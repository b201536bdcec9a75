// Recording with the camera and the microphone: a file as if it had been chosen.

import { open, release } from "./capture.js";
import { button, clock, el } from "./dom.js";
import { t } from "./texts.js";

const KINDS = {
  film: ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"],
  sound: ["audio/webm;codecs=opus", "audio/mp4"],
};
const PIECE_MS = 1000;
const SLOW_MS = 250;

/* Put a recorder below root. onFile is called with each File that somebody decides to use.
Returns a function that lets go of camera and microphone. */
export function mountRecorder(root, onFile) {
  const recorder = new Recorder(root, onFile);
  return () => recorder.close();
}

class Recorder {
  constructor(root, onFile) {
    this.onFile = onFile;
    this.stream = this.media = null;
    this.opened = 0;
    this.openers = el("div", { class: "line" }, this.opener("film", t("record.open")), this.opener("sound", t("record.openSound")));
    this.status = el("p", { class: "record-status", role: "status" });
    this.stage = el("div", { class: "record-stage" });
    this.actions = el("div", { class: "line" });
    this.root = el("div", { class: "recorder" }, this.openers, this.stage, this.status, this.actions);
    root.append(this.root);
  }

  opener(kind, text) { return button(text, () => this.prepare(kind), { "data-record": kind }); }

  /* Open the devices, and show what they give. */
  async prepare(kind) {
    this.kind = kind;
    const number = ++this.opened;
    if (!globalThis.MediaRecorder) { this.status.textContent = t("record.cannot"); return; }
    const { stream, problems } = await open({ camera: kind === "film" ? "any" : null, microphone: "any" });
    if (number !== this.opened) { release(stream); return; }
    if (!stream) { this.show(null, problems.join(" ")); return; }
    this.stream = stream;
    const film = stream.getVideoTracks().length > 0;
    const video = film ? el("video", { playsinline: true, autoplay: true, "aria-label": t("record.picture") }) : null;
    if (video) { video.muted = true; video.srcObject = stream; }
    this.show(video, [...problems, film ? t("record.ready") : t("record.readySound")].join(" "),
      button(t("record.start"), () => this.record(), { main: true, "data-record": "start" }),
      button(t("record.cancel"), () => this.close()));
  }

  record() {
    const film = this.stream.getVideoTracks().length > 0, pieces = [];
    const type = KINDS[film ? "film" : "sound"].find((one) => MediaRecorder.isTypeSupported(one));
    this.media = new MediaRecorder(this.stream, type ? { mimeType: type } : {});
    this.media.addEventListener("dataavailable", ({ data }) => { if (data.size) pieces.push(data); });
    this.media.addEventListener("stop", () => this.taken(pieces, (performance.now() - this.began) / 1000));
    this.media.start(PIECE_MS);
    this.began = performance.now();
    const time = el("span", { class: "record-time" }, clock(0));
    this.ticking = setInterval(() => { time.textContent = clock(Math.floor((performance.now() - this.began) / 1000)); }, SLOW_MS);
    this.status.textContent = t("record.recording");
    this.act(button(t("record.stop"), () => this.media.stop(), { main: true, "data-record": "stop" }), time);
    this.root.classList.add("recording");
  }

  /* What was recorded can be looked at before it is used. */
  taken(pieces, seconds) {
    const discarded = !this.media;
    this.letGo();
    if (discarded) return;
    if (!pieces.length) { this.show(null, t("record.empty")); return; }
    const type = pieces[0].type.split(";")[0], now = new Date(), two = (value) => String(value).padStart(2, "0");
    const at = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} ${two(now.getHours())}.${two(now.getMinutes())}.${two(now.getSeconds())}`;
    const file = new File(pieces, `${t("record.name", { at })}.${type.split("/")[1]}`, { type });
    this.url = URL.createObjectURL(file);
    const player = el(type.startsWith("video") ? "video" : "audio", { controls: true, playsinline: true, src: this.url, "aria-label": t("record.taken") });
    this.show(player, `${t("record.recorded", { length: clock(seconds) })} ${t("record.stays")}`,
      button(t("record.use"), () => { this.close(); this.onFile(file); }, { main: true, "data-record": "use" }),
      button(t("record.again"), () => { this.forget(); this.prepare(this.kind); }),
      button(t("record.discard"), () => this.close()));
  }

  show(stage, text, ...actions) {
    this.openers.hidden = actions.length > 0;
    this.stage.replaceChildren(...(stage ? [stage] : []));
    this.status.textContent = text;
    this.act(...actions);
  }

  act(...actions) {
    this.actions.replaceChildren(...actions);
    if (actions.length) actions[0].focus();
  }

  letGo() {
    clearInterval(this.ticking);
    this.root.classList.remove("recording");
    release(this.stream);
    this.stream = this.media = null;
  }

  forget() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }

  /* Back to the start; what was not used is gone. */
  close() {
    ++this.opened;
    const { media } = this;
    this.media = null;
    if (media?.state === "recording") media.stop();
    this.letGo();
    this.forget();
    this.show(null, "");
    if (this.root.isConnected) this.openers.firstElementChild.focus();
  }
}
