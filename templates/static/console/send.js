// Sending money: details, review, the sending itself, and how it ended. payment.js keeps it to one payment.

import { find, fromTemplate, make } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { formatMoney, readAmount } from "../money.js";
import { session } from "../session.js";
import { formatTime } from "../times.js";
import { nameOf } from "./accounts.js";
import { get } from "./api.js";
import { DONE, SENT, current, forget, isSignedOut, prepare, send } from "./payment.js";
import { announce, load, reasonOf } from "./states.js";

export const title = "Send money";

export function show(main, { id, signal }) {
  const user = session().user._id;
  main.replaceChildren(fromTemplate("send"));
  const step = find("#send-step");
  const payment = current(user);
  const context = { step, user, signal, from: id };
  if (payment?.state === DONE) showDone(context, payment);
  else if (payment?.state === SENT) carryOut(context, payment);
  else showDetails(context, payment);
}

function showDetails(context, before, notice) {
  const { step, signal, from } = context;
  load(step, signal, async () => {
    const { accounts } = await get("/accounts/", { limit: 200 });
    context.accounts = accounts.filter(({ status }) => status === "ACTIVE");
    if (context.accounts.length === 0) return fromTemplate("nothing-to-send-from");
    const details = fromTemplate("send-details");
    const form = find("form", details);
    const select = form.elements.fromAccount;
    for (const account of context.accounts) {
      select.append(new Option(`${nameOf(account)}, ${formatMoney(account.balance, account.currency)}`, account._id));
    }
    select.value = before?.fromAccount ?? from ?? context.accounts[0]._id;
    if (!select.value) select.selectedIndex = 0;
    form.elements.toAccount.value = before?.toAccount ?? "";
    form.elements.amount.value = before?.amount ?? "";
    if (notice) find(".notice", details).append(notice);
    select.addEventListener("change", () => followAccount(context, form));
    followAccount(context, form);
    form.addEventListener("submit", (event) => { event.preventDefault(); review(context, form); });
    return [details];
  });
}

// The currency and whom to offer depend on the account that pays.
function followAccount({ accounts }, form) {
  const payer = accounts.find(({ _id }) => _id === form.elements.fromAccount.value);
  find("[data-slot=currency]", form).textContent = payer.currency;
  const own = accounts.filter(({ _id, currency }) => _id !== payer._id && currency === payer.currency);
  const options = [...session().payees.map(({ account, label }) => new Option(label, account)),
    ...own.map((account) => new Option(`${nameOf(account)}, yours`, account._id))];
  find("#payees", form).replaceChildren(...options);
  const chips = find("#payee-chips", form);
  chips.replaceChildren(...options.slice(0, 4).map((option) => {
    const chip = make("button", { type: "button", class: "chip" }, option.text);
    chip.addEventListener("click", () => { form.elements.toAccount.value = option.value; });
    return chip;
  }));
}

function review(context, form) {
  const { fromAccount, toAccount, amount } = Object.fromEntries(new FormData(form));
  const payer = context.accounts.find(({ _id }) => _id === fromAccount);
  const read = readAmount(amount, payer.currency);
  const to = toAccount.trim().toLowerCase();
  const wrongs = {};
  if (!/^[0-9a-f]{24}$/.test(to)) wrongs.toAccount = "An account's number has 24 characters: 0 to 9 and a to f.";
  else if (to === fromAccount) wrongs.toAccount = "That is the account you send from.";
  if (read.wrong) wrongs.amount = read.wrong;
  else if (Number(read.amount) > payer.balance) wrongs.amount = `There is ${formatMoney(payer.balance, payer.currency)} on this account.`;
  if (showWrongs(form, wrongs)) return;
  showReview(context, payer, prepare(context.user, { fromAccount, toAccount: to, amount: read.amount, currency: payer.currency }));
}

function showReview(context, payer, payment) {
  const { step } = context;
  const amount = formatMoney(payment.amount, payment.currency);
  const payee = session().payees.find(({ account }) => account === payment.toAccount)?.label ?? ownName(context, payment.toAccount);
  put(step, fromTemplate("send-review", {
    amount,
    from: nameOf(payer),
    payee: payee ?? "Account",
    to: payment.toAccount,
    after: formatMoney(payer.balance - payment.amount, payment.currency),
  }));
  find("[data-change]", step).addEventListener("click", () => showDetails(context, payment));
  const confirm = find("[data-confirm]", step);
  confirm.addEventListener("click", () => busy(confirm, () => carryOut(context, payment)));
}

function ownName({ accounts }, id) {
  const own = accounts.find(({ _id }) => _id === id);
  return own && nameOf(own);
}

async function carryOut(context, payment) {
  const amount = formatMoney(payment.amount, payment.currency);
  put(context.step, fromTemplate("send-progress", { amount, to: payment.toAccount }));
  const after = await send(payment);
  if (context.signal.aborted) return;
  if (after.state === DONE) showDone(context, after);
  else if (after.state === SENT) showUnknown(context, after);
  else showDetails(context, after, `Nothing was sent. ${reasonOf(after.error)}`);
}

// The receipt stays over a reload, and goes once it was seen and left.
function showDone({ step, user, signal }, { amount, currency, fromAccount, toAccount, transaction }) {
  put(step, fromTemplate("send-done", {
    amount: formatMoney(amount, currency), to: toAccount, time: formatTime(transaction.createdAt), id: transaction._id,
  }));
  find("[data-account]", step).href = `#/accounts/${fromAccount}`;
  find("[data-another]", step).addEventListener("click", () => dispatchEvent(new HashChangeEvent("hashchange")));
  signal.addEventListener("abort", () => forget(user));
  announce(`${formatMoney(amount, currency)} sent.`);
}

function showUnknown(context, { error, ...payment }) {
  if (isSignedOut(error)) return;
  const { step, signal } = context;
  put(step, fromTemplate("send-unknown", { amount: formatMoney(payment.amount, payment.currency), reason: reasonOf(error) }));
  const turn = new AbortController();
  const again = () => { turn.abort(); carryOut(context, payment); };
  signal.addEventListener("abort", () => turn.abort());
  find("[data-again]", step).addEventListener("click", again, { signal: turn.signal });
  addEventListener("online", again, { signal: turn.signal });
}

// A new step: its heading is where reading goes on.
function put(step, content) {
  step.replaceChildren(content);
  find("h2", step)?.focus();
}
