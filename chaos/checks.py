"""What must hold, whatever failed: the clients' history against the database, and the service against its promise."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from celery import Celery
from kombu import pools
from kombu.exceptions import KombuError
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from redis import RedisError

from chaos.clients import BATCH, FUNDING_BATCH, OK, REFUSED, UNKNOWN, Connection, Load, Move, Person
from chaos.cluster import WORKERS
from chaos.processes import WEB_THREADS, Document, NotInTime, Web, wait_until

ANSWERS_WITHIN_SECONDS = 15  # of healing
SETTLES_WITHIN_SECONDS = 120
MAIL_WITHIN_SECONDS = 600
AT_ONCE = 1000
REPEATED_AT_ONCE = 200
NEAR_SECONDS = 15  # a fault so near a first delivery may have kept the worker from noting it
TOLD_MOVES, TOLD_FAULTS = 5, 6


class Violation(Exception):
    """A promise was broken; the message says which, and the moves are those that show it."""

    def __init__(self, message: str, moves: Sequence[Move] = ()) -> None:
        super().__init__(message)
        self.moves = moves


class Checks:
    """The checks of one run; what was settled once is not read again until the end."""

    def __init__(self, load: Load, within_seconds: float = ANSWERS_WITHIN_SECONDS) -> None:
        self.within_seconds = within_seconds
        self.load, self.cluster, self.history = load, load.cluster, load.history
        self.settled = 0
        self.answered_seconds: list[float] = []
        self.verified = 0
        self.resolved: Counter[str] = Counter()
        self.mail: dict[str, int] = {}
        self.verifier: subprocess.Popen[str] | None = None

    def after_healing(self) -> None:
        """The service is back in time, whole, and so is what it stores. Raises Violation."""
        healed = time.monotonic()
        self._answers(healed)
        self._members_are_back()
        self._every_thread_answers()
        self._workers_answer()
        moves = self.history.moves[self.settled :]
        done = len(self.history.moves)
        self._resolve(moves)
        self._compare(moves)
        self.settled = done
        self._nothing_wrong()
        self._whole()

    def at_the_end(self) -> None:
        """Everything again, over all that was ever asked, and every e-mail. Raises Violation."""
        self._resolve(self.history.moves)
        self._compare(self.history.moves)
        self._nothing_else()
        self._mail()
        for _ in range(2):  # what still runs began before the end
            self._whole(wait=True)
        self._nothing_wrong()

    def _answers(self, healed: float) -> None:
        """Every web server posts a transfer again."""
        try:
            for web in self.cluster.webs:
                connection = Connection(web.port, self.history)
                left = max(1.0, healed + self.within_seconds - time.monotonic())
                wait_until(lambda: self._posts(connection), seconds=left, what=f"an answer of {web.name}")  # noqa: B023
        except NotInTime as late:
            raise Violation(f"after healing, {late}") from None
        self.answered_seconds.append(time.monotonic() - healed)

    def _posts(self, connection: Connection) -> bool:
        move = self._move()
        self.load.repeat(connection, move)
        return move.word == OK

    def _move(self) -> Move:
        one, other = self.load.people[:2]
        move = Move(one, other, 1, f"{self.cluster.seed}-probe-{len(self.history.moves)}-{time.monotonic_ns()}")
        self.history.moves.append(move)
        return move

    def _members_are_back(self) -> None:
        """Every mongod is primary or secondary: the next fault finds the set as it should be."""
        try:
            for member in self.cluster.members:
                wait_until(member.is_useful, seconds=SETTLES_WITHIN_SECONDS, what=f"{member.name} back in the set")
        except NotInTime as late:
            raise Violation(str(late)) from None

    def _every_thread_answers(self) -> None:
        """Twice as many calls at once as a server has threads, so that each has one, and each succeeds."""
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        for web in self.cluster.webs:
            while not self._all_answer(web):
                if time.monotonic() > deadline:
                    raise Violation(f"not every thread of {web.name} answers after {SETTLES_WITHIN_SECONDS} s")

    def _all_answer(self, web: Web) -> bool:
        connections = [Connection(web.port, self.history) for _ in range(2 * WEB_THREADS)]
        with ThreadPoolExecutor(len(connections)) as pool:
            return all(pool.map(self._posts, connections))

    def _workers_answer(self) -> None:
        """Every Celery worker hears what is said over Redis."""

        def all_answer() -> bool:
            try:
                pools.reset()  # kombu keeps connections for ever, to a Redis that is gone as well
                with Celery(broker=self.cluster.redis.url, set_as_current=False) as app:
                    return len(app.control.ping(timeout=5, limit=WORKERS)) == WORKERS
            except (OSError, RedisError, KombuError):
                return False

        try:
            wait_until(all_answer, seconds=SETTLES_WITHIN_SECONDS, what="a word of every Celery worker")
        except NotInTime as late:
            raise Violation(str(late)) from None

    def _resolve(self, moves: Iterable[Move]) -> None:
        """Repeat each unknown until its key has an answer, those of one payer together."""
        # Without an answer it is being asked for right now.
        unknown = [move for move in moves if move.word == UNKNOWN and move.answers]
        deadline, connection = time.monotonic() + SETTLES_WITHIN_SECONDS, self.load.connection(0)
        while unknown:
            by_payer: dict[Person, list[Move]] = {}
            for move in unknown:
                by_payer.setdefault(move.payer or self.load.system, []).append(move)
            for payer, asked in by_payer.items():
                path = BATCH if asked[0].payer else FUNDING_BATCH
                for at in range(0, len(asked), REPEATED_AT_ONCE):
                    connection.post("repeat", path, payer.token, asked[at : at + REPEATED_AT_ONCE])
            self.resolved.update(move.answers[-1].word for move in unknown if move.answers[-1].word != UNKNOWN)
            unknown = [move for move in unknown if move.answers[-1].word == UNKNOWN]
            if unknown and time.monotonic() > deadline:
                raise Violation(f"{len(unknown)} unknowns do not resolve by repeating their keys", unknown)

    def _compare(self, moves: Sequence[Move]) -> None:
        """Every ok is stored once, as it was answered, every time; no refused one is."""
        known = [(move, move.word) for move in moves if move.answers]
        rows = iter(known)
        while part := list(islice(rows, AT_ONCE)):
            stored = self._stored([move.key for move, _ in part])
            for move, word in part:
                self._compare_one(move, word, stored.get(move.key, []))

    def _compare_one(self, move: Move, word: str, found: list[Document]) -> None:
        if word == OK and len(found) != 1:
            raise Violation(f"acknowledged, and stored {len(found)} times", [move])
        if word == REFUSED and found:
            raise Violation("refused, and stored all the same", [move])
        if len(found) > 1:
            raise Violation("unknown, and stored more than once", [move])
        if word == OK:
            first = move.transactions[0]
            if any(again != first for again in move.transactions):
                raise Violation("a repeated key was answered differently", [move])
            if str(found[0]["_id"]) != first["_id"] or found[0]["amount_minor"] != move.amount * 100:
                raise Violation(f"what is stored is not what was acknowledged: {found[0]}", [move])
            was_ok = next(at for at, answer in enumerate(move.answers) if answer.word == OK)
            if any(a.word == REFUSED and "too_busy" not in a.said for a in move.answers[was_ok:]):
                raise Violation("acknowledged, and then refused under the same key", [move])

    def _stored(self, keys: list[str]) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for row in self._read("transactions", {"idempotency_key": {"$in": keys}}):
            found.setdefault(row["idempotency_key"], []).append(row)
        return found

    def _nothing_else(self) -> None:
        """What is stored was asked for and acknowledged, all of it."""
        keys = {move.key for move in self.history.moves if move.word == OK}
        stored = [row["idempotency_key"] for row in self._read("transactions", {})]
        if len(stored) != len(keys) or set(stored) != keys:
            odd = [move for move in self.history.moves if move.key in set(stored) ^ keys]
            raise Violation(f"{len(stored)} transactions stored, {len(keys)} acknowledged", odd)

    def _read(self, collection: str, chosen: Document) -> list[Document]:
        """Documents that a majority has. Elections are waited for."""
        for attempt in range(5):
            try:
                rows = self.cluster.database.get_collection(collection, read_concern=ReadConcern("majority"))
                return list(rows.find(chosen))
            except PyMongoError:
                if attempt == 4:
                    raise
                time.sleep(2)
        raise AssertionError("not reached")

    def _whole(self, *, wait: bool = False) -> None:
        """`manage.py verify_ledger` finds nothing. It runs over and over beside all else, as it may; here it is read.

        One that a fault kept from its end has proven nothing, and the next begins.
        """
        if self.verifier is None:
            self.verifier = self.cluster.begin("verify_ledger", "--json")
        if not wait and self.verifier.poll() is None:
            return
        said, _ = self.verifier.communicate()
        code, self.verifier = self.verifier.returncode, None
        if code == 1:
            raise Violation(f"verify_ledger: {said[-1000:]}")
        self.verified += code == 0
        if wait and code:
            raise Violation(f"verify_ledger ended with code {code} though nothing failed")

    def _nothing_wrong(self) -> None:
        if self.history.wrong:
            raise Violation(f"{len(self.history.wrong)} wrong answers: {self.history.wrong[:3]}")

    def _mail(self) -> None:
        """Every notice is there and at its end; what was sent arrived, and twice only where a fault was near."""
        deadline, left = time.monotonic() + MAIL_WITHIN_SECONDS, -1
        while left := self._pending():
            if time.monotonic() > deadline:
                raise Violation(f"{left} notices are neither sent nor given up after {MAIL_WITHIN_SECONDS} s")
            time.sleep(1)
        rows = {str(row["_id"]): row for row in self._read("notifications", {})}
        if missing := self._owed() - set(rows):
            raise Violation(f"{len(missing)} notices are forgotten, of entry {sorted(missing)[0]} for one")
        accepted = self.cluster.mail.accepted()
        times = Counter(message for _, message in accepted)
        first = {message: at for at, message in reversed(accepted)}
        lost = [key for key, row in rows.items() if row["status"] == "SENT" and not times[key]]
        if lost:
            raise Violation(f"{len(lost)} notices are noted as sent and never arrived, {lost[0]} for one")
        twice = {message for message, count in times.items() if count > 1}
        if odd := [key for key in twice if not self._near_a_fault(first[key])]:
            raise Violation(f"{len(odd)} notices arrived twice with no fault near, {odd[0]} for one")
        given_up = sum(row["status"] == "FAILED" for row in rows.values())
        self.mail = {"notices": len(rows), "delivered": len(times), "twice": len(twice), "given up": given_up}

    def _pending(self) -> int:
        try:
            return self.cluster.database["notifications"].count_documents(
                {"status": "PENDING"}
            ) + self.cluster.database["notices_due"].count_documents({})
        except PyMongoError:
            return -1

    def _owed(self) -> set[str]:
        """The entries of customers: each is to be told of."""
        customers = {person.account for person in self.load.people}
        return {
            str(row[entry])
            for row in self._read("transactions", {})
            for side, entry in (("from_account", "debit_entry"), ("to_account", "credit_entry"))
            if str(row[side]) in customers
        }

    def _near_a_fault(self, at: float) -> bool:
        """Whether a fault was on, or hardly over, when the wall clock showed `at`."""
        moment = at - time.time() + time.monotonic()
        return any(began - NEAR_SECONDS < moment < ended + NEAR_SECONDS for began, ended, _ in self.history.faults)


def told(violation: Violation, load: Load) -> str:
    """The history of a failure: the moves that show it, with every answer, and the faults before it."""
    began = load.history.began
    lines = [f"VIOLATION: {violation}", f"seed: {load.cluster.seed}"]
    for move in violation.moves[:TOLD_MOVES]:
        lines.append(f"  {move.key}: {json.dumps(move.body)}")
        lines += [f"    {a.at - began:8.2f} s  {a.word}: {a.said} {a.transaction or ''}" for a in move.answers]
    for start, end, name in load.history.faults[-TOLD_FAULTS:]:
        lines.append(f"  {start - began:8.2f} to {end - began:.2f} s: {name}")
    return "\n".join(lines)
