// An account's balance over time, for its chart.

import { get } from "./api.js";

// Points { at, balance }, oldest first, from the opening of the account until now; none when nothing has moved on it.
export async function balanceHistory(account, points = 200) {
  const history = await get(`/accounts/${account._id}/history`, { points });
  const found = history.points.map(({ at, balance }) => ({ at: Date.parse(at), balance }));
  if (found.length === 0) return [];
  const opened = Date.parse(account.createdAt);
  const last = found.at(-1);
  return [{ at: Math.min(opened, found[0].at), balance: 0 }, ...found, { at: Math.max(Date.now(), last.at), balance: last.balance }];
}
