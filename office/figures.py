"""The arithmetic of the dashboard, pure: periods, buckets, percentiles from counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from transactions.meters import HOUR

DAYS = (1, 7, 30, 90)


class Hours(NamedTuple):
    """From the first hour to the last, both included; none where the last comes before the first."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Period:
    """The last `days` days, today among them, in UTC; "today" is shown hour by hour."""

    days: int
    now: datetime

    @property
    def hours(self) -> Hours:
        """Up to the hour now."""
        return _hours(self._start, self.now)

    @property
    def dates(self) -> tuple[str, str]:
        """Its first day and its last one, today."""
        return self.hours.first[:10], self.hours.last[:10]

    def compared(self, counted: datetime) -> tuple[Hours, Hours]:
        """Its hours that were over at `counted`, and the same hours of as much time before.

        The hour now is left out: a part of it would be held against the whole of an hour before.
        """
        last, earlier = min(self.now, counted) - timedelta(hours=1), timedelta(days=self.days)
        return _hours(self._start, last), _hours(self._start - earlier, last - earlier)

    @property
    def buckets(self) -> list[str]:
        """What the chart has a bar for: the hours of today, else the days."""
        if self.days == 1:
            return [(self._start + timedelta(hours=number)).strftime(HOUR) for number in range(24)]
        return [f"{self._start + timedelta(days=number):%Y-%m-%d}" for number in range(self.days)]

    def bucket(self, hour: str) -> str:
        """The bucket that `hour` belongs to."""
        return hour if self.days == 1 else hour[:10]

    def bucketed(self, by_hour: Mapping[str, int]) -> list[int]:
        """The sums of hours, one for each bucket."""
        sums: Counter[str] = Counter()
        for hour, number in by_hour.items():
            sums[self.bucket(hour)] += number
        return [sums[bucket] for bucket in self.buckets]

    def label(self, bucket: str) -> str:
        """A bucket as people read it on an axis."""
        return f"{bucket[11:]}:00" if self.days == 1 else f"{datetime.fromisoformat(bucket):%-d %b}"

    @property
    def _start(self) -> datetime:
        midnight = self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=self.days - 1)


def reason(code: str) -> str:
    """The code of a refusal as people read it."""
    return code.replace("_", " ").capitalize()


def added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The sum of `counts`, name by name."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def percentile(histogram: Mapping[str, int], share: float) -> int | None:
    """The bound that `share` of the values do not exceed, from counts under upper bounds; None without values."""
    left = sum(histogram.values()) * share
    for bound in sorted(map(int, histogram)):
        left -= histogram[str(bound)]
        if left <= 0:
            return bound
    return None


def change(now: Decimal | int, before: Decimal | int) -> int | None:
    """By how many percent `now` is more than `before`; None where there is nothing to compare with."""
    return round((now - before) * 100 / before) if before > 0 else None


def _hours(first: datetime, last: datetime) -> Hours:
    return Hours(first.astimezone(UTC).strftime(HOUR), last.astimezone(UTC).strftime(HOUR))
