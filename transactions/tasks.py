"""Celery tasks of the ledger: turn what was posted into e-mail, and post what was approved."""

from celery import shared_task

from transactions import anchors, approvals, continuous_audit, notices
from users.tasks import WakeUp, send_notifications

GROUPS = 100  # a turn; they are written together, and a turn that is cut off loses nothing


@shared_task(ignore_result=True)
def tell_parties() -> int:
    """Write the notices that postings left word of, and send what is due; beat's sweep calls it, too."""
    # Where none could be written, another turn at once would not write one either.
    more = notices.write_due(limit=GROUPS) > 0 and notices.are_due()
    sent = send_notifications()
    if more:
        wake_up.ask()
    return sent


wake_up = WakeUp(tell_parties)


@shared_task(ignore_result=True)
def carry_out_approved() -> int:
    """Beat's call: post what was approved and has no outcome yet."""
    return approvals.carry_out_approved()


@shared_task(ignore_result=True)
def audit_ledger() -> int:
    """Beat's call: verify the next slice of the ledger; how many findings it has."""
    work = continuous_audit.audit_slice()
    return len(work.found) if work else 0


# A snapshot is kept for 300 seconds.
@shared_task(ignore_result=True, soft_time_limit=290, time_limit=300)
def take_daily_anchor() -> bool:
    """Beat's call: take the anchor of the day, if it has not been taken."""
    return anchors.take_daily() is not None
