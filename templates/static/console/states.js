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

// Disables the button of a form and marks it busy while `work` runs, so that one click is one call.
export async function busy(button, work) {
  if (button.disabled) return;
  button.disabled = true;
  const spinner = make("span", { class: "spinner", "aria-hidden": "true" });
  button.prepend(spinner);
  try {
    await work();
  } finally {
    spinner.remove();
    button.disabled = false;
  }
}

// Marks the fields that are wrong, says why beside each, and goes to the first. `wrongs` is { name: sentence }.
export function showWrongs(form, wrongs) {
  for (const control of form.elements) {
    const wrong = wrongs[control.name];
    const place = control.closest(".field")?.querySelector(".wrong");
    if (!place) continue;
    place.textContent = wrong ?? "";
    if (wrong) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
  find("[aria-invalid]", form)?.focus();
  return Object.keys(wrongs).length > 0;
}
