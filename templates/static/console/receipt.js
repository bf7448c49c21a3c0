// One transaction in a dialog, with the two entries that it is made of.

import { find, fromTemplate, make } from "../dom.js";
import { formatMoney } from "../money.js";
import { formatTime } from "../times.js";
import { get } from "./api.js";
import { load } from "./states.js";

export function showReceipt(id, currency) {
  const dialog = find("#receipt-dialog");
  const closed = new AbortController();
  find("[data-close]", dialog).onclick = () => dialog.close();
  dialog.onclose = () => closed.abort();
  dialog.showModal();
  load(find("#receipt"), closed.signal, async () => {
    const { transaction } = await get(`/transactions/${id}`);
    return [receiptOf(transaction, currency)];
  });
}

function receiptOf(transaction, currency) {
  return fromTemplate("receipt", {
    amount: formatMoney(transaction.amount, currency),
    status: transaction.status.toLowerCase(),
    time: formatTime(transaction.createdAt),
    id: transaction._id,
    key: transaction.idempotencyKey,
    entries: transaction.entries.map((entry) => entryOf(entry, currency)),
  });
}

function entryOf({ direction, account, amount, balanceAfter, sequence, hash }, currency) {
  return fromTemplate("receipt-entry", {
    direction: direction.toLowerCase(),
    account,
    amount: formatMoney(amount, currency),
    after: balanceAfter === null ? "" : `entry ${sequence}, then ${formatMoney(balanceAfter, currency)}`,
    hash: hash === null ? "" : make("span", { title: hash }, `hash ${hash.slice(0, 16)}…`),
  });
}
