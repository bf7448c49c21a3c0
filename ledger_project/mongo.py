"""MongoDB: the only door to a write that touches more than one document, and small helpers for documents.

Why not Django's or the backend's `atomic`: see docs/adr/0002-one-door-to-transactions.md.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db import connection as django_connection
from django.db.models import Model
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ledger_project.errors import LedgerError
from ledger_project.pipeline import DUPLICATE_KEY, in_one_round_trip

logger = logging.getLogger(__name__)

Document = dict[str, Any]
Result = TypeVar("Result")
M = TypeVar("M", bound=Model)

# Acknowledged means: on the journals of a majority.
DURABLE = WriteConcern(w="majority", j=True, wtimeout=5000)
# PyMongo's labels: a transaction that did not go through, and one of whose commit nobody knows.
NOT_COMMITTED, MAYBE_COMMITTED = "TransientTransactionError", "UnknownTransactionCommitResult"
# What a server says of a document that it will not have, whenever it is asked: its rules forbid it, or its size.
REFUSED_DOCUMENT = {DUPLICATE_KEY, 121, 10334}
# How long a transaction that failed may hold up its caller with being ended on the server, too.
END_SECONDS = 0.3
TIMES_WITH_ZONE: CodecOptions[Document] = CodecOptions(tz_aware=True)


class Unit:
    """One unit of work: the session that its reads and writes must carry, and what is to happen after its commit."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.database = database()
        self.is_done = False  # whether the work on it has returned, so that nothing but the commit is left
        self._after_commit: list[Callable[[], object]] = []

    def join(self, *stages: Document) -> Document:
        """The document that `stages` make of an empty one: the answers to several questions in one round trip.

        As a plain command, for a cursor costs as much again. It is not repeated when it fails: the transaction is.
        """
        command = {"aggregate": 1, "pipeline": [{"$documents": [{}]}, *stages], "cursor": {}}
        answer = self.database.command(command, session=self.session, codec_options=TIMES_WITH_ZONE)
        return answer["cursor"]["firstBatch"][0]

    def write(self, commands: Iterable[Document]) -> None:
        """Carry out `commands`, made by `inserting` and `setting`, in one round trip (pipeline.py).

        Raises PyMongoError, DuplicateKeyError among them: all is then undone.
        """
        for command, reply in in_one_round_trip(self.session, self.database, commands):
            asked = command["updates"] if "updates" in command else command["documents"]
            assert reply["n"] == len(asked), "a document is gone that the transaction has read"

    def insert(self, collection: str, documents: list[Document]) -> None:
        """Insert `documents`. Raises as `write` does."""
        self.write([inserting(collection, documents)])

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the unit is durable. Its failure is logged and reaches nobody: the money has moved."""
        self._after_commit.append(callback)

    def committed(self) -> None:
        """Run the callbacks, in the order they were given."""
        for callback in self._after_commit:
            try:
                callback()
            except Exception:
                logger.exception("an after-commit callback failed")


def inserting(collection: str, documents: list[Document]) -> Document:
    """The command that inserts `documents`.

    PyMongo's insert_many and bulk_write do more for each document than a group of a thousand can afford.
    """
    return {"insert": collection, "documents": documents}


def setting(collection: str, updates: Iterable[tuple[ObjectId, Document]]) -> Document:
    """The command that sets fields of documents that exist, by their ids: (id, fields) each.

    By id and nothing else: the server plans any other filter anew for each of them, at twice the cost.
    """
    return {"update": collection, "updates": [{"q": {"_id": key}, "u": {"$set": fields}} for key, fields in updates]}


def connection() -> Any:
    """Django's default connection. It has more than Django's type says: MongoDB's client, database and session."""
    return django_connection


def database() -> Database[Document]:
    """The database of Django's default connection, on the client that all threads of this process share.

    Times come back with their zone (UTC), as the rest of the code has them.
    """
    return connection().database.with_options(TIMES_WITH_ZONE)


def first_id(timestamp: float) -> ObjectId:
    """The lowest id of the second of `timestamp`, or the nearest there is: ids count seconds since 1970 in 32 bits."""
    seconds = min(max(int(timestamp), 0), 2**32 - 1)
    return ObjectId(seconds.to_bytes(4, "big") + bytes(8))


def collection(model: type[Model]) -> Collection[Document]:
    """The collection that holds the rows of `model`, for what the ORM cannot ask."""
    return database()[model._meta.db_table]


