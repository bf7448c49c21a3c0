"""What the dashboard shows: read from roll-ups and by index, a few milliseconds on a ledger of any size."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import Account
from ledger_project.money import UnknownCurrency, decimals, to_major
from ledger_project.mongo import Document, collection
from office import rollups
from office.figures import DAYS, Hours, Period, added, change, percentile
from office.models import EngineHour, HourlyMovement, Verification
from transactions import continuous_audit
from transactions.models import ApprovalRequest, NoticesDue, Transaction
from users.models import Notification

QUEUE_SHOWN = 10_000  # rows of the outbox are counted up to here


@dataclass(slots=True)
class Moved:
    """What moved: transfers by hour; and what are none: reversals, and the money issued less what was taken back."""

    currency: str
    transfers: Counter[str] = field(default_factory=Counter)
    minor: Counter[str] = field(default_factory=Counter)
    issued_minor: int = 0
    reversals: int = 0

    @property
    def count(self) -> int:
        """All transfers."""
        return self.transfers.total()

    @property
    def volume(self) -> Decimal:
        """What they moved, in major units."""
        return to_major(self.minor.total(), self.currency)

    @property
    def issued(self) -> Decimal:
        """The money that came into being and stayed, in major units: below zero where more of it was taken back."""
        return to_major(self.issued_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Queue:
    """The outbox: how many rows wait and failed (`QUEUE_SHOWN` stands for as many or more), and since when.

    `untold` are the groups of transactions of which a worker has yet to write the rows.
    """

    untold: int
    waiting: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Proven:
    """How the ledger is known to be whole: by the last verification of all of it, and by the continuous audit.

    The audit has verified every account since `oldest`. What is older than AUDIT_PERIOD_SECONDS is not recent.
    """

    verification: Verification | None
    is_recent: bool
    oldest: datetime
    is_behind: bool


@dataclass(frozen=True, slots=True)
class Engine:
    """How the engine fared."""

    calls: int
    mean_group: Decimal | None
    largest_group: int | None
    median_ms: int | None
    slow_ms: int | None
    refusals: list[tuple[str, int]]


def chosen(query: Any) -> tuple[Period, str]:
    """The period and the currency that the address asks for; what it asks for in vain is the default."""
    days = query.get("period", "")
    period = Period(int(days) if days in map(str, DAYS) else 7, timezone.now())
    currency = query.get("currency", "")
    try:
        decimals(currency)
    except UnknownCurrency:
        currency = settings.DEFAULT_CURRENCY
    return period, currency


def moved(hours: Hours, currency: str) -> Moved:
    """What moved in `hours`, from their roll-ups: one range of their ids."""
    ids = {"$gte": f"{currency}|{hours.first}", "$lte": f"{currency}|{hours.last}|~"}
    found = Moved(currency)
    for row in collection(HourlyMovement).find({"_id": ids}):
        hour, number, minor = row["hour"], row["transactions"], int(row["volume_minor"].to_decimal())
        match row["kind"]:
            case Transaction.Kind.TRANSFER:
                found.transfers[hour] += number
                found.minor[hour] += minor
            case Transaction.Kind.INITIAL_FUNDS:
                found.issued_minor += minor
            case HourlyMovement.FUNDS_REVERSAL:
                found.reversals += number
                found.issued_minor -= minor
            case _:
                found.reversals += number
    return found


def compared(period: Period, currency: str) -> dict[str, int | None]:
    """By how many percent what moved in `period` differs from as much time before."""
    now, before = (moved(hours, currency) for hours in period.compared(up_to() or period.now))
    return {
        "count": change(now.count, before.count),
        "volume": change(now.volume, before.volume),
        "issued": change(now.issued, before.issued),
    }


def accounts(currency: str) -> dict[str, int]:
    """How many customers' accounts of `currency` there are, by status; and how many of the system, by kind."""
    found: Counter[str] = Counter({status.value: 0 for status in Account.Status})
    for row in rollups.state(rollups.ACCOUNTS).get("rows", ()):
        if row["currency"] == currency:
            found[row["status"] if row["kind"] == Account.Kind.CUSTOMER else row["kind"]] += row["count"]
    return dict(found)


