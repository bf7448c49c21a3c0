// The ledger's API with the token of this tab's session. A "no" is thrown as Refused, no answer as Unreachable.

import { exchange, isJson } from "../http.js";
import { session } from "../session.js";

export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.message ?? `The server answered with ${status}.`);
    this.status = status;
    this.code = problem.code;
    this.errors = problem.errors ?? [];
    // Without a word from the ledger itself, a failure of the server or of what stands before it may pass.
    this.retryable = problem.retryable ?? (status >= 500 || status === 429);
    this.retryAfter = Number(retryAfter) || 0;
  }
}

export const SIGNED_OUT = "signed-out";

export async function ask(method, path, body) {
  const answer = await call(method, path, body);
  return JSON.parse(answer.text);
}

export async function fetchFile(path, query) {
  const answer = await call("GET", withQuery(path, query));
  return answer.file;
}

export const get = (path, query = {}) => ask("GET", withQuery(path, query));
export const post = (path, body) => ask("POST", path, body);

function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function call(method, path, body) {
  const token = session()?.token;
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await exchange({ method, address: `/api${path}`, headers, body: JSON.stringify(body) });
  if (answer.ok) return answer;
  // An answer that comes late may be to the token of whoever was here before.
  if (answer.status === 401 && token && token === session()?.token) dispatchEvent(new Event(SIGNED_OUT));
  throw new Refused(answer.status, isJson(answer) ? JSON.parse(answer.text) : {}, answer.headers.get("Retry-After"));
}
