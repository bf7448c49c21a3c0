// A payment that happens once, whatever happens to this page.
//
// Its idempotency key is made once, when it is reviewed, and stays with these details until the ledger has said that it
// is posted: a double click, a reload, a lost answer and a repeat after a refusal all ask for the same payment. It is
// written down before it is sent, so a page that is loaded anew knows what it may have sent, and asks again. It stays
// written down until its receipt was seen, so that nobody pays again because a reload swallowed the receipt.

import { session } from "../session.js";
import { Refused, post } from "./api.js";

export const PREPARED = "prepared";
export const SENT = "sent"; // at least once, and how it ended is not known here
export const DONE = "done";

const PAUSES = [1, 2, 4]; // seconds before the second, third and fourth try
const LONGEST_PAUSE = 10; // whatever Retry-After says: after it, one is asked instead

export function current(user) {
  return JSON.parse(sessionStorage.getItem(nameOf(user)));
}

export function prepare(user, details) {
  const before = current(user);
  const isSame = before?.state === PREPARED && Object.entries(details).every(([name, value]) => before[name] === value);
  return keep({ ...details, user, state: PREPARED, key: isSame ? before.key : crypto.randomUUID() });
}

export function forget(user) {
  sessionStorage.removeItem(nameOf(user));
}

// The payment as it is then: DONE with its transaction, PREPARED after a refusal, SENT when nobody knows; the last two
// with the error.
export async function send(payment) {
  note({ ...payment, state: SENT });
  let error = null;
  for (const pause of [0, ...PAUSES]) {
    await wait(Math.max(pause, Math.min(error?.retryAfter ?? 0, LONGEST_PAUSE)));
    // Asked for with somebody else's token, the ledger would refuse what it may have posted already.
    if (session()?.user._id !== payment.user) break;
    try {
      return note({ ...payment, state: DONE, transaction: await ask(payment) });
    } catch (caught) {
      error = caught;
      if (isRefusal(error)) return { ...note({ ...payment, state: PREPARED }), error };
      if (isSignedOut(error) || !navigator.onLine) break;
    }
  }
  return { ...payment, state: SENT, error };
}

export function isSignedOut(error) {
  return error instanceof Refused && error.status === 401;
}

async function ask({ fromAccount, toAccount, amount, key }) {
  const answer = await post("/transactions/", { fromAccount, toAccount, amount, idempotencyKey: key });
  return answer.transaction;
}

// The ledger itself said no: nothing has moved. Whatever else comes may have been said after the money moved.
function isRefusal(error) {
  return error instanceof Refused && !error.retryable && !isSignedOut(error) && error.code !== undefined;
}

// What became of a payment. It goes on being sent when its view is left, and may be heard of when it was settled by another
// sending and the next payment is under way: the key of that one is not to be lost.
function note(payment) {
  return current(payment.user)?.key === payment.key ? keep(payment) : payment;
}

function keep(payment) {
  sessionStorage.setItem(nameOf(payment.user), JSON.stringify(payment));
  return payment;
}

const nameOf = (user) => `ledger.payment.${user}`;
const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
