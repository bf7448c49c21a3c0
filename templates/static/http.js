// One HTTP exchange, as it happened. Nothing is interpreted here.

export class Unreachable extends Error {}

export async function exchange({ method, address, headers = {}, body, seconds = 20 }) {
  const began = performance.now();
  try {
    const response = await fetch(address, {
      method, headers, body, credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(seconds * 1000),
    });
    const text = await response.text();
    const milliseconds = Math.round(performance.now() - began);
    const { ok, status, statusText } = response;
    return { ok, status, statusText, headers: response.headers, text, milliseconds };
  } catch (error) {
    throw new Unreachable("No answer from the server.", { cause: error });
  }
}

export function isJson(answer) {
  return /json/.test(answer.headers.get("Content-Type") ?? "");
}
