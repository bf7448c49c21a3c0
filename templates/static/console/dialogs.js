// A dialog belongs to the view that opened it, and goes with it: the next view may be somebody else's.

import { find } from "../dom.js";

// Opens `dialog` until it is closed or the view's `signal` says that it was left. The signal returned says either.
export function openDialog(dialog, signal) {
  const closed = new AbortController();
  const close = () => { closed.abort(); dialog.close(); };
  find("[data-close]", dialog).onclick = close;
  dialog.onclose = () => closed.abort();
  signal.addEventListener("abort", close, { signal: closed.signal });
  dialog.showModal();
  return closed.signal;
}
