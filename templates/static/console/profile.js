// Who is logged in, until when and where; a new password; and out.

import { copyText, find, fromTemplate, make } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { beginSession, session } from "../session.js";
import { formatTime } from "../times.js";
import { SIGNED_OUT, ask, get, post } from "./api.js";
import { announce, load, reasonOf } from "./states.js";

export const title = "Profile";

export function show(main, { signal }) {
  main.replaceChildren(fromTemplate("profile"));
  showPerson(signal);
  showDevices(signal);
  find("#end-all").addEventListener("click", ({ currentTarget }) => busy(currentTarget, () => endAll()));
  const form = find("#password-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(find("button", form), () => changePassword(form, signal));
  });
}

function showPerson(signal) {
  load(find("#profile-body"), signal, async () => {
    const { user } = await get("/auth/me");
    const body = fromTemplate("profile-body", { name: user.name, email: user.email, id: user._id, until: formatTime(expiry()) });
    find("[data-copy]", body).addEventListener("click", ({ currentTarget }) => copyText(user._id, currentTarget));
    return [body];
  });
}

function showDevices(signal) {
  load(find("#devices"), signal, async () => {
    const { sessions } = await get("/auth/sessions");
    if (!sessions.length) return make("p", { class: "quiet small" }, "No app keeps you logged in. Log-ins like this one are not listed.");
    return make("ul", {}, ...sessions.map((device) => deviceRow(device, signal)));
  });
}

function deviceRow(device, signal) {
  const used = `${device.address} · last used ${formatTime(device.lastUsedAt)}`;
  const row = fromTemplate("device", { name: device.userAgent || "An unknown app", used });
  find("button", row).addEventListener("click", ({ currentTarget }) => busy(currentTarget, () => endDevice(device, signal)));
  return row;
}

async function endDevice(device, signal) {
  try {
    await ask("DELETE", `/auth/sessions/${device._id}`);
  } catch (error) {
    if (error.code !== "session_not_found") return sayWrong(error); // ended elsewhere: just as well
  }
  announce("The device is logged out.");
  showDevices(signal);
}

async function endAll() {
  try {
    await ask("DELETE", "/auth/sessions");
    dispatchEvent(new Event(SIGNED_OUT));
  } catch (error) {
    sayWrong(error);
  }
}

function sayWrong(error) {
  find("#devices-wrong").replaceChildren(reasonOf(error));
}

async function changePassword(form, signal) {
  const said = find(".notice", form);
  said.className = "notice bad";
  said.replaceChildren();
  try {
    const { token, user } = await post("/auth/password", Object.fromEntries(new FormData(form)));
    beginSession({ ...session(), token, user });
    form.reset();
    showWrongs(form, {});
    said.className = "notice";
    said.replaceChildren("Your password is changed.");
    showDevices(signal);
  } catch (error) {
    const wrongs = Object.fromEntries((error.errors ?? []).map(({ field, message }) => [field, message]));
    if (error.code === "wrong_password") wrongs.currentPassword = error.message;
    if (!showWrongs(form, wrongs)) said.replaceChildren(reasonOf(error));
  }
}

function expiry() {
  const claims = session().token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(claims)).exp * 1000;
}
