// A live session: sends what camera and microphone give over the WebSocket, and passes on what comes back.

import { ask, Refused } from "./api.js";
import { t } from "./texts.js";

const AUDIO = 1, PICTURE = 2;
const RATE = 16000;
const TALLEST = 480; // of a picture that is sent, in pixels
const QUALITY = 0.85;
const MOST_WAITING = 512 * 1024; // bytes that are not yet sent; then pictures are left out
const BLOCKS = 100; // over which audio and the clock are compared
const PICTURES_PER_S = 5;

/* One session. Listeners of the EventTarget get what the service says as `detail`: "window", "faces", "note",
"refused", "closed"; "level" is how loud a block was, in dBFS; "left" names a device that went away. */
export class LiveSession extends EventTarget {
  /* stream: of the camera and the microphone, or of one of them; video: the element that shows it. */
  constructor(stream, video, people) {
    super();
    this.stream = stream;
    this.video = video;
    this.people = people;
    this.hasAudio = stream.getAudioTracks().length > 0;
    this.hasVideo = stream.getVideoTracks().length > 0;
    this.lines = []; // of the table, as the service made them
    this.created = null;
    this.paused = false;
    this.sending = false;
    this.samples = 0; // sent so far: the clock of the session, where there is a microphone
    this.offsets = [];
    this.pausedMs = 0;
    this.nextPicture = 0;
    this.busy = false;
    this.closed = new Promise((resolve) => { this.resolveClosed = resolve; });
  }

  /* Open the session. Raises Refused or Error with what is wrong. */
  async start() {
    this.created = await this.connect();
    const options = { audio: this.hasAudio, video: this.hasVideo, faces: true, table: true, people: this.people };
    this.say({ type: "session.update", session: options });
    const updated = await this.expect("session.updated");
    this.session = updated.session;
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    for (const track of this.stream.getTracks()) {
      track.addEventListener("ended", () => this.tell("left", track.kind === "video" ? "camera" : "microphone"));
    }
    this.began = performance.now();
    this.sending = true;
    if (this.hasAudio) await this.listen();
    if (this.hasVideo) this.watch();
  }

  connect() {
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("close", () => this.end());
    return this.expect("session.created");
  }

  /* The next message, which is to be of this type. */
  expect(type) {
    return new Promise((resolve, reject) => {
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === type) resolve(message);
        else reject(new Error(message.problem || message.reason || message.type));
      };
      this.socket.addEventListener("close", () => { whyRefused().then(reject, reject); }, { once: true });
    });
  }

  take(message) {
    const { type } = message;
    if (type === "table") this.lines.push(message.lines);
    else if (type === "session.closed") this.end(message);
    else this.tell(type, message);
  }

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  say(message) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message)); }

  send(kind, seconds, payload) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(9 + payload.byteLength), head = new DataView(message.buffer);
    head.setUint8(0, kind);
    head.setBigUint64(1, BigInt(Math.round(seconds * 1e6)));
    message.set(new Uint8Array(payload), 9);
    this.socket.send(message);
  }

  // --- the microphone

  async listen() {
    this.audio = new AudioContext();
    await this.audio.audioWorklet.addModule("/page/microphone.js");
    const source = this.audio.createMediaStreamSource(new MediaStream(this.stream.getAudioTracks()));
    this.worklet = new AudioWorkletNode(this.audio, "microphone");
    this.worklet.port.onmessage = ({ data }) => this.hear(data);
    source.connect(this.worklet).connect(this.audio.destination); // some browsers run only what leads there; it is silent
    await this.audio.resume();
  }

  hear(block) {
    const samples = new Int16Array(block);
    this.tell("level", 10 * Math.log10(Math.max(1e-10, samples.reduce((sum, one) => sum + (one / 32768) ** 2, 0) / samples.length)));
    if (!this.sending || this.paused) return;
    this.send(AUDIO, this.samples / RATE, block);
    this.samples += samples.length;
    // how late a block comes varies; the earliest of the last ones are the least late
    const offset = performance.now() / 1000 - this.samples / RATE, last = this.offsets.at(-1);
    if (last !== undefined && Math.abs(offset - last) > 1) this.offsets = [];
    this.offsets.push(offset);
    if (this.offsets.length > BLOCKS) this.offsets.shift();
  }

  // --- the camera

  watch() {
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    const next = (act) => (this.video.requestVideoFrameCallback ? this.video.requestVideoFrameCallback(act) : requestAnimationFrame(act));
    const look = (now, about = {}) => {
      if (!this.sending) return;
      next(look);
      const seconds = this.timeOf(about.captureTime || now);
      if (this.paused || this.busy || seconds === null || seconds < this.nextPicture || this.socket.bufferedAmount > MOST_WAITING) return;
      const { videoWidth: width, videoHeight: height } = this.video;
      if (!width) return;
      const scale = Math.min(1, TALLEST / height);
      [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
      pen.drawImage(this.video, 0, 0, canvas.width, canvas.height);
      this.size = { width: canvas.width, height: canvas.height };
      this.nextPicture = (Math.floor(seconds * PICTURES_PER_S) + 1) / PICTURES_PER_S;
      this.busy = true;
      canvas.toBlob(async (picture) => {
        if (picture && this.sending && !this.paused) this.send(PICTURE, seconds, await picture.arrayBuffer());
        this.busy = false;
      }, "image/jpeg", QUALITY);
    };
    next(look);
  }

  /* The time on the session's clock of a moment of the browser's; null: it is not known yet. */
  timeOf(ms) {
    if (!this.hasAudio) return Math.max(0, (ms - this.began - this.pausedMs) / 1000);
    if (!this.offsets.length) return null;
    return Math.max(0, ms / 1000 - Math.min(...this.offsets));
  }

  /* How far the session is, in seconds; what was paused does not count. */
  get seconds() {
    if (this.hasAudio || this.began === undefined) return this.samples / RATE;
    const end = this.paused ? this.pausedAt : this.endedAt || performance.now();
    return Math.max(0, (end - this.began - this.pausedMs) / 1000);
  }

  // --- pause and end

  pause() { this.paused = true; this.pausedAt = performance.now(); this.say({ type: "session.pause" }); }

  /* What was paused is not on the session's clock. */
  resume() {
    this.pausedMs += performance.now() - this.pausedAt;
    this.offsets = [];
    this.paused = false;
  }

  /* Have what was sent be read, and end. */
  finish() {
    this.quiet();
    this.say({ type: "session.close" });
  }

  /* End at once. */
  stop() { this.quiet(); this.socket?.close(); }

  quiet() {
    if (this.sending) this.endedAt = performance.now();
    this.sending = false;
    this.worklet?.port.close();
    this.audio?.close();
    this.audio = this.worklet = null;
  }

  end(message = { reason: t("live.lost"), problems: [] }) {
    this.quiet();
    this.resolveClosed(message);
  }
}

/* Why a session was not opened: browsers do not say. */
async function whyRefused() {
  try {
    const places = await ask("/v1/live");
    return new Error(places.open >= places.sessions ? t("live.full", { n: places.sessions }) : t("live.notOpened"));
  } catch (error) {
    return error instanceof Refused ? error : new Error(t("silent"));
  }
}
