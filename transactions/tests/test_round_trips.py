"""What a posting costs: round trips to MongoDB, the commands in them, and the messages it sends to Celery."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from struct import unpack_from
from threading import current_thread
from typing import Any
from uuid import uuid4

import bson
import pytest
from celery.signals import before_task_publish
from pymongo.synchronous.pool import Connection

from transactions import ledger
from transactions.posting import Reversal, Transfer
from transactions.signals import transactions_completed
from transactions.tasks import tell_parties
from transactions.tests.crowd import at_once, in_one_group, word
from users.api_sessions import Device, begin
from users.authentication import TokenAuthentication
from users.models import User
from users.tasks import WakeUp
from users.tests.waiting import wait_until
from users.tokens import issue_token


class Sent:
    """What this process sends to MongoDB, by the wire: the commands in order, and how often it waits for an answer."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin to count."""
        self.commands: list[str] = []
        self.round_trips = 0
        self.transactions: set[int] = set()
        self.outside: list[str] = []
        self._unanswered: dict[int, int] = {}

    def send(self, connection: Connection, message: bytes) -> None:
        """An OP_MSG: 16 bytes of header, 4 of flags, 1 for the kind of section, and the command."""
        (length,) = unpack_from("<i", message, 21)
        command = bson.decode(message[21 : 21 + length])
        name = next(iter(command))
        if name in ("hello", "ismaster", "endSessions"):  # of PyMongo's monitors
            return
        self.round_trips += not self._unanswered.get(id(connection))
        self._unanswered[id(connection)] = self._unanswered.get(id(connection), 0) + 1
        self.commands.append(name)
        if command.get("autocommit") is False:
            self.transactions.add(command["txnNumber"])
        else:
            self.outside.append(name)

    def receive(self, connection: Connection) -> None:
        """An answer is read."""
        self._unanswered[id(connection)] = max(self._unanswered.get(id(connection), 0) - 1, 0)


@pytest.fixture
def sent(monkeypatch) -> Sent:
    sent, send, receive = Sent(), Connection.send_message, Connection.receive_message

    def noted_send(self: Connection, message: bytes, *given: Any) -> None:
        sent.send(self, message)
        send(self, message, *given)

    def noted_receive(self: Connection, *given: Any) -> Any:
        sent.receive(self)
        return receive(self, *given)

    monkeypatch.setattr(Connection, "send_message", noted_send)
    monkeypatch.setattr(Connection, "receive_message", noted_receive)
    return sent


@pytest.fixture
def pair(new_user, new_account):
    """Asha's account with 500, and Ben's with nothing."""
    return new_account(new_user(), funds=500), new_account(new_user(name="Ben"))


def transfers(pair, number: int) -> list[Transfer]:
    payer, payee = pair
    return [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for _ in range(number)]


# In three round trips: what is read, what is written, the commit.
POSTING = ["aggregate", "update", "insert", "insert", "insert", "commitTransaction"]


def token_of(user, *, in_session: bool) -> str:
    return begin(user=user, device=Device("", "")).access if in_session else issue_token(user)


@pytest.mark.parametrize("in_session", [False, True])
def test_authentication_is_one_command(sent, new_user, in_session):
    user = new_user()
    token = token_of(user, in_session=in_session)
    sent.clear()
    authentication = TokenAuthentication()
    assert authentication.get_user(authentication.get_validated_token(token.encode())) == user
    assert sent.commands == ["aggregate"]


def test_a_lone_transfer_is_one_transaction_in_three_round_trips(sent, pair):
    sent.clear()
    ledger.post(*transfers(pair, 1))
    assert sent.commands == POSTING
    assert sent.round_trips == 3
    assert len(sent.transactions) == 1
    assert sent.outside == []


@pytest.mark.parametrize("in_session", [False, True])
def test_a_transfer_over_http_is_those_three_and_its_token_is_looked_up_with_the_accounts(
    sent, pair, client_of, in_session
):
    payer, payee = pair
    token, client = token_of(User.objects.get(pk=payer.user_id), in_session=in_session), client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1, "idempotencyKey": "k"}
    client.post("/api/transactions/", body | {"idempotencyKey": "the first request of a process does more"})
    sent.clear()
    assert client.post("/api/transactions/", body).status_code == 201
    assert sent.commands == POSTING
    assert sent.round_trips == 3
    assert sent.outside == []


