// The statement: newest first, more as one scrolls, narrowed down by direction, period and amount.
//
// Entries know the balance after them, and are asked for in the order of the account. A period or an amount is a matter
// of the server's index on transactions; what it finds has no balance beside it.

import { find, fromTemplate, make } from "../dom.js";
import { busy, markWrongs } from "../forms.js";
import { formatMoney, readAmount } from "../money.js";
import { formatClock, formatDay, midnight } from "../times.js";
import { get } from "./api.js";
import { showReceipt } from "./receipt.js";
import { announce, reasonOf } from "./states.js";

const A_PAGE = 50;
const PAGES_IN_ONE_GO = 10; // where nothing fits the filter, one looks on only when asked to

export function showStatement(account, names, signal) {
  const form = find("#filters");
  const rows = find("#statement-rows");
  const foot = find("#statement-foot");
  let turn = new AbortController();
  const start = () => {
    const filters = read(form, account.currency);
    markWrongs(form, { least: filters.wrong });
    if (filters.wrong) return; // what is shown is what was asked for last
    turn.abort();
    turn = new AbortController();
    signal.addEventListener("abort", () => turn.abort());
    rows.replaceChildren();
    const statement = { account, names, rows, foot, filters, signal: turn.signal, cursor: null, shown: 0, day: "" };
    find("#statement").classList.toggle("without-balance", filters.byServer);
    follow(statement);
  };
  form.addEventListener("change", start);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(start));
  start();
}

function read(form, currency) {
  const { direction, from, to, least } = Object.fromEntries(new FormData(form));
  const { amount = "", wrong } = Number(least) === 0 ? {} : readAmount(least, currency); // at least nothing: anything
  return { direction, from, to, least: amount, wrong, byServer: Boolean(from || to || amount) };
}

// Reads on whenever the foot of the list comes into view; its button does the same for who does not scroll.
function follow(statement) {
  const { foot, signal } = statement;
  const said = make("p", { class: "notice bad", role: "alert" });
  const label = make("span", {}, "Show more");
  const button = make("button", { type: "button", class: "button" }, label);
  const seen = new IntersectionObserver((found) => { if (found.some((one) => one.isIntersecting)) more(); }, { rootMargin: "600px" });

  const more = () => busy(button, async () => {
    seen.disconnect();
    said.replaceChildren();
    try {
      const hasFound = await readOn(statement);
      if (signal.aborted) return;
      label.textContent = hasFound ? "Show more" : "Look further back";
      if (!statement.cursor) finish(statement);
      else if (hasFound) seen.observe(foot); // which tells at once should the foot still be in view
    } catch (error) {
      if (signal.aborted) return;
      said.replaceChildren(`The statement could not be read on. ${reasonOf(error)}`);
      label.textContent = "Try again";
    }
  });

  foot.replaceChildren(said, button);
  button.addEventListener("click", more);
  signal.addEventListener("abort", () => seen.disconnect());
  seen.observe(foot);
}

// Whether there was anything to show, or nothing is left.
async function readOn(statement) {
  for (let pages = 0; pages < PAGES_IN_ONE_GO; pages += 1) {
    const { rows, next } = await fetchPage(statement);
    if (statement.signal.aborted) return false;
    statement.cursor = next;
    statement.shown += rows.length;
    append(statement, rows);
    if (rows.length || !next) return true;
  }
  return false;
}

function finish({ foot, shown, filters }) {
  const isFiltered = filters.byServer || filters.direction;
  const none = () => fromTemplate(isFiltered ? "nothing-found" : "no-entries");
  foot.replaceChildren(shown ? make("p", { class: "quiet tiny" }, "That is all.") : none());
  announce(shown === 1 ? "One entry." : `${shown} entries.`);
}

async function fetchPage({ account, filters, cursor }) {
  const { rows, next } = filters.byServer ? await transactions(account, filters, cursor) : await entries(account, cursor);
  return { rows: rows.filter((row) => !filters.direction || row.direction === filters.direction), next };
}

async function entries(account, cursor) {
  const page = await get(`/accounts/${account._id}/entries`, { limit: A_PAGE, cursor });
  const rows = page.entries.map((entry) => ({
    at: entry.createdAt, direction: entry.direction, amount: entry.amount, balance: entry.balanceAfter,
    other: entry.counterAccount, transaction: entry.transaction, kind: entry.kind,
  }));
  return { rows, next: page.nextCursor };
}

async function transactions(account, { from, to, least }, cursor) {
  const page = await get("/transactions/", {
    account: account._id, limit: A_PAGE, cursor, createdAfter: midnight(from), createdBefore: midnight(to, 1), minAmount: least,
  });
  const rows = page.transactions.map((transaction) => {
    const isDebit = transaction.fromAccount === account._id;
    return {
      at: transaction.createdAt, direction: isDebit ? "DEBIT" : "CREDIT", amount: transaction.amount,
      other: isDebit ? transaction.toAccount : transaction.fromAccount, transaction: transaction._id, kind: transaction.kind,
    };
  });
  return { rows, next: page.nextCursor };
}

function append(statement, found) {
  const { rows } = statement;
  for (const row of found) {
    const day = formatDay(row.at);
    if (day !== statement.day) rows.append(fromTemplate("statement-day", { day }));
    statement.day = day;
    rows.append(rowOf(row, statement));
  }
}

function rowOf({ at, direction, amount, balance, other, transaction, kind }, { account: { currency }, names, signal }) {
  const isIn = direction === "CREDIT";
  const name = names.get(other) ?? `account ···${other.slice(-6)}`;
  const open = make("button", { type: "button", class: "link" }, `${isIn ? "From" : "To"} ${name}`);
  open.addEventListener("click", () => showReceipt(transaction, currency, signal));
  const row = fromTemplate("statement-row", {
    time: formatClock(at),
    what: kind === "REVERSAL" ? [open, " ", make("span", { class: "badge plain" }, "Reversal")] : open,
    amount: `${isIn ? "+" : "−"}${formatMoney(amount, currency)}`,
    balance: balance === undefined ? "" : formatMoney(balance, currency),
  });
  find("[data-slot=amount]", row).classList.toggle("in", isIn);
  return row;
}
