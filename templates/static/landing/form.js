// The form of an endpoint: an input for each parameter and each property of the body, and the request that they make.

import { find, findAll, make } from "../dom.js";
import { actor, guess } from "./known.js";

const WIDE = /key$/i; // as long as a UUID
const LISTS = [[/account/i, "known-accounts"], [/transaction/i, "known-transactions"], [/session/i, "known-sessions"]];
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

export function showForm(endpoint) {
  const inputs = endpoint.fields.map((field) => inputOf(field, endpoint));
  const isAside = (index) => endpoint.fields[index].place === "header";
  find("#fields").replaceChildren(...inputs.filter((_, index) => !isAside(index)));
  find("#more-fields").replaceChildren(...inputs.filter((_, index) => isAside(index)));
  find("#more").hidden = find("#more-fields").childElementCount === 0;
  find("#as-json").hidden = !endpoint.example;
  showRaw(false);
}

export function showRaw(isRaw, endpoint) {
  find("#raw-field").hidden = !isRaw;
  find("#as-json").setAttribute("aria-pressed", isRaw);
  find("#as-json").textContent = isRaw ? "Back to the form" : "Write JSON instead";
  for (const field of findAll("#fields [data-place=body]")) field.hidden = isRaw;
  if (isRaw) find("#raw").value = bodyOf(endpoint);
}

// What keeps the request from being sent, by field. Without its id, DELETE /api/auth/sessions/{sessionId} would end all.
export function wrongsOf(endpoint) {
  const lost = endpoint.fields.filter((field) => field.place === "path" && !leadsOn(value(field)));
  return Object.fromEntries(lost.map(({ name }) => [name, "Fill this in: without it, the call would go to another endpoint."]));
}

const value = ({ name }) => document.getElementById(`field-${name}`).value.trim();
const leadsOn = (step) => !/^\.{0,2}$/.test(step); // in a path, one dot stays where it is and two lead back

// The request that the form makes: { method, path, headers, body }.
export function requestOf(endpoint) {
  const given = (place) => endpoint.fields.filter((field) => field.place === place && value(field) !== "");
  const path = endpoint.path.replace(/{(\w+)}/g, (asked, name) => {
    const step = value({ name });
    return leadsOn(step) ? encodeURIComponent(step) : asked;
  });
  const query = given("query").map((field) => [field.name, field.kind === "date-time" ? new Date(value(field)).toISOString() : value(field)]);
  const headers = Object.fromEntries(given("header").map((field) => [field.name, value(field)]));
  if (endpoint.needsToken && actor()) headers.Authorization = `Bearer ${actor().token}`;
  const request = { method: endpoint.method, path: query.length ? `${path}?${new URLSearchParams(query)}` : path, headers };
  if (!endpoint.example) return request;
  headers["Content-Type"] = "application/json";
  return { ...request, body: find("#raw-field").hidden ? bodyOf(endpoint) : find("#raw").value };
}

// Written by hand, for JSON.stringify would round a long number.
function bodyOf(endpoint) {
  const members = endpoint.fields.filter((field) => field.place === "body").flatMap((field) => {
    const { value } = document.getElementById(`field-${field.name}`);
    return value.trim() === "" ? [] : [`  ${JSON.stringify(field.name)}: ${literal(field.kind, value)}`];
  });
  return members.length ? `{\n${members.join(",\n")}\n}` : "{}";
}

function literal(kind, value) {
  const text = value.trim();
  if (kind === "json") return text.replaceAll("\n", "\n  ");
  if (kind === "boolean") return text;
  if ((kind === "amount" || kind === "integer" || kind === "number") && JSON_NUMBER.test(text)) return text;
  return JSON.stringify(value);
}

function inputOf(field, endpoint) {
  const id = `field-${field.name}`;
  const control = controlOf(field, id);
  control.name = field.name;
  const example = endpoint.example?.[field.name];
  const start = guess(field, endpoint) ?? (field.place === "body" ? example : undefined) ?? "";
  control.value = typeof start === "object" ? JSON.stringify(start, null, 2) : start;
  const label = make("label", { for: id }, field.name);
  if (!field.isRequired && field.name !== "idempotencyKey") label.append(make("span", { class: "quiet tiny" }, " optional"));
  const parts = [label, field.name === "idempotencyKey" ? withNewKey(control) : control];
  if (field.hint) parts.push(make("p", { class: "hint", id: `${id}-hint` }, field.hint));
  if (field.place === "path") parts.push(make("p", { class: "wrong", id: `${id}-wrong` }));
  const describing = parts.filter((part) => part.matches("p")).map((part) => part.id);
  if (describing.length) control.setAttribute("aria-describedby", describing.join(" "));
  return make("div", { class: WIDE.test(field.name) || field.kind === "json" ? "field wide" : "field", "data-place": field.place }, ...parts);
}

function controlOf({ kind, choices, length, name, isRequired }, id) {
  const options = kind === "boolean" ? ["true", "false"] : choices;
  if (options.length) return make("select", { id }, make("option", { value: "" }, "not sent"), ...options.map((option) => make("option", {}, option)));
  if (kind === "json") return make("textarea", { id, rows: 8, spellcheck: "false" });
  const list = LISTS.find(([kindOfId]) => kindOfId.test(name))?.[1];
  const type = { "date-time": "datetime-local", date: "date" }[kind] ?? "text";
  const mode = { amount: "decimal", integer: "numeric" }[kind];
  return make("input", { id, type, list, inputmode: mode, maxlength: length, required: isRequired, autocomplete: "off", spellcheck: "false", class: kind === "id" && "id" });
}

function withNewKey(control) {
  const renew = make("button", { type: "button", class: "button compact" }, "New key");
  renew.addEventListener("click", () => {
    control.value = crypto.randomUUID();
    control.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return make("div", { class: "beside" }, control, renew);
}
