"""The arithmetic of the dashboard."""

from datetime import UTC, datetime

import pytest

from office.figures import Period, change, percentile

NOON = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def test_a_week_is_today_and_the_six_days_before():
    week = Period(7, NOON)
    assert (week.first_hour, week.last_hour) == ("2026-02-24T00", "2026-03-02T12")
    assert week.buckets[0] == "2026-02-24"
    assert week.buckets[-1] == "2026-03-02"
    assert week.bucket("2026-02-28T23") == "2026-02-28"
    assert week.label("2026-03-02") == "2 Mar"


def test_today_is_shown_by_the_hour():
    today = Period(1, NOON)
    assert (len(today.buckets), today.buckets[13]) == (24, "2026-03-02T13")
    assert today.label(today.bucket("2026-03-02T09")) == "09:00"


def test_a_period_is_compared_with_as_much_time_before_it():
    assert Period(1, NOON).before.first_hour == "2026-03-01T00"
    assert Period(1, NOON).before.last_hour == "2026-03-01T12"
    assert Period(7, NOON).before.last_hour == "2026-02-23T12"


@pytest.mark.parametrize(
    ("histogram", "share", "bound"),
    [
        ({}, 0.5, None),
        ({"10": 1}, 0.5, 10),
        ({"10": 50, "200": 50}, 0.5, 10),
        ({"200": 49, "10": 51}, 0.95, 200),
        ({"5": 95, "1000": 5}, 0.95, 5),
        ({"5": 3, "30": 1}, 1, 30),
    ],
)
def test_percentiles_are_the_bound_that_the_share_does_not_exceed(histogram, share, bound):
    assert percentile(histogram, share) == bound


def test_a_change_needs_something_to_compare_with():
    assert change(15, 10) == 50
    assert change(5, 10) == -50
    assert change(5, 0) is None
