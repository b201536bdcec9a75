/* The elements of the viewer. What the script needs of them has a name: data-part. */

const ACCEPTED = "audio/*,video/*,.mkv,.avi,.mov,.wav,.flac,.m4a";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  element.append(...children);
  return element;
}
const button = (part, text, more = {}) => make("button", { type: "button", "data-part": part, ...more }, text);

function stage(say, name) {
  const file = (part) => make("input", { class: "visually-hidden", "data-part": part, type: "file", accept: ACCEPTED });
  return make("div", { class: "stage", "data-part": "stage" },
    make("div", { class: "screen", "data-part": "screen" },
      // its own full screen would leave the boxes behind
      // its controls would cover the faces: they come with the pointer or the focus, which it has by itself only with them
      make("video", { "data-part": "media", tabindex: "0", controlslist: "nofullscreen", playsinline: true, preload: "metadata", hidden: true, "aria-label": name }),
      make("canvas", { class: "faces", "data-part": "faces", hidden: true, "aria-hidden": "true" })),
    make("div", { class: "invite", "data-part": "invite" },
      make("p", {}, say("to_play"), make("br"), make("strong", {}, name)),
      make("label", { class: "open" }, say("open"), file("file")),
      make("p", { class: "quiet" }, say("or_drop"))),
    make("div", { class: "again", "data-part": "again", hidden: true },
      make("label", { class: "faces-switch", "data-part": "faces-switch", hidden: true },
        make("input", { type: "checkbox", "data-part": "show-faces", checked: true }), " " + say("show_faces")),
      button("full-screen", say("full_screen"), { hidden: true }),
      make("label", { class: "open" }, say("open_other"), file("file-again"))),
    make("p", { class: "invite quiet status", "data-part": "status", role: "status" }));
}

const MANY = 16; // labels, beyond which the legend is narrower and scrolls

/* The emotions, with their values at the cursor. */
function legend(say, emotions) {
  return make("ul", { class: emotions.length > MANY ? "legend many" : "legend", "data-part": "legend", "aria-label": say("legend") },
    ...emotions.map((emotion, e) => make("li", {},
      make("button", { type: "button", "aria-pressed": "false", class: "e" + e },
        make("span", { class: "key", "aria-hidden": "true" }), make("span", { class: "name" }, emotion),
        make("span", { class: "value" }, "–"), make("span", { class: "level", "aria-hidden": "true" }, make("i"))))));
}

let choices = 0; // radio buttons of several viewers must not share a name
function choice(part, title, options, chosen) {
  const name = "viewer-" + part + "-" + ++choices;
  return make("fieldset", { class: "choices", "data-part": part }, make("legend", { class: "visually-hidden" }, title),
    ...options.map(([value, text, means]) => make("label", { class: "choice", title: means },
      make("input", { type: "radio", name, value, checked: value === chosen }), make("span", {}, text))));
}

function controls(say, model, state) {
  return make("div", { class: "controls", "data-part": "controls" },
    button("play", say("play")),
    make("span", { class: "clock" }, make("span", { "data-part": "now" }), make("small", { "data-part": "length" })),
    choice("kind", say("modality"), model.kinds.map((kind) => [kind, say(kind), kind === "fused" ? say("fused_means") : null]), state.kind),
    choice("shape", say("chart_type"), ["stacked", "lines"].map((shape) => [shape, say(shape)]), "stacked"),
    make("label", { class: "group", "data-part": "person-choice" }, say("person") + " ", make("select", { "data-part": "person" })),
    make("span", { class: "group zoom push", role: "group", "aria-label": say("zoom") },
      button("out", "−", { "aria-label": say("zoom_out") }), button("in", "+", { "aria-label": say("zoom_in") }),
      button("fit", say("fit"))));
}

/* What can be done with a span of time; the service's page adds its own. All have their place from the start. */
function spanTools(say) {
  return make("div", { class: "controls" },
    make("span", { class: "group selection", role: "group", "aria-label": say("selection") },
      button("select-start", say("selection_start")), button("select-end", say("selection_end")),
      make("span", { class: "selected", "data-part": "selected" }, say("selected_nothing")),
      button("select-zoom", say("selection_zoom"), { disabled: true }), button("select-clear", say("selection_clear"), { disabled: true }),
      make("span", { class: "visually-hidden", role: "status", "data-part": "spoken" })),
    make("div", { "data-tools": true }));
}

function chart(say) {
  return make("div", { class: "chart", "data-part": "chart" },
    make("div", { class: "tracks", "data-part": "tracks", tabindex: "0", role: "slider", "aria-label": say("position") },
      make("canvas", { "data-part": "base" }), make("canvas", { class: "cursor", "data-part": "cursor" }),
      make("div", { class: "tip", "data-part": "tip", hidden: true })),
    make("canvas", { class: "overview", "data-part": "overview", "aria-hidden": "true" }));
}

/* What is drawn in the segments but is no emotion, and what a face does not tell apart. */
function swatches(say, model) {
  const one = (kind, text) => make("li", {}, make("span", { class: "swatch " + kind, "aria-hidden": "true" }), text);
  const [alike] = model.alike.map((group) => group.map((e) => model.emotions[e]));
  return make("ul", { class: "swatches", "data-part": "swatches", "aria-label": say("swatches") },
    one("unsure", say("swatch_unsure")), one("excluded", say("excluded")), one("nothing", say("swatch_nothing")),
    ...(alike && model.ties ? [make("li", {}, say("face_alone", { one: alike[0], other: alike.slice(1).join(" or ") }))] : []));
}

/* One line of keys; what stands between ‹ and › is a key. */
function keys(say) {
  const pieces = say("keys").split(/‹(.+?)›(?!›)/);
  return make("p", { class: "keys", "data-part": "keys" }, ...pieces.map((text, i) => (i % 2 ? make("kbd", {}, text) : text)));
}

/* Everything below the root; the elements by their names. */
function build(root, say, model, state, name) {
  root.replaceChildren(
    make("div", { "data-part": "header" }),
    make("div", { class: "player", "data-part": "player" }, stage(say, name),
      make("div", { class: "values" }, make("p", { "data-part": "whose" }), legend(say, model.emotions), ratingLegend(say, model))),
    controls(say, model, state), spanTools(say), chart(say), swatches(say, model), keys(say),
    ...["people", "marks", "segments", "unused", "how"].map((part) => make("div", { "data-part": part })));
  const parts = {};
  for (const element of root.querySelectorAll("[data-part]")) parts[element.dataset.part] = element;
  return parts;
}
