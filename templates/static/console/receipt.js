// One transaction in a dialog, with the two entries that it is made of; a reversal and what it reversed lead to each other.

import { find, fromTemplate, make } from "../dom.js";
import { formatMoney } from "../money.js";
import { formatTime } from "../times.js";
import { get } from "./api.js";
import { openDialog } from "./dialogs.js";
import { load } from "./states.js";

const KINDS = { TRANSFER: "Payment", INITIAL_FUNDS: "Money issued", REVERSAL: "Reversal" };
const REVERSES = "It moved back the money of an earlier payment.";
const REVERSED = "This payment was reversed: its money went back.";

export function showReceipt(id, currency, signal) {
  const place = find("#receipt");
  const closed = openDialog(find("#receipt-dialog"), signal);
  closed.addEventListener("abort", () => place.replaceChildren());
  const show = (transaction) => load(place, closed, async () => receiptOf(await get(`/transactions/${transaction}`), currency, follow));
  const follow = async (transaction) => {
    await show(transaction);
    find("h2", place)?.focus();
  };
  show(id);
}

function receiptOf({ transaction }, currency, follow) {
  const { amount, kind, status, reverses, reversedBy } = transaction;
  const isReversed = status === "REVERSED";
  const receipt = fromTemplate("receipt", {
    kind: KINDS[kind],
    amount: formatMoney(amount, currency),
    status: make("span", { class: isReversed ? "badge warn" : "badge" }, status.toLowerCase()),
    time: formatTime(transaction.createdAt),
    meaning: [reverses && REVERSES, isReversed && REVERSED].filter(Boolean),
    entries: transaction.entries.map((entry) => entryOf(entry, currency)),
  });
  find(".facts", receipt).append(
    ...fact("Transaction", transaction._id),
    ...fact("Reverses", reverses && linkTo(reverses, follow)),
    ...fact("Reversed by", reversedBy && linkTo(reversedBy, follow)),
    ...fact("Idempotency key", !reverses && transaction.idempotencyKey), // that of a reversal is the staff's
  );
  return [receipt];
}

function fact(name, value) {
  return value ? [make("dt", {}, name), make("dd", { class: "id" }, value)] : [];
}

function linkTo(id, follow) {
  return make("button", { type: "button", class: "link", on: { click: () => follow(id) } }, id);
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
