// What every form of ours does: one call a click, and what is wrong said beside its field.

import { find, make } from "./dom.js";

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
  markWrongs(form, wrongs);
  find("[aria-invalid]", form)?.focus();
  return Object.keys(wrongs).length > 0;
}

// The same for a form that is still being filled in: whoever is at the next field already stays there.
export function markWrongs(form, wrongs) {
  for (const control of form.elements) {
    if (!control.name) continue; // a button beside an input
    const wrong = wrongs[control.name];
    const place = control.closest(".field")?.querySelector(".wrong");
    if (!place) continue;
    place.textContent = wrong ?? "";
    if (wrong) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
}
