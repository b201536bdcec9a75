// Camera and microphone: asks for them, and says in plain words what is missing.

import { t } from "./texts.js";

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
/* What browsers do to voices for calls would change how they read. */
const AUDIO = { channelCount: { ideal: 1 }, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const of = (device) => (device === "any" ? {} : { deviceId: { exact: device } });
const wanted = (choice) => ({
  ...(choice.camera && { video: { ...VIDEO, ...of(choice.camera) } }),
  ...(choice.microphone && { audio: { ...AUDIO, ...of(choice.microphone) } }),
});

/* Open what is chosen, as far as it can be had.

choice: { camera, microphone }, each "any", the id of a device, or null for none.
Returns { stream, problems }: the stream, null where nothing could be opened, and texts that say what is missing. */
export async function open(choice) {
  if (!navigator.mediaDevices) return { stream: null, problems: [t("capture.insecure")] };
  try {
    return { stream: await navigator.mediaDevices.getUserMedia(wanted(choice)), problems: [] };
  } catch (error) {
    if (!choice.camera || !choice.microphone) return { stream: null, problems: [problemOf(choice.camera ? "camera" : "microphone", error)] };
  }
  // one of the two is missing or refused: the other may do
  const tracks = [], problems = [];
  for (const kind of ["camera", "microphone"]) {
    try {
      const alone = await navigator.mediaDevices.getUserMedia(wanted({ [kind]: choice[kind] }));
      tracks.push(...alone.getTracks());
    } catch (error) { problems.push(problemOf(kind, error)); }
  }
  return { stream: tracks.length ? new MediaStream(tracks) : null, problems };
}

function problemOf(kind, error) {
  const known = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "none", OverconstrainedError: "none", NotReadableError: "busy", AbortError: "busy" };
  const what = known[error.name];
  return what ? t(`capture.${kind}.${what}`) : t(`capture.${kind}.failed`, { problem: error.message || error.name });
}

/* The devices that there are, by kind; names are known only after one was opened. */
export async function devices() {
  if (!navigator.mediaDevices) return { camera: [], microphone: [], missing: [] };
  const all = await navigator.mediaDevices.enumerateDevices();
  const named = (kind) => all.filter((one) => one.kind === kind && one.deviceId && one.label);
  const missing = Object.entries({ camera: "videoinput", microphone: "audioinput" })
    .filter(([, kind]) => !all.some((one) => one.kind === kind)).map(([name]) => name); // kinds are told without permission
  return { camera: named("videoinput"), microphone: named("audioinput"), missing };
}

/* Let go of camera and microphone. */
export function release(stream) { for (const track of stream ? stream.getTracks() : []) track.stop(); }
