// Begins the page: signs in where a token is wanted, and shows the view that the address names.

import { ask, Refused, whenTokenIsWanted } from "./api.js";
import { by, el, say } from "./dom.js";
import { loadTexts, t } from "./texts.js";

/* By the first part of the address behind "#/": the module of the view, and whether the navigation shows it. */
const VIEWS = {
  "": { module: "./home.js", name: "home" },
  recording: { module: "./recording.js", below: "home" },
  studies: { module: "./studies.js", name: "studies" },
  study: { module: "./study.js", below: "studies" },
  people: { module: "./people.js", name: "people" },
  live: { module: "./live.js", name: "live" },
  about: { module: "./about.js", name: "about" },
};

let leave = null;
let shown = 0;

async function route() {
  const [name = "", ...parameters] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const view = VIEWS[name] || VIEWS[""], number = ++shown;
  if (leave) { leave(); leave = null; }
  for (const link of by("nav").children) {
    if (link.dataset.name === (view.name || view.below)) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  const root = el("div", { class: `view-${view.name || name}` });
  by("view").replaceChildren(root);
  say("");
  try {
    const { show } = await import(view.module);
    if (number !== shown) return; // somebody went on meanwhile
    const end = await show(root, parameters);
    if (number === shown) leave = end || null; else if (end) end();
    if (number === shown && number > 1) by("view").focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) say(error instanceof TypeError ? t("silent") : error.message);
    if (error instanceof TypeError) console.warn(error);
  }
}

// --- who asks

function signIn() {
  if (by("sign-in")) return;
  ++shown;
  if (leave) { leave(); leave = null; }
  by("nav").hidden = by("sign-out").hidden = true;
  const token = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const form = el("form", { id: "sign-in", class: "panel", submit: (event) => { event.preventDefault(); enter(token.value); } },
    el("label", { for: "token" }, t("signIn.token")),
    el("div", { class: "line" }, token, el("button", { class: "main" }, t("signIn.enter"))),
    el("p", { class: "quiet" }, t("signIn.where")));
  by("view").replaceChildren(form);
  token.focus();
}

async function enter(token) {
  const reply = await fetch("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (!reply.ok) {
    say(reply.status === 401 ? t("signIn.wrong") : `${reply.status} ${reply.statusText}`);
    return;
  }
  by("view").replaceChildren(); // nothing of the token stays here
  by("nav").hidden = by("sign-out").hidden = false;
  await route();
}

async function leaveService() {
  await fetch("/v1/session", { method: "DELETE" });
  signIn();
}

// --- the shell

async function begin() {
  await loadTexts();
  document.title = t("title");
  by("skip").textContent = t("skip");
  by("skip").hidden = false;
  by("skip").addEventListener("click", (event) => { event.preventDefault(); by("view").focus(); });
  by("nav").setAttribute("aria-label", t("nav.label"));
  by("nav").append(...Object.entries(VIEWS).filter(([, view]) => view.name).map(([address, view]) =>
    el("a", { href: `#/${address}`, "data-name": view.name }, t(`nav.${view.name}`))));
  by("sign-out").textContent = t("signIn.leave");
  by("sign-out").addEventListener("click", leaveService);
  by("foot").append(el("p", { class: "quiet" }, t("foot.says"), " ",
    el("a", { href: "#/about" }, t("foot.more")), " · ", el("a", { href: "/v1/openapi.json" }, t("foot.api"))));
  whenTokenIsWanted(signIn);
  try {
    by("sign-out").hidden = !(await ask("/v1/session")).token_wanted;
  } catch (error) {
    if (!(error instanceof Refused)) say(t("silent"));
  }
  addEventListener("hashchange", () => { if (!by("sign-in")) route(); });
  if (by("sign-in")) return;
  await route();
}

begin();
