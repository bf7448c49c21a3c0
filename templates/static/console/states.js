// Loading, failed, offline: what stands in the place of content that is not there.

import { find, fromTemplate, make } from "../dom.js";
import { Unreachable } from "../http.js";
import { Refused } from "./api.js";

// Puts what `work` makes into `place`. Until then a skeleton, and after a failure its reason and a way to try again.
export async function load(place, signal, work) {
  place.setAttribute("aria-busy", "true");
  place.replaceChildren(fromTemplate("loading"));
  try {
    const content = await work();
    if (!signal.aborted) place.replaceChildren(...[content].flat());
  } catch (error) {
    if (!signal.aborted) showFailure(place, error, () => load(place, signal, work));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

export function showFailure(place, error, again) {
  place.replaceChildren(fromTemplate("failure", { reason: reasonOf(error) }));
  find("button", place).addEventListener("click", again);
}

export function reasonOf(error) {
  if (error instanceof Refused) return error.message;
  if (!(error instanceof Unreachable)) {
    reportError(error); // a defect of ours: said in the console, too
    return "Something went wrong on this page.";
  }
  return navigator.onLine ? "The ledger does not answer right now." : "You are offline.";
}

// Says something once to who listens to the page rather than looks at it.
export function announce(text) {
  const region = document.getElementById("announcement");
  region.replaceChildren(make("span", {}, text));
}
