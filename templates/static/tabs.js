// A row of tabs: by mouse, and by the arrow keys as screen readers expect. `chosen(tab)` is told which one.

import { findAll } from "./dom.js";

export function makeTabs(row, chosen) {
  const tabs = findAll("[role=tab]", row);
  const choose = (tab) => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", each === tab);
      each.tabIndex = each === tab ? 0 : -1;
    }
    chosen(tab);
  };
  tabs.forEach((tab) => tab.addEventListener("click", () => choose(tab)));
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = tabs.indexOf(event.target);
    if (!step || here < 0) return;
    const next = tabs.at((here + step) % tabs.length);
    choose(next);
    next.focus();
  });
}
