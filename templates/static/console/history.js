// An account's balance over time, for its chart.

import { get } from "./api.js";

const ENTRIES = 200;

// Points { at, balance }, oldest first, the first one standing before the oldest entry read; none for an empty account.
export async function balanceHistory(accountId, limit = ENTRIES) {
  const { entries } = await get(`/accounts/${accountId}/entries`, { limit });
  if (entries.length === 0) return [];
  const points = entries.reverse().map((entry) => ({ at: Date.parse(entry.createdAt), balance: entry.balanceAfter }));
  const [oldest] = entries;
  const before = oldest.balanceAfter + (oldest.direction === "DEBIT" ? oldest.amount : -oldest.amount);
  return [{ at: points[0].at, balance: before }, ...points];
}
