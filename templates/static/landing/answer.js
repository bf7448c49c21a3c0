// The answer: status, time, body in colours, headers; and what it means, where that is worth a sentence.

import { find, make } from "../dom.js";

const TOKEN = /"(?:[^"\\]|\\.)*"|[{[](\s*[}\]])?|[}\]]|,|:|[^\s{}[\],:"]+/g;

export function showAnswer(answer, meaning) {
  const line = `${answer.status} ${answer.statusText}`.trim();
  find("#answer-line").replaceChildren(
    make("span", { class: answer.ok ? "status ok" : "status" }, line), make("span", { class: "quiet small" }, ` ${answer.milliseconds} ms`));
  find("#answer-body").replaceChildren(...bodyOf(answer));
  find("#answer-headers").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  find("#answer-says").hidden = !meaning;
  find("#answer-says").textContent = meaning ?? "";
  reveal();
  find("#announcement").textContent = `Answer: ${line}. ${meaning ?? ""}`;
}

export function forgetAnswer() {
  find("#answer").hidden = true;
  find("#no-answer").hidden = false;
}

export function showNoAnswer(reason) {
  find("#answer-line").replaceChildren(make("span", { class: "status" }, reason));
  find("#answer-body").replaceChildren();
  find("#answer-headers").textContent = "";
  find("#answer-says").hidden = true;
  reveal();
  find("#announcement").textContent = reason;
}

function bodyOf({ headers, file, text }) {
  const type = headers.get("Content-Type") ?? "";
  return /json|text|yaml/.test(type) ? colored(text) : [`${type}, ${file.size} bytes`];
}

function reveal() {
  find("#answer").hidden = false;
  find("#no-answer").hidden = true;
  find("#answer").scrollIntoView({ block: "nearest" });
}

// Indents JSON without reading its numbers, for JavaScript would round the long ones.
function colored(text) {
  if (!/^\s*[{[]/.test(text)) return [text];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const parts = [];
  for (const [token, closedAtOnce] of text.matchAll(TOKEN)) {
    if (/^[{[]/.test(token) && !closedAtOnce) { depth += 1; parts.push(token, line()); }
    else if (token === "}" || token === "]") { depth -= 1; parts.push(line(), token); }
    else if (token === ",") parts.push(token, line());
    else if (token === ":") { parts.push(make("span", { class: "name" }, parts.pop().textContent), ": "); }
    else parts.push(make("span", { class: token.startsWith('"') ? "text" : "value" }, token));
  }
  return parts;
}
