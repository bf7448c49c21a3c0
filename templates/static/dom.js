// Making and filling elements. Text is always set as text: what a server says is never read as HTML.

export const find = (selector, within = document) => within.querySelector(selector);
export const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A copy of <template id="t-…">; `slots` fills its elements by their data-slot, with a text or with elements.
export function fromTemplate(id, slots = {}) {
  const copy = document.getElementById(`t-${id}`).content.cloneNode(true);
  fill(copy, slots);
  return copy;
}

export function fill(root, slots) {
  for (const [name, content] of Object.entries(slots)) {
    for (const element of findAll(`[data-slot="${name}"]`, root)) element.replaceChildren(...[content].flat());
  }
}

export async function copyText(text, button) {
  const before = button.textContent;
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}
