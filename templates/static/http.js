// One HTTP exchange, as it happened. Nothing is interpreted here.

export class Unreachable extends Error {}

// `text` of the answer, and the `file` that it is.
export async function exchange({ method, address, headers = {}, body, seconds = 20 }) {
  const began = performance.now();
  try {
    const response = await fetch(address, {
      method, headers, body, credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(seconds * 1000),
    });
    const file = await response.blob();
    const text = await file.text();
    const milliseconds = Math.round(performance.now() - began);
    const { ok, status, statusText } = response;
    return { ok, status, statusText, headers: response.headers, file, text, milliseconds };
  } catch (error) {
    throw new Unreachable("No answer from the server.", { cause: error });
  }
}

export function isJson(answer) {
  return /json/.test(answer.headers.get("Content-Type") ?? "");
}
