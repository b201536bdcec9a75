// The words of the page, which lie in one file: texts.json.

let texts = {};
let plural = null;

export async function loadTexts() {
  const reply = await fetch("/page/texts.json");
  if (!reply.ok) throw new Error(`texts.json: ${reply.status}`);
  texts = await reply.json();
  plural = new Intl.PluralRules(texts.language);
}

/* A text by its place, "home.drop"; {n} and the like are filled in, and n chooses between "one" and "other". */
export function t(place, values = {}) {
  let text = place.split(".").reduce((part, key) => part?.[key], texts.service);
  if (text && typeof text === "object" && "other" in text) text = text[plural.select(values.n)] || text.other;
  if (typeof text !== "string") throw new Error(`there is no text ${place}`);
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/* A list of texts, or the texts of a part, as they stand in the file. */
export const part = (place) => place.split(".").reduce((one, key) => one[key], texts.service);
export const viewerTexts = () => texts.viewer;
