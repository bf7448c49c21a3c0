// What the answers so far have brought: people with their tokens, accounts, transactions, sessions. It lives and dies with
// the page.

import { isJson } from "../http.js";

export const people = new Map(); // by e-mail: { user, token, refreshToken, password }
export const accounts = new Map(); // by id: { label, owner }
export const sessions = new Map(); // by id: { label, owner, current }
export const transactions = []; // ids, oldest first
let acting = null; // the e-mail of the person whose token is sent

export const actor = () => people.get(acting) ?? null;

export function actAs(email) {
  acting = email;
}

export function meet({ user, token, refreshToken, password }) {
  people.set(user.email, { user, token, refreshToken, password });
  acting = user.email;
}

export function learn(endpoint, request, answer) {
  if (!answer.ok || !isJson(answer)) return;
  const said = JSON.parse(answer.text);
  if (said.token) meetAgain(endpoint, said, JSON.parse(request.body));
  if (endpoint.id === "logout" || endpoint.id === "endAllSessions") people.delete(acting);
  if (endpoint.id === "endSession") forgetSession(request.path.split("/").at(-1));
  [said.account, ...(said.accounts ?? [])].filter(Boolean).forEach(meetAccount);
  said.sessions?.forEach(meetSession);
  transactionsIn(said).forEach(meetTransaction);
}

// A fresh token comes for who was known before, too; their password is what was typed last.
function meetAgain(endpoint, said, sent) {
  const before = people.get(said.user.email);
  const endsAllElse = endpoint.id === "changePassword";
  meet({
    ...said,
    refreshToken: said.refreshToken ?? (endsAllElse ? undefined : before?.refreshToken),
    password: sent.newPassword ?? sent.password ?? before?.password,
  });
}

export function meetAccount({ _id, name, currency, user }) {
  const owner = [...people.values()].find((person) => person.user._id === user)?.user.name;
  accounts.set(_id, { owner: user, label: [owner, name, currency].filter(Boolean).join(", ") });
}

function meetSession({ _id, userAgent, current }) {
  sessions.set(_id, { owner: acting, current, label: current ? `${userAgent}, this one` : userAgent });
}

function forgetSession(id) {
  if (sessions.get(id)?.current) people.delete(acting);
  sessions.delete(id);
}

function meetTransaction(id) {
  if (!transactions.includes(id)) transactions.push(id);
}

// An answer of 202 has no transaction yet, but a request that names the one to be reversed.
function transactionsIn({ transaction, transactions: page = [], results = [], entries = [], statement, request }) {
  const whole = [transaction, ...page, ...results.map((result) => result.transaction)];
  const named = [...entries, ...(statement?.entries ?? [])].map((entry) => entry.transaction);
  return [...whole.map((one) => one?._id), ...named, request?.original].filter(Boolean);
}

// What a field may well hold, given what is known; undefined when nothing is.
export function guess(field, endpoint) {
  const own = idsOf(accounts, (account) => account.owner === actor()?.user._id);
  const others = idsOf(accounts, (account) => account.owner !== actor()?.user._id);
  const guesses = {
    fromAccount: () => own[0],
    toAccount: () => others[0] ?? own[1] ?? own[0],
    accountId: () => own[0],
    transactionId: () => transactions.at(-1),
    sessionId: () => idsOf(sessions, ({ owner, current }) => owner === acting && !current)[0],
    idempotencyKey: () => crypto.randomUUID(),
    refreshToken: () => actor()?.refreshToken,
    email: () => (endpoint.id === "register" ? `asha.${crypto.randomUUID().slice(0, 8)}@example.com` : actor()?.user.email),
    password: () => (endpoint.id === "login" ? actor()?.password : undefined),
    currentPassword: () => actor()?.password,
    amount: () => "12.50",
  };
  return guesses[field.name]?.();
}

const idsOf = (known, fits) => [...known].filter(([, one]) => fits(one)).map(([id]) => id);
