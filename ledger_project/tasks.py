"""The canary: what beat sends and a worker runs, to prove the way from beat through the broker to a worker."""

from datetime import UTC, datetime

from celery import shared_task
from django.utils import timezone

from ledger_project.mongo import database

STATE = "canary"


@shared_task(ignore_result=True)
def canary(sent_at: float) -> None:
    """Beat's call, with the time (seconds since 1970) at which it called: note in MongoDB that it came round.

    Not in Redis: a Redis that was emptied is no dead worker. Calls that come late, twice or side by side leave the
    newest.
    """
    came = {"sent_at": datetime.fromtimestamp(sent_at, tz=UTC)}
    database()[STATE].update_one({"_id": "last"}, {"$max": came}, upsert=True)


def seconds_since_round_trip() -> float | None:
    """How long ago beat sent the newest call that a worker ran; None when none ever did. Raises PyMongoError.

    A queue in which calls wait shows in it, and so does a beat, a broker or a worker that is gone.
    """
    last = database()[STATE].find_one({"_id": "last"})
    return (timezone.now() - last["sent_at"]).total_seconds() if last else None
