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

// Without https, or where it is forbidden, there is no clipboard.
export async function copyText(text, button) {
  button.dataset.label ??= button.textContent;
  button.textContent = await write(text).then(() => "Copied", () => "Not copied");
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}

const write = async (text) => navigator.clipboard.writeText(text);
