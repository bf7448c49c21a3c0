// Two new people with money, where the server offers that: on one's own machine.

import { exchange } from "./http.js";

export async function createDemoPeople() {
  const headers = { "Content-Type": "application/json" };
  const answer = await exchange({ method: "POST", address: "/demo/", headers, body: "{}" });
  if (!answer.ok) throw new Error(`The demo could not be prepared (${answer.status}).`);
  return JSON.parse(answer.text).people;
}

export function sessionOf(person, people) {
  const others = people.filter((other) => other !== person);
  return {
    token: person.token,
    user: person.user,
    payees: others.map(({ user, account }) => ({ account: account._id, label: `${user.name}, ${account.name}` })),
  };
}
