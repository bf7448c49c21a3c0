"""What must hold, whatever failed: the clients' history against the database, and the service against its promise."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from secrets import token_hex

from celery import Celery
from kombu import pools
from kombu.exceptions import KombuError
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from redis import RedisError

from chaos.clients import BATCH, FUNDING_BATCH, OK, REFUSED, UNKNOWN, Connection, Load, Move, Person
from chaos.cluster import WORKERS
from chaos.faults import Struck
from chaos.meetings import HEADER
from chaos.processes import WEB_THREADS, WORKER_CHILDREN, Document, NotInTime, Web, wait_until

ANSWERS_WITHIN_SECONDS = 15  # of healing
SETTLES_WITHIN_SECONDS = 120
MAIL_WITHIN_SECONDS = 600
PROBE_SECONDS = 3  # a probe waits so long, and then another is made
AT_ONCE = 1000
REPEATED_AT_ONCE = 200
NOTED_WITHIN_SECONDS = 5  # of a delivery, on a busy machine, unless a fault keeps the worker from it
CLOCKS_DIFFER_SECONDS = 330  # what a fault does to a clock, and some more
WHOLE_EVERY = 8  # healings; after the others, verify_ledger looks at what was posted of late
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
        self.healings = 0
        self.verified: Counter[str] = Counter()
        self.verified_at = datetime.now(UTC)
        self.resolved: Counter[str] = Counter()
        self.mail: dict[str, int] = {}

    def after_healing(self, struck: Struck) -> None:
        """The service is back in time, whole, and so is what it stores. Raises Violation."""
        struck.answered_seconds = self._answer_in_time(struck.healed)
        self._until(self._members_are_back, "every mongod back in the set")
        struck.recovered = time.monotonic()
        self.healings += 1
        verifier = self._verify(everything=self.healings % WHOLE_EVERY == 0)
        self._until(self._have_children_asked, "a broker that takes tasks")
        asked = time.time()
        moves = self.history.moves[self.settled :]
        done = len(self.history.moves)
        self._resolve(moves)
        self._compare(moves)
        self.settled = done
        self._observers_live()
        self._nothing_wrong()
        self._until(lambda: self._children_answer(asked), "a task ended by every child of the workers")
        self._whole(verifier)

    def at_the_end(self) -> None:
        """Everything again, over all that was ever asked, and every e-mail. Raises Violation."""
        self._resolve(self.history.moves)
        self._compare(self.history.moves)
        self._nothing_else()
        verifier = self._verify(everything=True)
        self._mail()
        self._whole(verifier)
        self._nothing_wrong()

    def _until(self, holds: Callable[[], object], what: str, seconds: float = SETTLES_WITHIN_SECONDS) -> None:
        """Wait for `holds`, and start what ends by itself meanwhile. Raises Violation."""

        def looks() -> object:
            if fallen := self.cluster.supervise():
                raise Violation(f"{', '.join(fallen)} ended by itself: no fault had struck it")
            return holds()

        try:
            wait_until(looks, seconds=seconds, what=what)
        except NotInTime as late:
            raise Violation(f"after healing, {late}") from None

    # --- The service answers ------------------------------------------------------------------------------------------

    def _answer_in_time(self, healed: float) -> float:
        """Every thread of every web server posts a transfer again; how long after `healed`. Raises Violation."""
        for web in self.cluster.webs:
            # Whoever answers too late is told apart from whoever never does.
            self._until(lambda: self._posts(web) and self._all_post(web), f"an answer of all of {web.name}")  # noqa: B023
            seconds = time.monotonic() - healed
            if seconds > self.within_seconds:
                raise Violation(f"{web.name} answers {seconds:.1f} s after healing, due in {self.within_seconds:g} s")
        return seconds

    def _posts(self, web: Web, **headers: str) -> bool:
        """One probe. Where nobody listens, nothing has been asked for."""
        connection = Connection(web.port, self.history, timeout_seconds=PROBE_SECONDS, **headers)
        if not connection.is_open():
            return False
        one, other = self.load.people[:2]
        move = Move(one, other, 1, f"{self.cluster.seed}-probe-{token_hex(8)}")
        self.history.moves.append(move)
        self.load.repeat(connection, move)
        return move.word == OK

    def _all_post(self, web: Web) -> bool:
        """A probe in each thread at once."""
        name = token_hex(8)
        with ThreadPoolExecutor(WEB_THREADS) as pool:
            probes = [pool.submit(self._posts, web, **{HEADER: name}) for _ in range(WEB_THREADS)]
            return all(probe.result() for probe in probes)

    def _members_are_back(self) -> bool:
        """Every mongod is primary or secondary: the next fault finds the set as it should be."""
        return all(member.is_useful() for member in self.cluster.members)

    def _have_children_asked(self) -> bool:
        """Give the workers more to do than one of them can do alone."""
        try:
            pools.reset()  # kombu keeps connections for ever, to a Redis that is gone as well
            with Celery(broker=self.cluster.redis.url, set_as_current=False) as app:
                for _ in range(WORKERS * WORKER_CHILDREN):
                    app.send_task("chaos.tasks.hold", expires=SETTLES_WITHIN_SECONDS, retry=False)
        except (OSError, RedisError, KombuError):
            return False
        return True

    def _children_answer(self, since: float) -> bool:
        """Every child of every Celery worker has ended a task since then, by the wall clock."""
        children = [child for worker in self.cluster.workers for child in worker.children()]
        files = [self.cluster.directory / "children" / str(child) for child in children]
        return len(files) == WORKERS * WORKER_CHILDREN and all(
            file.exists() and file.stat().st_mtime > since for file in files
        )

    def _observers_live(self) -> None:
        """Clients and auditor are at work: what they would have to find is found."""
        if dead := [thread.name for thread in self.load.threads if not thread.is_alive()]:
            raise Violation(f"{', '.join(dead)} ended: {self.history.wrong}")
        sums = self.load.auditor.sums
        self._until(lambda: self.load.auditor.sums > sums, "a new sum of all balances")

    # --- What is stored -----------------------------------------------------------------------------------------------

    def _resolve(self, moves: Iterable[Move]) -> None:
        """Repeat each unknown until its key has an answer, those of one payer together."""
        # Without an answer it is being asked for right now.
        unknown = [move for move in moves if move.word == UNKNOWN and move.answers and not move.answers[-1].settles]
        deadline, connection = time.monotonic() + SETTLES_WITHIN_SECONDS, self.load.connection(0)
        while unknown:
            by_payer: dict[Person, list[Move]] = {}
            for move in unknown:
                by_payer.setdefault(move.payer or self.load.system, []).append(move)
            for payer, asked in by_payer.items():
                path = BATCH if asked[0].payer else FUNDING_BATCH
                for at in range(0, len(asked), REPEATED_AT_ONCE):
                    connection.post("repeat", path, payer.token, asked[at : at + REPEATED_AT_ONCE])
            self.resolved.update(move.answers[-1].word for move in unknown if move.answers[-1].settles)
            unknown = [move for move in unknown if not move.answers[-1].settles]
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
        if (word == REFUSED or move.is_refused_by_a_rule) and found:
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
            if any(answer.word == REFUSED for answer in move.answers[was_ok:]):
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

    def _verify(self, *, everything: bool) -> subprocess.Popen[str]:
        """Begin `manage.py verify_ledger`: on the whole ledger, or on what came since the last time."""
        since = self.verified_at - timedelta(seconds=CLOCKS_DIFFER_SECONDS)
        self.verified_at = datetime.now(UTC)
        self.verified_what = [] if everything else ["--since", since.isoformat()]
        return self.cluster.begin("verify_ledger", "--json", *self.verified_what)

    def _whole(self, verifier: subprocess.Popen[str]) -> None:
        """It finds nothing. One that an election kept from its end has proven nothing, and is made again."""
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        while True:
            said, _ = verifier.communicate()
            if verifier.returncode == 1:
                self._judge(said)
            if verifier.returncode in (0, 1):
                self.verified["since" if self.verified_what else "whole"] += 1
                return
            if time.monotonic() > deadline:
                raise Violation(f"verify_ledger ends with code {verifier.returncode}: {said[-500:]}")
            verifier = self.cluster.begin("verify_ledger", "--json", *self.verified_what)

    def _judge(self, said: str) -> None:
        """Raise Violation; not for an index that the harness itself has dropped: it is the harm that is to be found."""
        answers: list[Document] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        counts: Document = answers[0].get("counts", {}) if answers else {}
        if not counts:
            raise Violation(f"verify_ledger gives no answer: {said[-1000:]}")
        if self.cluster.broken:
            counts.pop("index_missing", None)
        if counts:
            raise Violation(f"verify_ledger finds {counts}: {said[-1000:]}")

    def _nothing_wrong(self) -> None:
        if self.history.wrong:
            raise Violation(f"{len(self.history.wrong)} wrong answers: {self.history.wrong[:3]}")

    def _mail(self) -> None:
        """Every notice is there and was sent, what was sent arrived, and twice only where that could not be noted."""
        self._until(lambda: not self._pending(), "an outbox with nothing to send", MAIL_WITHIN_SECONDS)
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
        if odd := [key for key in twice if not self._may_be_unnoted(first[key])]:
            raise Violation(f"{len(odd)} notices arrived twice, and no fault explains it, {odd[0]} for one")
        if given_up := [key for key, row in rows.items() if row["status"] == "FAILED"]:
            raise Violation(f"{len(given_up)} notices were given up, {given_up[0]} for one")
        self.mail = {"notices": len(rows), "delivered": len(times), "twice": len(twice), "given up": 0}

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

    def _may_be_unnoted(self, at: float) -> bool:
        """Whether a fault may have kept a worker from noting what it sent when the wall clock showed `at`."""
        sent = at - time.time() + time.monotonic()
        return any(
            struck.began < sent + NOTED_WITHIN_SECONDS and sent < struck.recovered
            for struck in self.history.faults
            if any(fault.keeps_from_noting for fault in struck.faults)
        )


def told(violation: Violation, load: Load) -> str:
    """The history of a failure: the moves that show it, with every answer, and the faults before it."""
    began = load.history.began
    lines = [f"VIOLATION: {violation}", f"seed: {load.cluster.seed}"]
    for move in violation.moves[:TOLD_MOVES]:
        lines.append(f"  {move.key}: {json.dumps(move.body)}")
        lines += [f"    {a.at - began:8.2f} s  {a.word}: {a.said} {a.transaction or ''}" for a in move.answers]
    for struck in load.history.faults[-TOLD_FAULTS:]:
        lines.append(f"  {struck.began - began:8.2f} to {struck.healed - began:.2f} s: {struck.name}")
    return "\n".join(lines)