@pytest.mark.parametrize("size", [1, 10, 200])
@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_of_any_size_is_the_same_three_round_trips(sent, pair, size, atomic):
    sent.clear()
    results = ledger.post_together(transfers(pair, size), atomic=atomic)
    assert [word(result) for result in results] == ["posted"] * size
    assert sent.commands == POSTING
    assert sent.round_trips == 3
    assert len(sent.transactions) == 1


@pytest.mark.parametrize("size", [1, 10, 60])
def test_requests_that_share_a_commit_share_its_round_trips(sent, pair, size):
    sent.clear()
    results = in_one_group([partial(ledger.post, transfer) for transfer in transfers(pair, size)])
    assert [word(result) for result in results] == ["posted"] * size
    assert sent.commands == POSTING
    assert sent.round_trips == 3
    assert len(sent.transactions) == 1


@pytest.mark.parametrize("size", [1, 10, 200])
def test_initial_funds_are_the_same_three_round_trips(sent, pair, system_user, size):
    funds = [Transfer(system_user.pk, None, pair[1].pk, Decimal(1), uuid4().hex) for _ in range(size)]
    sent.clear()
    ledger.post_together(funds)
    assert sent.commands == POSTING
    assert sent.round_trips == 3


@pytest.mark.parametrize("size", [1, 10, 200])
def test_a_replay_writes_nothing(sent, pair, size):
    asked = transfers(pair, size)
    ledger.post_together(asked)
    sent.clear()
    assert [word(result) for result in ledger.post_together(asked)] == ["replayed"] * size
    assert sent.commands == ["aggregate", "commitTransaction"]


def test_a_reversal_finds_its_original_before_and_marks_it_after(sent, pair):
    (original,) = (ledger.post(transfer).transaction.pk for transfer in transfers(pair, 1))
    sent.clear()
    ledger.post(Reversal(pair[0].user_id, original, "wrong"))
    assert sent.commands == ["find", *POSTING[:-2], "update", *POSTING[-2:]]
    assert sent.round_trips == 4
    assert len(sent.transactions) == 1
    assert sent.outside == []


def test_a_refusal_writes_nothing(sent, pair):
    payer, payee = pair
    sent.clear()
    (result,) = ledger.post_together([Transfer(payer.user_id, payer.pk, payee.pk, Decimal(501), "k")])
    assert word(result) == "insufficient_funds"
    assert sent.commands == ["aggregate", "commitTransaction"]


def test_requests_at_once_cost_round_trips_a_group_and_not_a_request(sent, pair):
    sent.clear()
    at_once([partial(ledger.post, transfer) for transfer in transfers(pair, 64)])
    assert sent.commands == POSTING * len(sent.transactions)
    assert sent.round_trips == 3 * len(sent.transactions)
    assert len(sent.transactions) < 64 / 2


@pytest.fixture
def wake_up(monkeypatch) -> WakeUp:
    """One of this test's own: no wake-up of earlier is on its way in it."""
    wake_up = WakeUp(tell_parties)
    monkeypatch.setattr("transactions.receivers.wake_up", wake_up)
    return wake_up


@pytest.fixture
def published(wake_up) -> Iterator[list[str]]:
    """The names of the tasks that it publishes."""
    names: list[str] = []

    def note(sender: str, **kwargs) -> None:
        if current_thread() is wake_up._thread:
            names.append(sender)

    before_task_publish.connect(note)
    try:
        yield names
    finally:
        before_task_publish.disconnect(note)


@pytest.fixture
def completed() -> Iterator[list[int]]:
    """For each group that was committed, how many transactions it made."""
    sizes: list[int] = []

    def note(transaction_ids: list, **kwargs) -> None:
        sizes.append(len(transaction_ids))

    transactions_completed.connect(note)
    try:
        yield sizes
    finally:
        transactions_completed.disconnect(note)


def test_a_group_sends_one_wake_up_and_not_one_a_transfer(pair, wake_up, published, completed):
    for _ in range(3):
        in_one_group([partial(ledger.post, transfer) for transfer in transfers(pair, 20)])
    wait_until(lambda: published and not wake_up._asked.is_set())
    assert completed == [20, 20, 20]
    assert set(published) == {"transactions.tasks.tell_parties"}
    assert len(published) <= 3


def test_a_replay_and_a_refusal_wake_nobody(pair, wake_up, published, completed):
    (asked,) = transfers(pair, 1)
    ledger.post(asked)
    wait_until(lambda: published)
    ledger.post(asked)
    ledger.post_together([Transfer(asked.initiator, asked.from_account, asked.to_account, Decimal(501), "k")])
    assert completed == [1]
    assert not wake_up._asked.is_set()
    assert len(published) == 1
