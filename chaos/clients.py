"""Clients that move money over HTTP, and the history of what they asked and were told: ok, refused or unknown."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pymongo import ReadPreference
from pymongo.errors import PyMongoError

from chaos.cluster import PASSWORD, SYSTEM_EMAIL, Cluster
from chaos.faults import Struck
from chaos.processes import wait_until

PEOPLE, CLIENTS = 12, 16
FUNDS = 1_000_000
TOO_MUCH = 1_000_000_000
TIMEOUT_SECONDS = 10  # longer than the service's own deadline: most calls get its own word
OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
NOTHING_MOVED = {"not_posted", "posting_forbidden"}  # a 503 that says so
NO_ANSWER, UNAVAILABLE = 0, 503  # what a fault may make of a call; any other failure has no excuse
ORDINARY, ISSUED = "paid by a person", "initial funds"
SINGLE, BATCH = "/api/transactions/", "/api/transactions/batch"
FUNDING, FUNDING_BATCH = "/api/transactions/system/initial-funds", "/api/transactions/system/initial-funds/batch"
REPEATS_REMEMBERED = 5_000


class Person(NamedTuple):
    """Somebody with a token and an account; the system user's is in no transfer."""

    token: str
    account: str


class Answer(NamedTuple):
    """What was said to one transfer: one of the three words, and the status, code or error behind it."""

    at: float
    word: str
    said: str
    transaction: dict[str, Any] | None

    @property
    def settles(self) -> bool:
        """Whether it says what became of the key: posted, or refused by a rule. A 503 speaks of its attempt only."""
        return self.word == OK or self.said.startswith("4")


@dataclass(eq=False)
class Move:
    """A transfer that was asked for, under a key of its own, and all the answers to it, the first one first."""

    payer: Person | None
    payee: Person
    amount: int
    key: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        """As JSON has it."""
        source = {"fromAccount": self.payer.account} if self.payer else {}
        return source | {"toAccount": self.payee.account, "amount": self.amount, "idempotencyKey": self.key}

    @property
    def word(self) -> str:
        """What its client knows: ok once anybody said so, refused if everybody did, else unknown."""
        words = {answer.word for answer in self.answers}
        return OK if OK in words else REFUSED if words == {REFUSED} else UNKNOWN

    @property
    def is_refused_by_a_rule(self) -> bool:
        """Whether an answer said so with a 4xx: whatever else was said, it is then not stored."""
        return any(answer.settles and answer.word == REFUSED for answer in self.answers)

    def is_odd(self, answer: Answer) -> bool:
        """Whether `answer` is one that no fault accounts for: only what nobody can pay is refused, and it always is."""
        if self.amount == TOO_MUCH and answer.settles:
            return answer.said != "400 insufficient_funds"
        return answer.word != OK and answer.said.split()[0] not in (str(NO_ANSWER), str(UNAVAILABLE))

    @property
    def transactions(self) -> list[dict[str, Any]]:
        """Every transaction that the answers name."""
        return [answer.transaction for answer in self.answers if answer.transaction]


class Timed(NamedTuple):
    """One call: when it began, how long it took, what it was and how it ended."""

    began: float
    seconds: float
    kind: str
    word: str


