// One account: its balance, how that came about, and its statement.

import { copyText, find, fromTemplate } from "../dom.js";
import { formatMoney } from "../money.js";
import { session } from "../session.js";
import { nameOf, statusBadge } from "./accounts.js";
import { get } from "./api.js";
import { balanceChart } from "./chart.js";
import { askForStatement } from "./download.js";
import { balanceHistory } from "./history.js";
import { load } from "./states.js";
import { showStatement } from "./statement.js";

export const title = "Account";

export function show(main, { id, signal }) {
  main.replaceChildren(fromTemplate("account"));
  const head = find("#account-head");
  load(head, signal, async () => {
    const [{ account }, { accounts }] = await Promise.all([get(`/accounts/${id}`), get("/accounts/", { limit: 200 })]);
    find("#account-body").hidden = false;
    drawChart(find("#account-chart"), account, signal);
    showStatement(account, namesOf(accounts), signal);
    return headOf(account, signal);
  });
}

// What the other side of an entry is called: an account of one's own, or somebody whom one was introduced to.
function namesOf(accounts) {
  const payees = session().payees.map(({ account, label }) => [account, label]);
  return new Map([...payees, ...accounts.map((own) => [own._id, nameOf(own)])]);
}

function headOf(account, signal) {
  const head = fromTemplate("account-head", {
    balance: formatMoney(account.balance, account.currency),
    status: account.status === "ACTIVE" ? "" : statusBadge(account),
    id: account._id,
  });
  find("#account-title").textContent = nameOf(account);
  document.title = `${nameOf(account)} · Backend Ledger`;
  const pay = find("[data-send]", head);
  if (account.status === "ACTIVE") pay.href = `#/send/${account._id}`;
  else pay.remove();
  find("[data-copy]", head).addEventListener("click", ({ currentTarget }) => copyText(account._id, currentTarget));
  find("[data-download]", head).addEventListener("click", () => askForStatement(account, signal));
  return [head];
}

function drawChart(place, account, signal) {
  load(place, signal, async () => {
    const points = await balanceHistory(account);
    if (points.length) return [balanceChart(points, account.currency)];
    place.closest("section").hidden = true;
    return [];
  });
}
