// Asking the service.

let onSignIn = () => {};

/* What is called when the service wants its token. */
export function whenTokenIsWanted(act) { onSignIn = act; }

/* The service refused, and says why. */
export class Refused extends Error {
  constructor(status, text, problem = {}) { super(text); this.status = status; this.problem = problem; }
}

/* Ask the service; the reply's data, or null where there is none. Raises Refused; TypeError where nobody answers. */
export async function ask(path, options = {}) { return (await askForReply(path, options)).data; }

/* The same, with the headers of the reply. */
export async function askForReply(path, options = {}) {
  const reply = await fetch(path, { credentials: "same-origin", ...options });
  if (reply.status === 401) onSignIn();
  if (!reply.ok) throw await refusal(reply);
  return { data: reply.status === 204 ? null : await reply.json(), headers: reply.headers };
}

async function refusal(reply) {
  try {
    const problem = await reply.json();
    return new Refused(reply.status, problem.detail || reply.statusText, problem);
  } catch { return new Refused(reply.status, `${reply.status} ${reply.statusText}`); }
}

/* The options of a request that sends data. */
export function sending(method, data, headers = {}) {
  return { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(data) };
}
