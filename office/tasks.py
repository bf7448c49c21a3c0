"""Celery's part of the back office: keep the roll-ups of the dashboard fresh."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from office import rollups

TURN_SECONDS = 5  # the e-mail waits behind it
HEADS_SECONDS = 60  # a walk over an index, a second for some millions of accounts


@shared_task(ignore_result=True)
def roll_up() -> int:
    """Beat's call: count what was posted since the last one, and from time to time who is there."""
    counted_at = rollups.state(rollups.USERS).get("counted_at")
    if counted_at is None or timezone.now() - counted_at >= timedelta(seconds=HEADS_SECONDS):
        rollups.count_heads()
    return rollups.roll_up_movements(seconds=TURN_SECONDS)
