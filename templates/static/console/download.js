// All entries of an account as a CSV file, oldest first.

import { get } from "./api.js";

const A_PAGE = 200;
const COLUMNS = ["sequence", "createdAt", "direction", "amount", "currency", "balanceAfter", "counterAccount", "transaction", "hash"];

// Saves the file and returns the number of its entries.
export async function downloadEntries(account, progress) {
  const entries = [];
  let cursor = null;
  do {
    const page = await get(`/accounts/${account._id}/entries`, { limit: A_PAGE, cursor });
    entries.push(...page.entries);
    cursor = page.nextCursor;
    progress(entries.length);
  } while (cursor);
  const lines = entries.reverse().map((entry) => COLUMNS.map((column) => entry[column]).join(","));
  save(`statement-${account._id}.csv`, "text/csv", [COLUMNS.join(","), ...lines, ""].join("\r\n"));
  return entries.length;
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
