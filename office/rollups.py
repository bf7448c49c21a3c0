"""Roll-ups for the dashboard: what was posted, hour by hour, and how many accounts and users there are.

Transactions are counted in the order of their ids, each once. Ids are no commit order: one that was made earlier may
commit later, and a count that had gone past it would miss it for ever. So only ids that are older than
ROLL_UP_LAG_SECONDS are counted. An id is made after its MongoDB transaction began, and the server ends every
transaction after transactionLifetimeLimitSeconds: past the lag, nothing older can still commit.

What was counted, and how far, is written in one MongoDB transaction: killed halfway, nothing is; two at once, one of
them starts again behind the other.
"""

import time
from datetime import datetime, timedelta

from bson import ObjectId
from django.conf import settings
from django.utils import timezone
from pymongo import UpdateOne
from pymongo.collection import Collection

from accounts.models import Account
from ledger_project.mongo import Document, Unit, collection, database, first_id, run_transaction
from office.models import HourlyMovement
from transactions.meters import HOUR
from transactions.models import Transaction
from users.models import User

STATE = "roll_ups"
MOVEMENTS, ACCOUNTS, USERS = "movements", "accounts", "users"
AT_ONCE = 10_000  # transactions in one step: far below the time that a MongoDB transaction may take
LOWEST_ID = ObjectId("0" * 24)


def roll_up_movements(*, seconds: float, now: datetime | None = None) -> int:
    """Count the transactions that came since the last time, for about `seconds`; how many they were."""
    until = time.monotonic() + seconds
    counted = 0
    while True:
        step = run_transaction(lambda unit: _step(unit, now or timezone.now()))
        counted += step
        if step < AT_ONCE or time.monotonic() > until:
            return counted


def count_heads(*, now: datetime | None = None) -> None:
    """Count accounts and users by what they are, from indexes that hold nothing else, and sum what was issued."""
    accounts = _grouped(Account, "heads", "kind", "status", "currency")
    users = _grouped(User, "heads", "is_active", "is_staff", "is_system")
    issued = collection(Account).aggregate(
        [
            {"$match": {"kind": Account.Kind.EQUITY.value}},
            {"$group": {"_id": "$currency", "minor": {"$sum": {"$toDecimal": "$balance_minor"}}}},
        ],
        hint="heads",
    )
    held = {row["_id"]: row["minor"] for row in issued}
    at = now or timezone.now()
    _remember(ACCOUNTS, {"counted_at": at, "rows": accounts, "equity_minor": held})
    _remember(USERS, {"counted_at": at, "rows": users})


def state(name: str) -> Document:
    """What the roll-up `name` last left behind; empty before its first time."""
    return database()[STATE].find_one({"_id": name}) or {}


def _step(unit: Unit, now: datetime) -> int:
    """Count up to AT_ONCE transactions behind the last one that was counted."""
    states = unit.database[STATE]
    # Written before anything is read: of two at once, one meets the other's write here and starts again.
    before = states.find_one_and_update({"_id": MOVEMENTS}, {"$inc": {"steps": 1}}, upsert=True, session=unit.session)
    horizon = now - timedelta(seconds=settings.ROLL_UP_LAG_SECONDS)
    last = (before or {}).get("last", LOWEST_ID)
    rows = list(unit.database[Transaction._meta.db_table].aggregate(_hours(last, horizon), session=unit.session))
    counted = sum(row["transactions"] for row in rows)
    if rows:
        last = max(row["last"] for row in rows)
        unit.database[HourlyMovement._meta.db_table].bulk_write([_addition(row) for row in rows], session=unit.session)
    up_to = horizon if counted < AT_ONCE else last.generation_time
    states.update_one({"_id": MOVEMENTS}, {"$set": {"last": last, "up_to": up_to}}, session=unit.session)
    return counted


def _hours(last: ObjectId, horizon: datetime) -> list[Document]:
    """The pipeline that sums the next transactions by currency, hour and kind.

    In two steps, so that an original is looked up for each reversal only, not for each transaction.
    """
    hour = {"$dateToString": {"date": "$created_at", "format": HOUR}}
    issued = {"$in": [Transaction.Kind.INITIAL_FUNDS.value, "$original.kind"]}
    kind = {"$cond": [issued, HourlyMovement.FUNDS_REVERSAL, "$_id.kind"]}
    return [
        {"$match": {"_id": {"$gt": last, "$lt": first_id(horizon.timestamp())}}},
        {"$sort": {"_id": 1}},
        {"$limit": AT_ONCE},
        {
            "$group": {
                "_id": {"currency": "$currency", "hour": hour, "kind": "$kind", "reverses": "$reverses"},
                "transactions": {"$sum": 1},
                "volume_minor": {"$sum": {"$toDecimal": "$amount_minor"}},
                "last": {"$max": "$_id"},
            }
        },
        {
            "$lookup": {
                "from": Transaction._meta.db_table,
                "localField": "_id.reverses",
                "foreignField": "_id",
                "as": "original",
            }
        },
        {
            "$group": {
                "_id": {"currency": "$_id.currency", "hour": "$_id.hour", "kind": kind},
                "transactions": {"$sum": "$transactions"},
                "volume_minor": {"$sum": "$volume_minor"},
                "last": {"$max": "$last"},
            }
        },
    ]


def _addition(row: Document) -> UpdateOne:
    of = row["_id"]
    return UpdateOne(
        {"_id": f"{of['currency']}|{of['hour']}|{of['kind']}"},
        {"$set": of, "$inc": {"transactions": row["transactions"], "volume_minor": row["volume_minor"]}},
        upsert=True,
    )


def _grouped(model: type[Account] | type[User], index: str, *names: str) -> list[Document]:
    """How many rows there are of each combination of `names`: a walk over `index`, which holds just these."""
    found: Collection[Document] = collection(model)
    combination = {name: f"${name}" for name in names}
    rows = found.aggregate(
        [
            {"$project": {"_id": 0, **dict.fromkeys(names, 1)}},
            {"$group": {"_id": combination, "count": {"$sum": 1}}},
        ],
        hint=index,
    )
    return [{**row["_id"], "count": row["count"]} for row in rows]


def _remember(name: str, counted: Document) -> None:
    database()[STATE].update_one({"_id": name}, {"$set": counted}, upsert=True)
