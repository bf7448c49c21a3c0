// The console: which view an address shows, who is logged in, and whether there is a network.

import { find, findAll } from "../dom.js";
import { busy } from "../forms.js";
import { endSession, session } from "../session.js";
import * as account from "./account.js";
import * as accounts from "./accounts.js";
import { SIGNED_OUT, post } from "./api.js";
import * as login from "./login.js";
import { SENT, current } from "./payment.js";
import * as profile from "./profile.js";
import * as send from "./send.js";

const ROUTES = [
  { pattern: /^#\/accounts\/(\w+)$/, view: account, tab: "accounts" },
  { pattern: /^#\/send(?:\/(\w+))?$/, view: send, tab: "send" },
  { pattern: /^#\/profile$/, view: profile, tab: "profile" },
  { pattern: /^/, view: accounts, tab: "accounts" },
];
const main = find("main");
let leaving = new AbortController();

function showView() {
  leaving.abort();
  leaving = new AbortController();
  const who = session();
  document.body.classList.toggle("signed-in", Boolean(who));
  if (who) showSignedIn(who);
  else showLogin();
}

function showSignedIn(who) {
  const route = ROUTES.find(({ pattern }) => pattern.test(location.hash));
  const [, id] = location.hash.match(route.pattern);
  find("#who").textContent = who.user.name;
  for (const link of findAll(".bar nav a")) {
    if (link.dataset.tab === route.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  find("#unsettled").hidden = route.view === send || current(who.user._id)?.state !== SENT;
  open(route.view, { id, signal: leaving.signal });
}

function showLogin(notice) {
  open(login, { notice, entered: showView });
}

function open(view, context) {
  document.title = `${view.title} · Backend Ledger`;
  view.show(main, context);
  find("h1", main).focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function logOut() {
  const unheard = await post("/auth/logout").then(() => "", () => "You are logged out here, but the ledger could not be told.");
  // Setting location.hash would show the view of the new address, and wipe away what is said here.
  history.replaceState(null, "", location.pathname + location.search);
  leave(unheard);
}

function leave(notice) {
  endSession();
  leaving.abort();
  document.body.classList.remove("signed-in");
  showLogin(notice);
}

function showNetwork() {
  find("#offline").hidden = navigator.onLine;
}

addEventListener("hashchange", showView);
addEventListener("online", showNetwork);
addEventListener("offline", showNetwork);
addEventListener(SIGNED_OUT, () => leave("Your session has ended. Log in again to go on."));
// A link to where one is begins the view anew; the browser itself would do nothing.
find(".bar nav").addEventListener("click", ({ target }) => { if (target.hash === location.hash) showView(); });
find("#log-out").addEventListener("click", ({ currentTarget }) => busy(currentTarget, logOut));
showNetwork();
showView();
