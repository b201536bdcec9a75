// Elements and messages: what every view builds its part of the page with.

/* An element. Attributes that are functions are listeners ("click": …), true ones stand alone, false ones are left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const by = (id) => document.getElementById(id);

const SAID_MS = 15e3;
let saying = 0;

/* One line at the bottom of the window, which screen readers read out; it goes by itself. */
export function say(text) {
  clearTimeout(saying);
  by("message").textContent = text;
  if (text) saying = setTimeout(() => { by("message").textContent = ""; }, SAID_MS);
}

/* A button; what it is about is for those who do not see beside what it stands. */
export function button(text, act, { about = "", main = false, ...more } = {}) {
  return el("button", { type: "button", class: main ? "main" : null, "aria-label": about ? `${text}: ${about}` : null, click: act, ...more }, text);
}

/* A question in a dialog of the browser's own; true: yes. */
export function asked(question, yes, no) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "panel", "aria-label": question });
    const end = (answer) => () => dialog.close(answer);
    dialog.append(el("p", {}, question), el("div", { class: "line" }, button(no, end("no"), { main: true }), button(yes, end("yes"))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/* Seconds as 1:02:03, or 2:03.4 with a digit behind the point. */
export function clock(time, digits = 0) {
  const tick = 10 ** digits, ticks = Math.round(Math.abs(time) * tick), whole = Math.floor(ticks / tick);
  const pad = (value) => String(value).padStart(2, "0"), rest = digits ? `.${String(ticks % tick).padStart(digits, "0")}` : "";
  const head = whole >= 3600 ? `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}` : `${Math.floor(whole / 60)}`;
  return `${time < 0 && ticks ? "−" : ""}${head}:${pad(whole % 60)}${rest}`;
}
export const preciseClock = (time) => clock(time, 1);

/* 1:02:03.4 or 62.5 as seconds; null: it is no time. */
export function seconds(text) {
  const parts = text.trim().replace(",", ".").replace("−", "-").split(":");
  if (parts.length > 3 || !parts.every((part, i) => (i === parts.length - 1 ? /^-?\d+(\.\d*)?$/ : /^-?\d+$/).test(part))) return null;
  const sign = text.trim().startsWith("-") || text.trim().startsWith("−") ? -1 : 1;
  return sign * parts.reduce((sum, part) => sum * 60 + Math.abs(Number(part)), 0);
}

/* Ask for a few values in a dialog, and act on them; it stays open, with what was typed, as long as that raises an
   error, whose text it shows. Each field: { name, label, kind: text|time|choice, value, options, needed, longest, list, example }. */
export function askFor(title, fields, { save, cancel, problem }, act) {
  return new Promise((resolve) => {
    const inputs = {}, dialog = el("dialog", { class: "panel", "aria-label": title }), wrong = el("p", { class: "wrong", role: "alert" });
    const parts = fields.map((field) => {
      const id = `field-${field.name}`, common = { id, name: field.name, required: Boolean(field.needed) };
      const list = field.list ? el("datalist", { id: `${id}-list` }, ...field.list.map((one) => el("option", { value: one }))) : null;
      inputs[field.name] = field.kind === "choice"
        ? el("select", common, ...field.options.map(([value, text]) => el("option", { value, selected: value === field.value }, text)))
        : el("input", { ...common, maxlength: field.longest, autocomplete: "off", list: list ? list.id : null, placeholder: field.example });
      if (field.kind !== "choice") inputs[field.name].value = field.value ?? "";
      return el("p", { class: "field" }, el("label", { for: id }, field.label), inputs[field.name], list);
    });
    const values = () => {
      const made = {};
      for (const field of fields) {
        const text = inputs[field.name].value;
        made[field.name] = field.kind !== "time" ? text : text.trim() ? seconds(text) : undefined;
        if (made[field.name] === null) { inputs[field.name].focus(); throw new Error(problem); }
      }
      return made;
    };
    const saving = el("button", { class: "main" }, save);
    const submit = async (event) => {
      event.preventDefault();
      wrong.textContent = "";
      saving.disabled = true;
      try { await act(values()); dialog.close(); } catch (error) { wrong.textContent = error.message; }
      saving.disabled = false;
    };
    const form = el("form", { submit }, el("h2", {}, title), ...parts, wrong,
      el("div", { class: "line" }, saving, button(cancel, () => dialog.close())));
    dialog.append(form);
    dialog.addEventListener("close", () => { dialog.remove(); resolve(); });
    document.body.append(dialog);
    dialog.showModal();
    const first = form.querySelector("input, select");
    if (first) { first.focus(); if (first.select) first.select(); }
  });
}
