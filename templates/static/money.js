// Money as people read and write it. What is sent to the server is text, so that no digit passes through a float.

const formats = new Map();

function formatOf(currency) {
  if (!formats.has(currency)) {
    formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency, currencyDisplay: "narrowSymbol" }));
  }
  return formats.get(currency);
}

export function formatMoney(amount, currency) {
  return formatOf(currency).format(amount).replace("-", "−");
}

export function decimalsOf(currency) {
  return formatOf(currency).resolvedOptions().maximumFractionDigits;
}

// { amount } as the API takes it, or { wrong }, a sentence.
export function readAmount(text, currency) {
  const amount = text.trim();
  const places = decimalsOf(currency);
  if (amount === "") return { wrong: "Enter an amount." };
  if (!/^\d+(\.\d+)?$/.test(amount)) return { wrong: "Use digits, and a point for decimals: 1250.50." };
  if (Number(amount) === 0) return { wrong: "Enter more than zero." };
  if ((amount.split(".")[1] ?? "").length > places) {
    return { wrong: places === 0 ? `${currency} has no decimals.` : `${currency} has ${places} decimals at most.` };
  }
  return { amount };
}
