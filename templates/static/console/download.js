// An account's statement for a period as a file: the ledger writes it, this page fetches it with its token and saves it.

import { find } from "../dom.js";
import { midnight } from "../times.js";
import { fetchFile } from "./api.js";
import { announce, busy, reasonOf } from "./states.js";

export function askForStatement(account) {
  const dialog = find("#download-dialog");
  const form = find("form", dialog);
  const said = find(".notice", dialog);
  said.replaceChildren();
  find("[data-close]", dialog).onclick = () => dialog.close();
  form.onsubmit = (event) => {
    event.preventDefault();
    busy(find("button[type=submit]", form), () => download(account, form, dialog, said));
  };
  dialog.showModal();
}

async function download(account, form, dialog, said) {
  const { from, to, format } = Object.fromEntries(new FormData(form));
  try {
    const file = await fetchFile(`/accounts/${account._id}/statement`, { from: midnight(from), to: midnight(to, 1), format });
    save(`statement-${account._id}.${format}`, file);
    dialog.close();
    announce("The statement is saved.");
  } catch (error) {
    said.replaceChildren(reasonOf(error));
  }
}

function save(name, file) {
  const address = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