def currencies() -> list[str]:
    """Those that accounts hold, and the default."""
    rows = rollups.state(rollups.ACCOUNTS).get("rows", ())
    return sorted({settings.DEFAULT_CURRENCY, *(row["currency"] for row in rows)})


def in_circulation(currency: str) -> Decimal | None:
    """All that was ever issued and not taken back, in major units; None before it was first summed."""
    counted = rollups.state(rollups.ACCOUNTS)
    if not counted:
        return None
    equity = counted["equity_minor"].get(currency)
    return to_major(-int(equity.to_decimal()) if equity else 0, currency)


def users() -> dict[str, int]:
    """How many customers are active and disabled, how many members of staff and system users there are."""
    found: Counter[str] = Counter(active=0, disabled=0, staff=0, system=0)
    for row in rollups.state(rollups.USERS).get("rows", ()):
        customer = "active" if row["is_active"] else "disabled"
        found["system" if row["is_system"] else "staff" if row["is_staff"] else customer] += row["count"]
    return dict(found)


def queue() -> Queue:
    """The outbox now, through two small indexes, and no further than QUEUE_SHOWN rows; and what is to go into it."""
    rows = collection(Notification)
    pending: list[Document] = [
        {"$match": {"status": Notification.Status.PENDING.value}},
        {"$limit": QUEUE_SHOWN},
        {"$group": {"_id": None, "waiting": {"$sum": 1}, "oldest": {"$min": "$created_at"}}},
    ]
    waiting: Document = next(iter(rows.aggregate(pending, hint="due")), {"waiting": 0, "oldest": None})
    failed = rows.count_documents({"status": Notification.Status.FAILED.value}, limit=QUEUE_SHOWN, hint="failed")
    due = collection(NoticesDue)
    untold = due.count_documents({}, limit=QUEUE_SHOWN, hint="_id_")
    first = due.find_one({}, sort=[("_id", 1)]) or {"created_at": None}
    oldest = min(filter(None, (waiting["oldest"], first["created_at"])), default=None)
    return Queue(untold, waiting["waiting"], failed, oldest)


def pending_approvals() -> int:
    """How many requests wait for a decision, counted up to QUEUE_SHOWN by a small index."""
    pending = {"status": ApprovalRequest.Status.PENDING.value}
    return collection(ApprovalRequest).count_documents(pending, limit=QUEUE_SHOWN, hint="of_status")


def engine(period: Period) -> Engine:
    """The engine's hours of `period`, added up."""
    hours = list(EngineHour.objects.filter(pk__gte=period.hours.first, pk__lte=period.hours.last))
    groups, transfers = sum(hour.groups for hour in hours), sum(hour.transfers for hour in hours)
    milliseconds = added(hour.milliseconds for hour in hours)
    return Engine(
        calls=sum(hour.calls for hour in hours),
        mean_group=(Decimal(transfers) / groups).quantize(Decimal("0.1")) if groups else None,
        largest_group=percentile(added(hour.sizes for hour in hours), 1),
        median_ms=percentile(milliseconds, 0.5),
        slow_ms=percentile(milliseconds, 0.95),
        refusals=added(hour.refusals for hour in hours).most_common(),
    )


def proven(now: datetime) -> Proven:
    """What is known at `now`."""
    recent = now - timedelta(seconds=settings.AUDIT_PERIOD_SECONDS)
    oldest = now - timedelta(seconds=continuous_audit.oldest_proof_seconds(now))
    newest = collection(Verification).find_one({}, {"_id": 1}, sort=[("_id", -1)])
    last = Verification.objects.filter(pk=newest["_id"]).first() if newest else None
    return Proven(last, last is not None and last.began_at >= recent, oldest, oldest < recent)


def up_to() -> datetime | None:
    """Until when transactions are counted; None before the first roll-up."""
    return rollups.state(rollups.MOVEMENTS).get("up_to")
