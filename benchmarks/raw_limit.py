"""The yardstick: how fast this mongod posts transfers when nothing but PyMongo is in the way.

A transfer here is what it must be anywhere: a transaction document, two entries, and two accounts changed under a check
of their versions, in one MongoDB transaction that is on the journals of a majority before the next one begins. There is
no HTTP, no authentication, no outbox and no hash chain.
"""

import random
import statistics
import threading
import time
from typing import Any, Self

from bson import ObjectId
from pymongo import ASCENDING, MongoClient, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from benchmarks.load import Load

DATABASE = "raw_limit"
ACCOUNTS = 1000
DURABLE = WriteConcern("majority", j=True)

Pair = tuple[ObjectId, ObjectId]


class RawLimit:
    """A database of its own with 1,000 accounts, dropped at the end."""

    def __init__(self, uri: str) -> None:
        self.client: MongoClient[dict[str, Any]] = MongoClient(uri, maxPoolSize=64)
        self.database = self.client[DATABASE]
        self.accounts = [ObjectId() for _ in range(ACCOUNTS)]

    def __enter__(self) -> Self:
        self.client.drop_database(DATABASE)
        self.database.accounts.insert_many([{"_id": a, "balance": 10**9, "sequence": 0} for a in self.accounts])
        self.database.transactions.create_index([("owner", ASCENDING), ("key", ASCENDING)], unique=True)
        self.database.entries.create_index([("account", ASCENDING), ("_id", ASCENDING)])
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def run(self, *, threads: int, per_transaction: int, seconds: float) -> Load:
        """Post transfers for some seconds, `per_transaction` of them in each MongoDB transaction.

        The latencies are those of the MongoDB transactions that went through.
        """
        began = time.monotonic()
        posters = [_Poster(self, number, per_transaction, began + seconds) for number in range(threads)]
        for poster in posters:
            poster.start()
        for poster in posters:
            poster.join()
        durations = [duration for poster in posters for duration in poster.durations]
        operations = len(durations) * per_transaction
        return Load(operations / (time.monotonic() - began), _percentiles_ms(durations), operations)

    def post(self, session: ClientSession, pairs: list[Pair]) -> None:
        """Post a transfer of 1 for each (payer, payee) in one MongoDB transaction."""
        session.start_transaction(write_concern=DURABLE)
        touched = {account for pair in pairs for account in pair}
        found = self.database.accounts.find({"_id": {"$in": list(touched)}}, session=session)
        versions = {account["_id"]: account["sequence"] for account in found}
        self.database.accounts.bulk_write(_updates(pairs, versions), session=session)
        transactions = [_transaction(pair) for pair in pairs]
        self.database.transactions.insert_many(transactions, session=session)
        self.database.entries.insert_many([e for t in transactions for e in _entries(t)], session=session)
        session.commit_transaction()


class _Poster(threading.Thread):
    """Posts until its time is up, and notes how long each MongoDB transaction took that went through."""

    def __init__(self, limit: RawLimit, number: int, per_transaction: int, until: float) -> None:
        super().__init__(daemon=True)
        self.limit, self.per_transaction, self.until = limit, per_transaction, until
        self.chance = random.Random(number)  # noqa: S311  (no secret)
        self.durations: list[float] = []

    def run(self) -> None:
        with self.limit.client.start_session() as session:
            while (began := time.monotonic()) < self.until:
                try:
                    self.limit.post(session, [self._pair() for _ in range(self.per_transaction)])
                    self.durations.append(time.monotonic() - began)
                except PyMongoError:  # a write conflict: another thread was first
                    if session.in_transaction:
                        session.abort_transaction()

    def _pair(self) -> Pair:
        payer, payee = self.chance.sample(self.limit.accounts, 2)
        return payer, payee


def _percentiles_ms(seconds: list[float]) -> tuple[float, ...]:
    cuts = statistics.quantiles(seconds * 2, n=100, method="inclusive")  # twice, for it wants two values at least
    return tuple(1000 * cut for cut in (*cuts, max(seconds)))


def _updates(pairs: list[Pair], versions: dict[ObjectId, int]) -> list[UpdateOne]:
    changes = dict.fromkeys(versions, 0)
    for payer, payee in pairs:
        changes[payer] -= 1
        changes[payee] += 1
    return [
        UpdateOne({"_id": account, "sequence": versions[account]}, {"$inc": {"balance": change, "sequence": 1}})
        for account, change in changes.items()
    ]


def _transaction(pair: Pair) -> dict[str, Any]:
    made = ObjectId()
    return {"_id": made, "owner": 1, "key": str(made), "from": pair[0], "to": pair[1], "amount": 1}


def _entries(transaction: dict[str, Any]) -> list[dict[str, Any]]:
    sides = (("from", "DEBIT"), ("to", "CREDIT"))
    return [
        {"account": transaction[side], "transaction": transaction["_id"], "amount": 1, "type": kind}
        for side, kind in sides
    ]
