"use strict";

// The form is built from the page itself: each endpoint's <article> says its method, path and example.
// The token and the ids that answers bring live in these variables only, and die with the page.
const endpoints = [...document.querySelectorAll(".endpoint")];
const seen = { token: null, login: null, accounts: new Map(), transactions: new Set() };
const byId = (id) => document.getElementById(id);

function chosen() {
  return byId(byId("endpoint").value);
}

function fillEndpoints() {
  for (const article of endpoints) {
    const { section, method, path, summary } = article.dataset;
    let group = [...byId("endpoint").children].find((child) => child.label === section);
    if (!group) {
      group = Object.assign(document.createElement("optgroup"), { label: section });
      byId("endpoint").append(group);
    }
    group.append(new Option(`${method} ${path}: ${summary}`, article.id));
  }
}

function showEndpoint() {
  const article = chosen();
  const { path, query, token, summary } = article.dataset;
  byId("about").textContent = `${summary}.${token === "yes" ? " Needs a token." : ""}`;
  byId("query-field").hidden = !query;
  byId("query-names").textContent = query ? `(${query})` : "";
  byId("query").value = "";
  const example = article.querySelector(".request-body");
  byId("body-field").hidden = !example;
  byId("body").value = example ? JSON.stringify(prefilled(JSON.parse(example.textContent), article.id), null, 2) : "";
  byId("path-fields").replaceChildren(...[...path.matchAll(/{(\w+)}/g)].map(([, name]) => pathField(name)));
}

function pathField(name) {
  const field = document.createElement("div");
  const ids = name === "accountId" ? [...seen.accounts.keys()] : [...seen.transactions];
  field.className = "field";
  const label = Object.assign(document.createElement("label"), { htmlFor: `path-${name}`, textContent: name });
  const input = Object.assign(document.createElement("input"), {
    id: `path-${name}`, name, required: true, value: ids.at(-1) ?? "", placeholder: "24 hex digits", autocomplete: "off", spellcheck: false,
  });
  input.setAttribute("list", name === "accountId" ? "accounts-seen" : "transactions-seen");
  field.append(label, input);
  return field;
}

// The example with what is known put in: the accounts seen, the user registered, and a key that is new.
function prefilled(body, endpointId) {
  const accounts = [...seen.accounts.keys()];
  if ("fromAccount" in body && accounts.length > 0) {
    body.fromAccount = accounts[0];
    body.toAccount = accounts[1] ?? body.toAccount;
  } else if ("toAccount" in body && accounts.length > 0) {
    body.toAccount = accounts[0];
  }
  if ("idempotencyKey" in body) {
    body.idempotencyKey = `try-${random()}`;
  }
  if (endpointId === "register") {
    body.email = body.email.replace("@", `.${random()}@`);
  }
  return endpointId === "login" && seen.login ? seen.login : body;
}

function random() {
  return [...crypto.getRandomValues(new Uint8Array(4))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(event) {
  event.preventDefault();
  const button = byId("call").querySelector("button");
  const article = chosen();
  const sent = { endpoint: article.id, body: byId("body-field").hidden ? undefined : byId("body").value };
  button.disabled = true;
  try {
    const address = addressOf(article);
    const began = performance.now();
    const response = await fetch(address, {
      method: article.dataset.method, headers: headersFor(sent), body: sent.body, credentials: "omit",
    });
    const text = await response.text();
    show(response, text, `${article.dataset.method} ${address}, ${Math.round(performance.now() - began)} ms`);
    remember(sent, response, text);
  } catch {
    byId("answer-status").textContent = "No answer: the server could not be reached.";
    byId("answer").hidden = false;
  } finally {
    button.disabled = false;
  }
}

function addressOf(article) {
  const path = article.dataset.path.replace(/{(\w+)}/g, (_, name) => encodeURIComponent(byId(`path-${name}`).value.trim()));
  const query = byId("query").value.trim().replace(/^\?/, "");
  return query ? `${path}?${query}` : path;
}

function headersFor({ body }) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (seen.token) headers.Authorization = `Bearer ${seen.token}`;
  return headers;
}

function show(response, text, request) {
  const status = byId("answer-status");
  status.textContent = `${response.status} ${response.statusText}`;
  status.className = response.ok ? "status ok" : "status";
  byId("answer-request").textContent = request;
  byId("answer-headers").textContent = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  byId("answer-body").textContent = indented(text);
  byId("answer").hidden = false;
}

// Indents JSON without reading its numbers: JavaScript would round the long ones.
function indented(text) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  if (!/^\s*[{[]/.test(text)) return text;
  return text.replace(/"(?:[^"\\]|\\.)*"|([{[])(\s*[}\]])?|[}\]]|,|:/g, (token, open, closedAtOnce) => {
    if (open && closedAtOnce) return token;
    if (open) { depth += 1; return token + line(); }
    if (token === "}" || token === "]") { depth -= 1; return line() + token; }
    if (token === ",") return token + line();
    return token === ":" ? ": " : token;
  });
}

function remember(sent, response, text) {
  if (!response.ok || !response.headers.get("Content-Type")?.includes("json")) return;
  const answer = JSON.parse(text);
  if (answer.token) {
    seen.token = answer.token;
    const { email, password } = JSON.parse(sent.body);
    seen.login = { email, password };
  }
  if (sent.endpoint === "logout") seen.token = null;
  for (const account of [answer.account, ...(answer.accounts ?? [])].filter(Boolean)) {
    seen.accounts.set(account._id, `${account.name || "Account"}, ${account.currency}`);
  }
  for (const transaction of [answer.transaction, ...(answer.transactions ?? [])].filter(Boolean)) {
    seen.transactions.add(transaction._id);
  }
  showSeen(answer.user);
}

function showSeen(user) {
  if (user) seen.user = user;
  byId("session").textContent = seen.token ? `Signed in as ${seen.user.email}.` : "No token: register or log in first.";
  byId("accounts-seen").replaceChildren(...[...seen.accounts].map(([id, label]) => new Option(label, id)));
  byId("transactions-seen").replaceChildren(...[...seen.transactions].map((id) => new Option(id, id)));
  byId("seen").hidden = seen.accounts.size === 0;
  byId("seen-list").replaceChildren(...[...seen.accounts].map(([id, label]) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("code"), { textContent: id }), ` ${label}`);
    return item;
  }));
}

function tryFromLink(event) {
  byId("endpoint").value = event.currentTarget.dataset.endpoint;
  showEndpoint();
  byId("endpoint").focus({ preventScroll: true });
}

fillEndpoints();
showEndpoint();
byId("call").hidden = false;
byId("endpoint").addEventListener("change", showEndpoint);
byId("call").addEventListener("submit", send);
for (const link of document.querySelectorAll(".try")) link.addEventListener("click", tryFromLink);
