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

/* One line at the top of the page that screen readers read out. */
export function say(text) { by("message").textContent = text; }

/* A button; what it is about is for those who do not see beside what it stands. */
export function button(text, act, { about = "", main = false, ...more } = {}) {
  return el("button", { type: "button", class: main ? "main" : null, "aria-label": about ? `${text}: ${about}` : null, click: act, ...more }, text);
}

/* A question in a dialog of the browser's own; true: yes. */
export function asked(question, yes, no) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "panel", "aria-label": question });
    const end = (answer) => () => dialog.close(answer);
    dialog.append(el("p", {}, question), el("div", { class: "line" },
      button(no, end("no")), button(yes, end("yes"), { main: true })));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function clock(seconds) {
  const whole = Math.round(seconds), pad = (value) => String(value).padStart(2, "0");
  const head = whole >= 3600 ? `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}` : `${Math.floor(whole / 60)}`;
  return `${head}:${pad(whole % 60)}`;
}
