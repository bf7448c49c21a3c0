// What the answers so far have brought: people with their tokens, accounts, transactions. It lives and dies with the page.

import { isJson } from "../http.js";

export const people = new Map(); // by e-mail: { user, token, password }
export const accounts = new Map(); // by id: { label, owner }
export const transactions = []; // ids, oldest first
let acting = null; // the e-mail of the person whose token is sent

export const actor = () => people.get(acting) ?? null;

export function actAs(email) {
  acting = email;
}

export function meet({ user, token, password }) {
  people.set(user.email, { user, token, password });
  acting = user.email;
}

export function learn(endpoint, request, answer) {
  if (!answer.ok || !isJson(answer)) return;
  const said = JSON.parse(answer.text);
  if (said.token) meet({ ...said, password: JSON.parse(request.body).password });
  if (endpoint.id === "logout") people.delete(acting);
  [said.account, ...(said.accounts ?? [])].filter(Boolean).forEach(meetAccount);
  const found = [said.transaction, ...(said.transactions ?? []), ...(said.results ?? []).map((result) => result.transaction)];
  for (const transaction of found.filter(Boolean)) {
    if (!transactions.includes(transaction._id)) transactions.push(transaction._id);
  }
}

export function meetAccount({ _id, name, currency, user }) {
  const owner = [...people.values()].find((person) => person.user._id === user)?.user.name;
  accounts.set(_id, { owner: user, label: [owner, name, currency].filter(Boolean).join(", ") });
}

// What a field may well hold, given what is known; undefined when nothing is.
export function guess(field, endpoint) {
  const own = idsOfAccounts((account) => account.owner === actor()?.user._id);
  const others = idsOfAccounts((account) => account.owner !== actor()?.user._id);
  const guesses = {
    fromAccount: () => own[0],
    toAccount: () => others[0] ?? own[1] ?? own[0],
    accountId: () => own[0],
    transactionId: () => transactions.at(-1),
    idempotencyKey: () => crypto.randomUUID(),
    email: () => (endpoint.id === "register" ? `asha.${crypto.randomUUID().slice(0, 8)}@example.com` : actor()?.user.email),
    password: () => (endpoint.id === "login" ? actor()?.password : undefined),
    amount: () => "12.50",
  };
  return guesses[field.name]?.();
}

const idsOfAccounts = (fits) => [...accounts].filter(([, account]) => fits(account)).map(([id]) => id);
