// An account's balance over time, for its chart.

import { get } from "./api.js";

const ENTRIES = 200;

// Points { at, balance }, oldest first, from the opening of the account (or the oldest entry read) until now; none for an
// account on which nothing has moved.
export async function balanceHistory(account, limit = ENTRIES) {
  const { entries } = await get(`/accounts/${account._id}/entries`, { limit });
  if (entries.length === 0) return [];
  const points = entries.reverse().map((entry) => ({ at: Date.parse(entry.createdAt), balance: entry.balanceAfter }));
  const opening = entries[0].sequence === 1 ? [{ at: Date.parse(account.createdAt), balance: 0 }] : [];
  return [...opening, ...points, { at: Math.max(Date.now(), points.at(-1).at), balance: points.at(-1).balance }];
}
