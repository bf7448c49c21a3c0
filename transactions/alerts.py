"""What becomes of a finding of the continuous audit: it is kept, its account frozen, and staff are told; once each."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from accounts.models import Account
from accounts.opening import change_status
from ledger_project.jsonio import timestamp
from ledger_project.mongo import Document, Unit, collection, is_duplicate_key, run_transaction, setting
from transactions.invariants import Code, Finding
from transactions.models import LedgerFinding
from users import audit, notifications
from users.models import Notification, User
from users.tasks import wake_sender

logger = logging.getLogger(__name__)

FINDINGS = LedgerFinding._meta.db_table
FAILED_VALIDATION = 121
SHOWN = 20  # findings in one e-mail
SEES_FINDINGS = "transactions.view_ledgerfinding"


class Found(NamedTuple):
    """A finding, and the account that it is about; None where it is about the ledger as a whole."""

    account: ObjectId | None
    finding: Finding

    @property
    def key(self) -> str:
        """What makes two the same."""
        return f"{self.account}|{self.finding.code.value}|{self.finding.subject}"


def entries_vanished(account: Document, proven: int) -> Finding:
    """The finding that an account has fewer entries than it was proven to have."""
    message = f"sequence is {account['sequence']}, {proven} entries had been verified before"
    return Finding(Code.ACCOUNT_SEQUENCE, account["_id"], message)


def account_vanished(account_id: ObjectId, proven: int) -> Finding:
    """The finding that an account is gone that was proven before."""
    return Finding(Code.ACCOUNT_UNKNOWN, account_id, f"it does not exist, {proven} entries of it had been verified")


def record(found: Sequence[Found], now: datetime) -> int:
    """Freeze the accounts of what is new, keep it, and queue an e-mail to staff; how many findings are new.

    A process that dies in between has frozen, and told nobody: the slice is done again, and that is made up for. A
    finding that is known is only seen again: staff who unfreeze its account have decided, and it is not frozen again
    for the same reason.
    """
    if not found:
        return 0
    by_key = {each.key: each for each in found}
    is_open = {"key": {"$in": list(by_key)}, "cleared_at": None}
    known = {row["key"] for row in collection(LedgerFinding).find(is_open, {"key": 1})}
    reasons = {each.account: each.finding for key, each in reversed(by_key.items()) if key not in known}
    for account, finding in reasons.items():
        if account is not None:
            _freeze(account, finding)
    staff = told()
    try:
        return run_transaction(lambda unit: _record_in(unit, by_key, staff, now))
    except PyMongoError as error:
        if is_duplicate_key(error):  # another worker, after our turn had run out, was first
            return 0
        raise


def clear(proven: Mapping[ObjectId | None, datetime], now: datetime) -> None:
    """Clear the findings that a full pass did not see again: `proven` says of which accounts one ended, began when."""
    rows = collection(LedgerFinding).find({"cleared_at": None}, {"account": 1, "seen_at": 1}, hint="open")
    gone = [row["_id"] for row in rows if row["account"] in proven and row["seen_at"] < proven[row["account"]]]
    if gone:
        collection(LedgerFinding).update_many({"_id": {"$in": gone}}, {"$set": {"cleared_at": now}})


def open_findings() -> int:
    """How many findings are open."""
    return collection(LedgerFinding).count_documents({"cleared_at": None}, hint="open")


def told() -> list[User]:
    """The members of staff who are told: whoever may see findings, auditors above all."""
    staff = User.objects.filter(is_active=True, is_staff=True)
    return [user for user in staff if user.has_perm(SEES_FINDINGS)]


def _record_in(unit: Unit, found: dict[str, Found], staff: list[User], now: datetime) -> int:
    rows = unit.database[FINDINGS]
    known = {row["key"]: row for row in rows.find({"key": {"$in": list(found)}}, session=unit.session)}
    again = [row["key"] for row in known.values() if row["cleared_at"] is not None]
    new = [key for key in found if key not in known]
    anew = {"found_at": now, "cleared_at": None}
    if known:
        seen = {"seen_at": now}
        changes = ((row["_id"], seen | anew if key in again else seen) for key, row in known.items())
        unit.write([setting(FINDINGS, changes)])
    if new:
        unit.insert(FINDINGS, [_row(found[key], now) for key in new])
    alarming = [found[key] for key in (*new, *again)]
    if alarming:
        notifications.queue(unit, [_notice(user.pk, alarming, now) for user in staff])
        unit.after_commit(wake_sender.ask)
    return len(alarming)


def _row(found: Found, now: datetime) -> Document:
    return {
        "_id": ObjectId(),
        "key": found.key,
        "account": found.account,
        "code": found.finding.code.value,
        "subject": str(found.finding.subject),
        "message": found.finding.message,
        "found_at": now,
        "seen_at": now,
        "cleared_at": None,
    }


def _freeze(account_id: ObjectId, finding: Finding) -> None:
    """Freeze an account that is active; one that is frozen, closed or gone stays so.

    One that has become what the server's validator refuses cannot be frozen, and need not be: nothing can be posted on
    it either.
    """
    reason = f"Continuous audit: {finding.code.value} {finding.subject}"
    frozen = Account.Status.FROZEN

    def work(unit: Unit) -> None:
        if Account.objects.filter(pk=account_id, status=Account.Status.ACTIVE).exists():
            change_status(unit, account_id=account_id, status=frozen, reason=reason, record=audit.record_by_system)

    try:
        run_transaction(work)
    except OperationFailure as error:
        if error.code != FAILED_VALIDATION:
            raise
        logger.error("account %s cannot be frozen: it is not what an account must be", account_id)


def _notice(user_id: ObjectId, found: Sequence[Found], now: datetime) -> Document:
    lines = [f"{each.finding.code}  {each.finding.subject}  {each.finding.message}" for each in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more")
    payload = {"count": str(len(found)), "findings": "\n".join(lines), "time": timestamp(now)}
    return notifications.row(user_id, Notification.Kind.LEDGER_FINDING, payload, now)
