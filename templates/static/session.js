// Who is logged in, in this tab: { token, user, payees }.
//
// It is kept in sessionStorage, never in localStorage: it ends with the tab. In memory alone it would end with a reload,
// and a reload is just when somebody wants to know whether the payment went through. A stranger's script could read
// memory as well; our Content-Security-Policy lets none run.

const NAME = "ledger.session";

export function session() {
  return JSON.parse(sessionStorage.getItem(NAME));
}

export function beginSession({ token, user, payees = [] }) {
  sessionStorage.setItem(NAME, JSON.stringify({ token, user, payees }));
}

export function endSession() {
  sessionStorage.removeItem(NAME);
}
