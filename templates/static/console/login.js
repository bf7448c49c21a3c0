// Logging in, registering, and on one's own machine: entering as somebody of the demo.

import { beginSession } from "../session.js";
import { createDemoPeople, sessionOf } from "../demo.js";
import { find, findAll, fromTemplate } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { makeTabs } from "../tabs.js";
import { post } from "./api.js";
import { reasonOf } from "./states.js";

export const title = "Log in";

export function show(main, { entered, notice }) {
  main.replaceChildren(fromTemplate("login"));
  const said = find("#login-notice");
  if (notice) said.replaceChildren(notice);
  makeTabs(find(".tabs", main), (tab) => showPanel(main, tab));
  for (const form of findAll("form", main)) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(find("button[type=submit]", form), () => enter(form, said, entered));
    });
  }
  find("#login-email").addEventListener("input", ({ target }) => forgetCode(target.form));
  find("#demo")?.addEventListener("click", ({ currentTarget }) => busy(currentTarget, () => enterDemo(said, entered)));
}

async function enter(form, said, entered) {
  const sent = Object.fromEntries(new FormData(form));
  const missing = Object.entries(sent).filter(([, value]) => value.trim() === "");
  if (showWrongs(form, Object.fromEntries(missing.map(([name]) => [name, "This is needed."])))) return;
  said.replaceChildren();
  try {
    const { token, user } = await post(form.dataset.path, sent);
    beginSession({ token, user });
    entered();
  } catch (error) {
    if (error.code === "otp_required") return askForCode(form, error);
    const wrongs = Object.fromEntries((error.errors ?? []).map(({ field, message }) => [field, message]));
    if (!showWrongs(form, wrongs)) said.replaceChildren(reasonOf(error));
  }
}

function askForCode(form, error) {
  find("#login-otp-field").hidden = false;
  form.elements.otp.disabled = false;
  showWrongs(form, { otp: error.message });
}

// Whoever logs in instead may have no second factor.
function forgetCode(form) {
  find("#login-otp-field").hidden = true;
  Object.assign(form.elements.otp, { disabled: true, value: "" });
}

async function enterDemo(said, entered) {
  try {
    const people = await createDemoPeople();
    beginSession(sessionOf(people[0], people));
    entered();
  } catch (error) {
    said.replaceChildren(reasonOf(error));
  }
}

function showPanel(main, chosen) {
  for (const form of findAll("form", main)) form.hidden = form.id !== chosen.getAttribute("aria-controls");
  find("#login-notice").replaceChildren();
}