class History:
    """Everything that was asked. Threads only append to it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.moves: list[Move] = []
        self.calls: list[Timed] = []
        self.faults: list[Struck] = []
        self.wrong: list[str] = []  # answers that no server in its senses gives

    @property
    def acknowledged(self) -> int:
        """How many transfers were acknowledged."""
        return sum(self.acknowledged_of.values())

    @property
    def acknowledged_of(self) -> Counter[str]:
        """The same for those that a person pays, and for money from nowhere."""
        return Counter(ISSUED if move.payer is None else ORDINARY for move in list(self.moves) if move.word == OK)

    def words(self) -> dict[str, Counter[str]]:
        """How the calls of each kind ended."""
        found: dict[str, Counter[str]] = {}
        for call in list(self.calls):
            found.setdefault(call.kind, Counter())[call.word] += 1
        return found


class Connection:
    """One client's connection to one web server; broken, it is opened anew with the next call."""

    def __init__(
        self, port: int, history: History, *, timeout_seconds: float = TIMEOUT_SECONDS, **headers: str
    ) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
        self.history = history
        self.headers = {"Content-Type": "application/json"} | headers

    def is_open(self) -> bool:
        """Whether somebody listens; where nobody does, nothing has been asked for."""
        try:
            if self.http.sock is None:
                self.http.connect()
        except OSError:
            return False
        return True

    def call(self, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; (0, the error's name) when none came."""
        headers = self.headers | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            self.http.request(method, path, json.dumps(body) if body else None, headers)
            answer = self.http.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.http.close()
            return NO_ANSWER, {"code": type(error).__name__}

    def post(self, kind: str, path: str, token: str, moves: Sequence[Move]) -> None:
        """Ask for `moves` in one call, and note what was answered to each."""
        body = {"transfers": [move.body for move in moves]} if path.endswith("batch") else moves[0].body
        began = time.monotonic()
        status, answer = self.call("POST", path, token, body)
        ended = time.monotonic()
        if path.endswith("batch") and status in (200, 201):
            answers = [_answer(ended, item["status"], item.get("error") or item) for item in answer["results"]]
        else:
            answers = [_answer(ended, status, answer)] * len(moves)
        for move, said in zip(moves, answers, strict=True):
            move.answers.append(said)
            if move.is_odd(said):
                self.history.wrong.append(f"{kind} {move.key}: {said.said}")
        word = next((word for word in (UNKNOWN, REFUSED) if any(said.word == word for said in answers)), OK)
        self.note(began, kind, word)

    def balance(self, person: Person) -> None:
        """Read one's balance, which is never below zero."""
        began = time.monotonic()
        status, answer = self.call("GET", f"/api/accounts/balance/{person.account}", person.token)
        word = {200: OK, NO_ANSWER: UNKNOWN, UNAVAILABLE: UNKNOWN}.get(status, REFUSED)
        self.note(began, "balance", word)
        if word == REFUSED or (word == OK and answer["balance"] < 0):
            self.history.wrong.append(f"balance of {person.account}: {status} {answer}")

    def note(self, began: float, kind: str, word: str) -> None:
        """Remember a call."""
        self.history.calls.append(Timed(began, time.monotonic() - began, kind, word))


def _answer(at: float, status: int, body: dict[str, Any]) -> Answer:
    code = body.get("code", "")
    if status in (200, 201):
        return Answer(at, OK, str(status), body["transaction"])
    refused = 400 <= status < 500 or code in NOTHING_MOVED
    return Answer(at, REFUSED if refused else UNKNOWN, f"{status} {code}", None)


class Watched(threading.Thread):
    """A thread of the load that does not end unnoticed."""

    def __init__(self, name: str, load: "Load") -> None:
        super().__init__(name=name, daemon=True)
        self.load = load

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:  # noqa: BLE001  (whatever ends it, what it would have seen is missing)
            self.load.history.wrong.append(f"{self.name} ended: {error!r}")

    def work(self) -> None:
        raise NotImplementedError


class Client(Watched):
    """One client: it draws what to ask from its seed, and pauses between calls."""

    def __init__(self, number: int, load: "Load") -> None:
        super().__init__(f"client-{number}", load)
        self.chance = random.Random(f"{load.cluster.seed} client {number}")  # noqa: S311
        self.number, self.asked = number, 0
        self.connection = load.connection(number)
        self.posted: list[Move] = []

    def work(self) -> None:
        kinds = {self.single: 44, self.batch: 10, self.fund: 2, self.fund_many: 2.5, self.repeat: 12}
        kinds |= {self.read: 12, self.overdraw: 10}
        while not self.load.over.is_set():
            if self.connection.is_open():
                (ask,) = self.chance.choices(list(kinds), list(kinds.values()))
                ask()
            self.load.over.wait(self.chance.expovariate(1 / self.load.pause_seconds))

    def move(
        self, amount: int = 0, *, payer: Person | None = None, payee: Person | None = None, issued: bool = False
    ) -> Move:
        """A fresh move, known to the history before anybody is asked."""
        one, other = self.chance.sample(self.load.people, 2)
        self.asked += 1
        key = f"{self.load.cluster.seed}-{self.number}-{self.asked}"
        payer = None if issued else payer or one
        payee = payee or (other if other is not payer else one)
        move = Move(payer, payee, amount or self.chance.randint(1, 9), key)
        self.load.history.moves.append(move)
        self.posted.append(move)
        del self.posted[:-REPEATS_REMEMBERED]
        return move

    def single(self) -> None:
        """One transfer."""
        self._ask("transfer", SINGLE, [self.move(payee=self._treasury(0.3))])

    def overdraw(self) -> None:
        """One that nobody can pay."""
        self._ask("overdraft", SINGLE, [self.move(TOO_MUCH)])

    def batch(self) -> None:
        """Some transfers of one payer."""
        payer = self.chance.choice(self.load.people)
        moves = [self.move(payer=payer, payee=self._treasury(0.7)) for _ in range(self.chance.randint(2, 12))]
        self._ask("batch", BATCH, moves)

    def fund(self) -> None:
        """Money from nowhere."""
        self._ask("funding", FUNDING, [self.move(issued=True)])

    def fund_many(self) -> None:
        """The same, many at once."""
        payee = self._treasury(0.9)
        moves = [self.move(issued=True, payee=payee) for _ in range(self.chance.randint(10, 60))]
        self._ask("funding batch", FUNDING_BATCH, moves)

    def repeat(self) -> None:
        """A key that was used before, lately or long ago, whatever came of it."""
        if self.posted:
            lately = self.chance.random() < 0.5
            move = self.chance.choice(self.posted[-5:] if lately else self.posted)
            if move.word != REFUSED:  # whose key is free: it would be a new transfer
                self.load.repeat(self.connection, move)

    def read(self) -> None:
        """A balance."""
        self.connection.balance(self.chance.choice(self.load.people))

    def _treasury(self, share: float) -> Person | None:
        """Who gets this share of the transfers, and is not to be told: e-mail is slower than money."""
        return self.load.treasury if self.chance.random() < share else None

    def _ask(self, kind: str, path: str, moves: list[Move]) -> None:
        payer = moves[0].payer or self.load.system
        self.connection.post(kind, path, payer.token, moves)


class Auditor(Watched):
    """Sums up all balances in one snapshot, again and again, on whichever member is near: it is always zero."""

    def __init__(self, load: "Load") -> None:
        super().__init__("auditor", load)
        self.sums, self.failed = 0, 0

    def work(self) -> None:
        cluster = self.load.cluster
        accounts = cluster.database.get_collection("accounts", read_preference=ReadPreference.NEAREST)
        while not self.load.over.wait(0.2):
            try:
                with cluster.client.start_session(snapshot=True) as session:
                    total = {"$group": {"_id": None, "sum": {"$sum": "$balance_minor"}}}
                    (found,) = accounts.aggregate([total], session=session, maxTimeMS=5000)
            except PyMongoError:
                self.failed += 1
                continue
            self.sums += 1
            if found["sum"]:
                self.load.history.wrong.append(f"a snapshot of all balances sums to {found['sum']}, not to zero")


class Load:
    """The people, the clients, and their history."""

    def __init__(self, cluster: Cluster, *, pause_seconds: float) -> None:
        self.cluster, self.pause_seconds = cluster, pause_seconds
        self.over = threading.Event()
        self.history = History()
        self.people, self.system = self._register()
        self.treasury = Person("", cluster.treasury)
        self.auditor = Auditor(self)
        self.threads: list[Watched] = [*(Client(number, self) for number in range(CLIENTS)), self.auditor]

    def start(self) -> None:
        """Let them begin."""
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Let each finish its call."""
        self.over.set()
        for thread in self.threads:
            if thread.ident:
                thread.join(2 * TIMEOUT_SECONDS)

    def connection(self, number: int) -> Connection:
        """A connection to one of the web servers, by turns."""
        webs = self.cluster.webs
        return Connection(webs[number % len(webs)].port, self.history)

    def repeat(self, connection: Connection, move: Move) -> None:
        """Ask again for `move`, with its key."""
        payer = move.payer or self.system
        connection.post("repeat", SINGLE if move.payer else FUNDING, payer.token, [move])

    def _register(self) -> tuple[list[Person], Person]:
        """People with accounts and money, and the system user's token, all over the API."""
        connection = self.connection(0)
        people = []
        for number in range(PEOPLE):
            named = {"name": f"Person {number}", "email": f"person{number}@example.com", "password": PASSWORD}
            token = self._expect(connection, "/api/auth/register", "", named)["token"]
            account = self._expect(connection, "/api/accounts/", token, {"currency": "INR"})["account"]
            people.append(Person(token, account["_id"]))
        system = {"email": SYSTEM_EMAIL, "password": PASSWORD}
        issuer = Person(self._expect(connection, "/api/auth/login", "", system)["token"], "")
        funds = [Move(None, person, FUNDS, f"first-{number}") for number, person in enumerate(people)]
        self.history.moves += funds
        connection.post("funding batch", FUNDING_BATCH, issuer.token, funds)
        return people, issuer

    def _expect(self, connection: Connection, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def succeeds() -> bool:
            nonlocal found
            status, found = connection.call("POST", path, token, body)
            return status in (200, 201)

        wait_until(succeeds, seconds=30, what=f"{path} ({found})")
        return found
