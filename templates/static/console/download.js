// An account's statement for a period as a file: the ledger writes it, this page fetches it with its token and saves it.

import { find } from "../dom.js";
import { busy, showWrongs } from "../forms.js";
import { fieldsOf, formatTime, midnight, moment } from "../times.js";
import { fetchFile } from "./api.js";
import { openDialog } from "./dialogs.js";
import { announce, reasonOf } from "./states.js";

const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/; // as the ledger writes one in a sentence

export function askForStatement(account, signal) {
  const dialog = find("#download-dialog");
  const form = find("form", dialog);
  form.reset();
  say(form, "");
  showWrongs(form, {});
  find("details", form).open = false;
  const closed = openDialog(dialog, signal);
  form.onsubmit = (event) => {
    event.preventDefault();
    busy(find("button[type=submit]", form), () => download(account, form, closed));
  };
}

async function download(account, form, closed) {
  const { from, fromTime, to, toTime, format } = Object.fromEntries(new FormData(form));
  const wrongs = {};
  if (fromTime && !from) wrongs.from = "Of which day is that time?";
  if (toTime && !to) wrongs.to = "Of which day is that time?";
  if (showWrongs(form, wrongs)) return;
  say(form, "");
  const end = toTime ? moment(to, toTime) : midnight(to, 1);
  try {
    const file = await fetchFile(`/accounts/${account._id}/statement`, { from: moment(from, fromTime), to: end, format });
    if (closed.aborted) return;
    save(`statement-${account._id}.${format}`, file);
    form.closest("dialog").close();
    announce("The statement is saved.");
  } catch (error) {
    if (error.code === "statement_too_long") offerEnd(form, error.message);
    say(form, reasonOf(error).replace(TIME, formatTime));
  }
}

// The ledger names the time up to which a statement can be had: it is filled in, in the reader's own zone.
function offerEnd(form, sentence) {
  const [time] = sentence.match(TIME) ?? [];
  find("details", form).open = true;
  if (!time) return;
  const { day, clock } = fieldsOf(time);
  form.elements.to.value = day;
  form.elements.toTime.value = clock;
}

function say(form, sentence) {
  find(".notice", form).replaceChildren(sentence);
}

function save(name, file) {
  const address = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
