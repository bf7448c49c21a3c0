// All accounts with their balances, and opening one more.

import { find, fromTemplate, make } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { formatMoney } from "../money.js";
import { get, post } from "./api.js";
import { sparkline } from "./chart.js";
import { openDialog } from "./dialogs.js";
import { balanceHistory } from "./history.js";
import { announce, load, reasonOf } from "./states.js";

export const title = "Accounts";

const A_PAGE = 24;
const POINTS_OF_A_CARD = 50;

export function show(main, { signal }) {
  main.replaceChildren(fromTemplate("accounts"));
  const list = find("#account-list");
  const refresh = () => load(list, signal, () => firstPage(signal));
  const opened = (account) => {
    if (signal.aborted) return;
    announce(`${nameOf(account)} is open.`);
    refresh();
  };
  find("#open-account").addEventListener("click", () => askWhich(opened, signal));
  main.addEventListener("click", (event) => {
    if (event.target.matches("[data-open-account]")) askWhich(opened, signal);
  }, { signal });
  refresh();
}

export function nameOf(account) {
  return account.name || `${account.currency} account`;
}

export function statusBadge(account) {
  return make("span", { class: `badge ${account.status === "FROZEN" ? "warn" : "plain"}` }, account.status.toLowerCase());
}

async function firstPage(signal) {
  const page = await get("/accounts/", { limit: A_PAGE });
  if (page.accounts.length === 0) return fromTemplate("no-accounts");
  const cards = make("ul", { class: "cards" });
  const total = make("p", { class: "quiet" }, totals(page));
  append(cards, page.accounts, signal);
  return [total, cards, ...more(cards, page.nextCursor, signal)];
}

function totals({ accounts, nextCursor }) {
  if (nextCursor) return `The first ${accounts.length} of your accounts`;
  const sums = new Map();
  for (const { currency, balance } of accounts) sums.set(currency, (sums.get(currency) ?? 0) + balance);
  const said = [...sums].map(([currency, sum]) => formatMoney(sum, currency)).join(" and ");
  return `${said} in ${accounts.length === 1 ? "one account" : `${accounts.length} accounts`}`;
}

function more(cards, cursor, signal) {
  if (!cursor) return [];
  const button = make("button", { type: "button", class: "button" }, "Show more accounts");
  button.addEventListener("click", () => busy(button, async () => {
    const page = await get("/accounts/", { limit: A_PAGE, cursor });
    append(cards, page.accounts, signal);
    button.replaceWith(...more(cards, page.nextCursor, signal));
  }));
  return [button];
}

function append(cards, accounts, signal) {
  for (const account of accounts) {
    const card = fromTemplate("account-card", {
      name: make("a", { href: `#/accounts/${account._id}` }, nameOf(account)),
      balance: formatMoney(account.balance, account.currency),
      status: account.status === "ACTIVE" ? "" : statusBadge(account),
      id: account._id,
    });
    const chart = find("[data-slot=chart]", card);
    cards.append(card);
    drawChart(chart, account, signal);
  }
}

// A card is complete without its chart: when that cannot be had, its place stays empty.
async function drawChart(place, account, signal) {
  const points = await balanceHistory(account, POINTS_OF_A_CARD).catch(() => []);
  if (signal.aborted) return;
  place.replaceChildren(points.length ? sparkline(points, account.currency) : make("p", { class: "quiet tiny" }, "No movement yet"));
}

function askWhich(opened, signal) {
  const dialog = find("#open-dialog");
  const form = find("form", dialog);
  const said = find(".notice", dialog);
  form.reset();
  said.replaceChildren();
  showWrongs(form, {});
  const closed = openDialog(dialog, signal);
  form.onsubmit = (event) => {
    event.preventDefault();
    busy(find("button[type=submit]", form), () => open(form, said, dialog, closed, opened));
  };
}

async function open(form, said, dialog, closed, opened) {
  const { name, currency } = Object.fromEntries(new FormData(form));
  try {
    const { account } = await post("/accounts/", { name: name.trim(), currency: currency.trim().toUpperCase() });
    if (!closed.aborted) dialog.close();
    opened(account);
  } catch (error) {
    if (closed.aborted) return;
    const wrongs = Object.fromEntries((error.errors ?? []).map(({ field, message }) => [field, message]));
    if (!showWrongs(form, wrongs)) said.replaceChildren(reasonOf(error));
  }
}