def run_transaction(work: Callable[[Unit], Result], *, timeout_seconds: float | None = None) -> Result:
    """Run `work` in one MongoDB transaction and return what it returns, once a majority has it on its journal.

    `work` may run several times (a write conflict, a new primary), each time with a fresh Unit: it must read all that
    it decides on through `unit.session` and have no effect outside the database but through `unit.after_commit`. ORM
    calls inside join the transaction. After `timeout_seconds` (settings.POSTING_DEADLINE_SECONDS) the attempt ends.

    Raises whatever `work` raises (nothing is then written), and PyMongoError when the database gave up. One with the
    label UnknownTransactionCommitResult may have been committed: look before telling anybody that it was not.
    """
    unit: Unit | None = None

    def attempt(session: ClientSession) -> Result:
        nonlocal unit
        unit = Unit(session)
        with _orm_joins(session):
            result = work(unit)
        unit.is_done = True
        return result

    with database().client.start_session() as session:
        try:
            with pymongo.timeout(timeout_seconds or settings.POSTING_DEADLINE_SECONDS):
                result = session.with_transaction(
                    attempt,
                    read_concern=ReadConcern("snapshot"),
                    write_concern=DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
        except LedgerError:  # a business no, and PyMongo has ended the transaction
            raise
        except PyMongoError as error:
            _end_on_server(session)
            is_labelled = error.has_error_label(NOT_COMMITTED) or error.has_error_label(MAYBE_COMMITTED)
            if unit and unit.is_done and not is_labelled:  # an odd answer to a commit is no "no"
                raise PyMongoError(str(error), [MAYBE_COMMITTED]) from error
            raise
        except Exception:
            _end_on_server(session)
            raise
    assert unit
    unit.committed()
    return result


def _end_on_server(session: ClientSession) -> None:
    """Have the server end the transaction that failed here: past the deadline PyMongo sends no abort.

    Else it would keep its accounts locked for as long as the server lets a transaction live, and a commit that is
    still on its way might be carried out after its caller was told that nothing has moved.
    """
    with suppress(PyMongoError), pymongo.timeout(END_SECONDS):
        database().client.admin.command("killSessions", [session.session_id])


@contextmanager
def _orm_joins(session: ClientSession) -> Iterator[None]:
    """Have the ORM use `session`; give back PyMongo's error where the ORM wrapped one: its labels say what to retry."""
    connection().session = session
    try:
        yield
    except DatabaseError as wrapped:
        if isinstance(wrapped.__cause__, PyMongoError):
            raise wrapped.__cause__ from None
        raise
    finally:
        connection().session = None


def from_document(model: type[M], document: Document) -> M:
    """A `model` instance of a raw `document`; fields that the document lacks are deferred."""
    present = [field for field in model._meta.concrete_fields if field.column in document]
    return model.from_db("default", [f.attname for f in present], [document[str(f.column)] for f in present])


def in_milliseconds(moment: datetime) -> datetime:
    """`moment` in the whole milliseconds that MongoDB keeps."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def is_refused_document(error: PyMongoError) -> bool:
    """Whether `error` is about a document that the server, or BSON, will not have; anything else may pass."""
    return getattr(error, "code", None) in REFUSED_DOCUMENT or isinstance(error, InvalidDocument)


def is_duplicate_key(error: PyMongoError) -> bool:
    """Whether a unique index refused a document; insert_many and the ORM say so in a BulkWriteError."""
    if isinstance(error, BulkWriteError):
        return any(refused["code"] == DUPLICATE_KEY for refused in error.details.get("writeErrors", ()))
    return isinstance(error, DuplicateKeyError)


def is_writable_primary() -> bool:
    """Whether the server is a primary that takes writes now. Raises PyMongoError when it cannot be asked."""
    return bool(database().client.admin.command("hello").get("isWritablePrimary"))


def refuse_standalone() -> None:
    """Raise ImproperlyConfigured if the server has no transactions. One that is away may come back: no reason."""
    try:
        if not is_replica_set():
            raise ImproperlyConfigured("MongoDB is not a replica set: it has no transactions, and money needs them")
    except ConnectionFailure as error:
        logger.error("MongoDB cannot be reached yet: %s", type(error).__name__)


def is_replica_set() -> bool:
    """Whether the server has transactions: is a member of a replica set or a router of a sharded cluster."""
    hello = database().client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"
