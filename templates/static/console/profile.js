// Who is logged in, until when, and out.

import { copyText, find, fromTemplate } from "../dom.js";
import { session } from "../session.js";
import { formatTime } from "../times.js";
import { get } from "./api.js";
import { load } from "./states.js";

export const title = "Profile";

export function show(main, { signal }) {
  main.replaceChildren(fromTemplate("profile"));
  load(find("#profile-body"), signal, async () => {
    const { user } = await get("/auth/me");
    const body = fromTemplate("profile-body", { name: user.name, email: user.email, id: user._id, until: formatTime(expiry()) });
    find("[data-copy]", body).addEventListener("click", ({ currentTarget }) => copyText(user._id, currentTarget));
    return [body];
  });
}

function expiry() {
  const claims = session().token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(claims)).exp * 1000;
}
