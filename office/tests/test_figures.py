"""The arithmetic of the dashboard."""

from datetime import UTC, datetime, timedelta

import pytest

from office.figures import Period, change, percentile

NOON = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def test_a_week_is_today_and_the_six_days_before():
    week = Period(7, NOON)
    assert week.hours == ("2026-02-24T00", "2026-03-02T12")
    assert week.buckets[0] == "2026-02-24"
    assert week.buckets[-1] == "2026-03-02"
    assert week.bucket("2026-02-28T23") == "2026-02-28"
    assert week.label("2026-03-02") == "2 Mar"


def test_today_is_shown_by_the_hour():
    today = Period(1, NOON)
    assert (len(today.buckets), today.buckets[13]) == (24, "2026-03-02T13")
    assert today.label(today.bucket("2026-03-02T09")) == "09:00"


def test_whole_hours_are_compared_with_as_many_before_them():
    assert Period(1, NOON).compared(NOON) == (("2026-03-02T00", "2026-03-02T11"), ("2026-03-01T00", "2026-03-01T11"))
    assert Period(7, NOON).compared(NOON) == (("2026-02-24T00", "2026-03-02T11"), ("2026-02-17T00", "2026-02-23T11"))


def test_an_hour_that_is_over_and_not_counted_to_its_end_is_left_out():
    now, before = Period(1, NOON).compared(NOON - timedelta(minutes=31))
    assert (now.last, before.last) == ("2026-03-02T10", "2026-03-01T10")


def test_just_after_midnight_today_has_nothing_to_compare_and_a_week_has_its_whole_days():
    midnight = NOON.replace(hour=0, minute=1)
    now, before = Period(1, midnight).compared(midnight)
    assert now.last < now.first
    assert before.last < before.first
    now, before = Period(7, midnight).compared(midnight)
    assert (now, before) == (("2026-02-24T00", "2026-03-01T23"), ("2026-02-17T00", "2026-02-22T23"))


def test_hours_are_added_up_for_each_bar():
    by_hour = {"2026-03-02T00": 1, "2026-03-02T11": 2, "2026-02-24T05": 4}
    assert Period(7, NOON).bucketed(by_hour) == [4, 0, 0, 0, 0, 0, 3]
    assert Period(1, NOON).bucketed(by_hour)[:12] == [1, *[0] * 10, 2]


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
    assert change(5, -10) is None
