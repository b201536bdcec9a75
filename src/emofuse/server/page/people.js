// People: who is enrolled, from which recordings, and how to erase them.

import { ask } from "./api.js";
import { button, by, el, say } from "./dom.js";
import { mountRecorder } from "./record.js";
import { t } from "./texts.js";

const ACCEPTED = "audio/*,video/*,.mkv,.avi,.mov,.wav,.flac,.m4a,.webm,.ogg,.mp3";

export async function show(root) {
  const view = new People(root);
  await view.look();
  return () => view.leave();
}

class People {
  constructor(root) {
    this.clips = [];
    this.list = el("ul", { id: "people" });
    this.nobody = el("p", { class: "quiet" }, t("people.nobody"));
    root.append(el("h1", {}, t("people.title")), el("p", { class: "quiet" }, t("people.says")), this.form(),
      el("section", { "aria-labelledby": "people-title" },
        el("h2", { id: "people-title", tabindex: "-1" }, t("people.list")), this.nobody, this.list));
    this.showClips();
  }

  leave() { this.endRecorder(); }

  // --- enrollment

  form() {
    this.name = el("input", { id: "person-name", maxlength: 200, required: true, autocomplete: "off", "aria-describedby": "person-name-says" });
    this.files = el("input", { class: "visually-hidden", id: "person-files", type: "file", multiple: true, accept: ACCEPTED,
      "aria-describedby": "person-how", change: () => { this.add([...this.files.files]); this.files.value = ""; } });
    this.withFace = el("input", { type: "checkbox", id: "person-face", "aria-describedby": "person-face-says" });
    this.clipList = el("ul", { class: "person-clips", "aria-label": t("people.clips") });
    this.sending = el("button", { class: "main", id: "person-enroll" }, t("people.enroll"));
    const recorder = el("div");
    this.endRecorder = mountRecorder(recorder, (file) => { this.add([file]); this.sending.focus(); });
    return el("form", { class: "panel", id: "person-form", "aria-labelledby": "person-form-title", submit: (event) => { event.preventDefault(); this.enroll(); } },
      el("h2", { id: "person-form-title" }, t("people.new")),
      el("label", { for: "person-name" }, t("people.name")), el("div", { class: "line" }, this.name),
      el("p", { class: "quiet", id: "person-name-says" }, t("people.nameSays")),
      el("h3", {}, t("people.clips")), el("p", { class: "quiet", id: "person-how" }, t("people.how")),
      this.clipList,
      el("div", { class: "line" }, el("label", { class: "open", for: "person-files" }, t("people.choose"), this.files)), recorder,
      el("p", { class: "person-face" }, el("label", {}, this.withFace, " ", t("people.withFace"))),
      el("p", { class: "quiet", id: "person-face-says" }, t("people.faceSays")),
      el("div", { class: "line" }, this.sending));
  }

  add(files) {
    this.clips.push(...files);
    this.showClips();
  }

  showClips() {
    const leaveOut = (file) => () => {
      this.clips.splice(this.clips.indexOf(file), 1);
      this.showClips();
      this.files.focus();
    };
    this.clipList.replaceChildren(...this.clips.map((file) => el("li", { class: "line" }, el("span", { class: "name" }, file.name),
      button(t("people.leaveOut"), leaveOut(file), { about: file.name }))));
    if (!this.clips.length) this.clipList.append(el("li", { class: "quiet" }, t("people.noClips")));
  }

  async enroll() {
    if (!this.clips.length) { say(t("people.needsClips")); this.files.focus(); return; }
    const body = new FormData();
    body.append("name", this.name.value);
    body.append("with_face", String(this.withFace.checked));
    for (const file of this.clips) body.append("file", file, file.name);
    this.sending.disabled = true;
    say(t("people.enrolling", { n: this.clips.length }));
    try {
      const person = await ask("/v1/people", { method: "POST", body });
      const more = [...person.skipped.map((why) => t("people.skipped", { why })), ...(person.note ? [person.note] : []), t("people.next", { name: person.name })];
      this.clips = [];
      this.name.value = "";
      this.withFace.checked = false;
      this.showClips();
      await this.look();
      say([t("people.enrolled", { name: person.name, n: person.clips }), ...more].join(" "));
      by("people-title").focus();
    } catch (error) { say(error instanceof TypeError ? t("silent") : error.message); }
    this.sending.disabled = false;
  }

  // --- who is enrolled

  async look() {
    const { people } = await ask("/v1/people");
    this.nobody.hidden = people.length > 0;
    this.list.replaceChildren(...people.map((person) => el("li", { class: "line", "data-id": person.id },
      el("span", { class: "name" }, person.name), el("span", { class: "quiet" }, this.facts(person)),
      button(t("people.erase"), () => this.erase(person), { about: person.name }))));
  }

  facts(person) {
    return t("people.facts", { n: person.clips, face: person.has_face ? t("people.face") : t("people.noFace"),
      date: new Date(person.created).toLocaleDateString() });
  }

  async erase(person) {
    try {
      const answer = await howToErase(person);
      if (!answer) return;
      await ask(`/v1/people/${person.id}${answer.recordings ? "?recordings=true" : ""}`, { method: "DELETE" });
      await this.look();
      say(t("people.erased", { name: person.name }));
      by("people-title").focus();
    } catch (error) { say(error instanceof TypeError ? t("silent") : error.message); }
  }
}

/* Ask whether to erase somebody, and whether with the recordings that were read with the profile; null: no. */
function howToErase(person) {
  return new Promise((resolve) => {
    const too = el("input", { type: "checkbox", id: "erase-recordings" });
    const dialog = el("dialog", { class: "panel", "aria-labelledby": "erase-title" });
    dialog.append(el("h2", { id: "erase-title" }, t("people.eraseQuestion", { name: person.name })), el("p", {}, t("people.eraseSays")),
      el("p", {}, el("label", {}, too, " ", t("people.eraseToo"))),
      el("div", { class: "line" }, button(t("people.keep"), () => dialog.close("keep")),
        button(t("people.erase"), () => dialog.close("erase"), { main: true, id: "erase-yes" })));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "erase" ? { recordings: too.checked } : null); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
