// The two people of the demo, each with the balance as it is now.

import { createDemoPeople, sessionOf } from "../demo.js";
import { fill, find, fromTemplate } from "../dom.js";
import { exchange } from "../http.js";
import { formatMoney } from "../money.js";
import { beginSession } from "../session.js";
import { actAs, meet, meetAccount } from "./known.js";

let cast = [];

export async function enterPeople() {
  cast = await createDemoPeople();
  cast.forEach(meet);
  cast.forEach(({ account }) => meetAccount(account));
  actAs(cast[0].user.email);
  find("#people").replaceChildren(...cast.map(cardOf));
}

function cardOf(person) {
  const card = fromTemplate("person", {
    name: person.user.name,
    email: person.user.email,
    account: person.account._id,
    password: person.password,
    balance: formatMoney(person.account.balance, person.account.currency),
  });
  find("[data-console]", card).addEventListener("click", () => beginSession(sessionOf(person, cast)));
  person.card = card.firstElementChild;
  return person.card;
}

export async function refreshPeople() {
  await Promise.all(cast.map(async (person) => {
    const { _id, currency, balance } = person.account;
    const headers = { Authorization: `Bearer ${person.token}` };
    const answer = await exchange({ method: "GET", address: `/api/accounts/balance/${_id}`, headers });
    if (!answer.ok) return;
    person.account.balance = JSON.parse(answer.text).balance;
    fill(person.card, { balance: formatMoney(person.account.balance, currency) });
    person.card.classList.toggle("changed", person.account.balance !== balance);
  }));
}
