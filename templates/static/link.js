// The page behind a link in an e-mail. The link's secret stands behind the #, which no server is sent; without one, the
// page asks where to send the link.

import { find, findAll } from "./dom.js";
import { post } from "./console/api.js";
import { reasonOf } from "./console/states.js";
import { busy, showWrongs } from "./forms.js";

const said = find("#said");
const [withSecret, withoutSecret] = [find("#with-secret"), find("#without-secret")];

function secret() {
  return location.hash.slice(1);
}

function showForm() {
  withSecret.hidden = !secret();
  withoutSecret.hidden = Boolean(secret());
}

async function send(form) {
  say("", "");
  try {
    const given = Object.fromEntries(new FormData(form));
    const { message } = await post(form.dataset.path, form === withSecret ? { token: secret(), ...given } : given);
    say(message, "good");
    form.hidden = true;
    history.replaceState(null, "", location.pathname); // the secret need not stay in the list of pages visited
  } catch (error) {
    const wrongs = Object.fromEntries((error.errors ?? []).map(({ field, message }) => [field, message]));
    if (wrongs.token || !showWrongs(form, wrongs)) say(wrongs.token ?? reasonOf(error), "bad");
    withoutSecret.hidden = error.code !== "link_invalid";
  }
}

function say(text, kind) {
  said.className = `notice ${kind}`;
  said.textContent = text;
}

for (const form of findAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(find("button", form), () => send(form));
  });
}
addEventListener("hashchange", showForm);
showForm();
