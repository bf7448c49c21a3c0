// Try it live: choose an endpoint, fill in its form, send it, and see what came back.

import { copyText, find, findAll, make } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { Unreachable, exchange } from "../http.js";
import { makeTabs } from "../tabs.js";
import { forgetAnswer, showAnswer, showNoAnswer } from "./answer.js";
import { endpointById, endpoints } from "./endpoints.js";
import { requestOf, showForm, showRaw, wrongsOf } from "./form.js";
import { accounts, actAs, actor, learn, people, sessions, transactions } from "./known.js";
import { enterPeople, refreshPeople } from "./people.js";
import { languages } from "./snippets.js";

let language = "http";
let chosen = null; // the endpoint whose form is shown

function choose(id) {
  if (id !== chosen?.id) forgetAnswer(); // it would stand beside a request that it does not answer
  find("#endpoint").value = id;
  chosen = endpointById(id);
  const { summary, needsToken } = chosen;
  find("#about").textContent = `${summary}.${needsToken && !actor() ? " Needs a token: register or log in first." : ""}`;
  find("#as-field").hidden = !needsToken || people.size === 0;
  showForm(chosen);
  showRequest();
}

function showRequest() {
  find("#snippet").textContent = languages[language](requestOf(chosen));
}

function showKnown() {
  find("#known-accounts").replaceChildren(...[...accounts].map(([id, { label }]) => new Option(label, id)));
  find("#known-transactions").replaceChildren(...transactions.map((id) => new Option(id, id)));
  find("#known-sessions").replaceChildren(...[...sessions].map(([id, { label }]) => new Option(label, id)));
  find("#as").replaceChildren(...[...people].map(([email, { user }]) => new Option(`${user.name} (${email})`, email)), new Option("Nobody, without a token", ""));
  find("#as").value = actor()?.user.email ?? "";
  find("#as-field").hidden = !chosen.needsToken || people.size === 0;
}

function sendCall(event) {
  event.preventDefault();
  if (!showWrongs(event.currentTarget, wrongsOf(chosen))) busy(find("#send"), () => call(chosen, requestOf(chosen)));
}

async function call(endpoint, request) {
  try {
    const { method, path, headers, body } = request;
    const answer = await exchange({ method, address: path, headers, body });
    showAnswer(answer, meaningOf(endpoint, answer));
    learn(endpoint, request, answer);
    showKnown();
    showRequest();
    await refreshPeople();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    showNoAnswer("No answer: the server could not be reached.");
  }
}

function meaningOf(endpoint, answer) {
  if (answer.headers.get("Idempotent-Replay")) return "A replay: this key was used before, so you got the same transaction and nothing moved.";
  if (endpoint.id === "createTransfer" && answer.status === 201) return "Done: the money has moved. Send it again to see that the same key never moves it twice.";
  if (endpoint.id === "reverseTransaction" && answer.status === 202) return "It waits for another member of staff. Send it again with the same key to hear how it stands.";
  return answer.status === 401 && !actor() ? "Register or log in first; the token is then sent along." : null;
}

async function beginDemo({ currentTarget: button }) {
  const send = find("#send"); // another form is about to be there
  [button.disabled, send.disabled] = [true, true];
  find("#demo-said").textContent = "";
  try {
    await enterPeople();
    button.textContent = "Two others";
    button.className = "button compact";
    find("#demo-card").classList.add("done");
    find("#demo-card h3").textContent = "Asha and Ben are here";
    choose("createTransfer");
    showKnown();
    showRequest();
    find("#announcement").textContent = "Asha and Ben have money, and a transfer is filled in.";
  } catch (error) {
    find("#demo-said").textContent = error.message;
  } finally {
    [button.disabled, send.disabled] = [false, false];
  }
}

function fillEndpoints() {
  for (const tag of new Set(endpoints.map((endpoint) => endpoint.tag))) {
    const options = endpoints.filter((endpoint) => endpoint.tag === tag).map(({ id, method, path }) => new Option(`${method} ${path}`, id));
    find("#endpoint").append(make("optgroup", { label: tag }, ...options));
  }
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.matches("details")) target.open = true;
}

fillEndpoints();
choose("register");
showKnown();
openTarget();
find("#bench").hidden = false;
addEventListener("hashchange", openTarget);
find("#endpoint").addEventListener("change", ({ currentTarget }) => choose(currentTarget.value));
find("#as").addEventListener("change", ({ currentTarget }) => { actAs(currentTarget.value); choose(chosen.id); });
find("#fields").addEventListener("input", showRequest);
find("#more-fields").addEventListener("input", showRequest);
find("#raw").addEventListener("input", showRequest);
find("#call").addEventListener("submit", sendCall);
find("#as-json").addEventListener("click", () => { showRaw(find("#raw-field").hidden, chosen); showRequest(); });
find("#copy").addEventListener("click", ({ currentTarget }) => copyText(find("#snippet").textContent, currentTarget));
makeTabs(find(".said .tabs"), (tab) => {
  language = tab.dataset.language;
  find("#snippet").setAttribute("aria-labelledby", tab.id);
  showRequest();
});
for (const link of findAll(".try")) {
  link.addEventListener("click", (event) => {
    event.preventDefault(); // following the link would take the focus away again
    choose(link.dataset.endpoint);
    find("#try").scrollIntoView();
    find("#endpoint").focus({ preventScroll: true });
  });
}
const demo = find("#demo");
if (demo) {
  find("#demo-card").hidden = false;
  demo.addEventListener("click", beginDemo);
}
