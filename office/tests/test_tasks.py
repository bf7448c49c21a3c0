"""Beat's call, by which the dashboard's figures are brought up to date."""

from datetime import timedelta

from django.conf import settings

from ledger_project.celery import app
from office import rollups, tasks
from office.models import HourlyMovement


def test_beat_calls_a_task_that_exists():
    entry = app.conf.beat_schedule["roll_up"]

    assert entry["schedule"] == settings.ROLL_UP_SECONDS
    assert entry["task"] in app.tasks


def test_it_counts_what_is_old_enough_and_who_is_there(new_user, new_account, settings):
    settings.ROLL_UP_LAG_SECONDS = -2  # as if the transaction had been posted a while ago
    new_account(new_user(), funds=5)

    assert tasks.roll_up() == 1
    assert HourlyMovement.objects.get().transactions == 1
    assert rollups.state("users")["rows"]


def test_heads_are_counted_from_time_to_time_only(new_user):
    tasks.roll_up()
    first = rollups.state("users")["counted_at"]
    tasks.roll_up()
    assert rollups.state("users")["counted_at"] == first

    rollups.count_heads(now=first - timedelta(seconds=tasks.HEADS_SECONDS))
    tasks.roll_up()
    assert rollups.state("users")["counted_at"] > first
