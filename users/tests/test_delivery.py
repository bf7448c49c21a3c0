"""From the API to the mail server: a web process, a worker, beat, Redis, MongoDB and SMTP, all of them real."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import redis
import requests

from ledger_project.celery import TRANSPORT
from ledger_project.embedded import Redis, free_port
from ledger_project.mongo import run_transaction
from ledger_project.tasks import seconds_since_round_trip
from transactions.models import NoticesDue
from users import notifications
from users.models import Notification
from users.tests.mail_server import MailServer
from users.tests.processes import BEAT, WEB, WORKER, children, environment, kill, running
from users.tests.waiting import wait_until
from users.tokens import issue_token


class House:
    """Everything that stands between a request and a mailbox; each part can be taken away."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.stack = stack
        self.redis = stack.enter_context(Redis(directory))
        self.smtp = stack.enter_context(MailServer())
        self.url = f"http://127.0.0.1:{free_port()}"
        self.env = environment(
            REDIS_URL=self.redis.url,
            EMAIL_PROVIDER="smtp",
            EMAIL_PORT=str(self.smtp.port),
            NOTIFICATION_LEASE_SECONDS="2",
            NOTIFICATION_SWEEP_SECONDS="0.5",
            CANARY_SECONDS="0.5",
        )
        self.start_worker()
        self.start(*BEAT, log="beat.log")
        self.start(*WEB, self.url.rpartition(":")[2], log="web.log")
        wait_until(lambda: self.state_of("workers") == "ok", seconds=300)

    def start(self, *command: str, log: str):
        """Run `python -m command` as long as the house stands."""
        return self.stack.enter_context(running(*command, log=self.directory / log, env=self.env))

    def start_worker(self) -> None:
        """Another worker."""
        self.worker = self.start(*WORKER, log="worker.log")

    def readiness(self) -> dict:
        """What /readyz says."""
        return requests.get(f"{self.url}/readyz", timeout=60).json()

    def state_of(self, part: str) -> str:
        """What /readyz says of a part."""
        try:
            return self.readiness()["checks"][part]
        except requests.RequestException:
            return "not up yet"

    def post(self, path: str, body: dict, user=None) -> requests.Response:
        """POST to the API as `user`."""
        headers = {"Authorization": f"Bearer {issue_token(user)}"} if user else {}
        return requests.post(self.url + path, json=body, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def standing(_migrated, tmp_path_factory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), stack)


@pytest.fixture
def house(standing) -> Iterator[House]:
    standing.smtp.messages.clear()
    yield standing
    standing.smtp.go_on()


@pytest.fixture
def parties(house, new_user, new_account):
    """A payer with 500 and a payee, whose notices of the funding are out of the way."""
    payer, payee = new_user(), new_user()
    source, target = new_account(payer, funds=500), new_account(payee)
    wait_until(all_sent)
    house.smtp.messages.clear()
    return SimpleNamespace(payer=payer, payee=payee, source=source, target=target)


def all_sent() -> bool:
    """No notice is still to be written, and none to be sent. In this order: a notice is there before its word goes."""
    return not (NoticesDue.objects.exists() or Notification.objects.exclude(status=Notification.Status.SENT).exists())


def transfer(house, parties, amount: float = 10) -> requests.Response:
    body = {
        "fromAccount": str(parties.source.pk),
        "toAccount": str(parties.target.pk),
        "amount": amount,
        "idempotencyKey": uuid4().hex,
    }
    return house.post("/api/transactions/", body, parties.payer)


@contextmanager
def redis_down(house) -> Iterator[None]:
    house.redis.stop()
    try:
        yield
    finally:
        house.redis.__enter__()


@contextmanager
def redis_frozen(house) -> Iterator[None]:
    os.kill(house.redis.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(house.redis.process.pid, signal.SIGCONT)


def test_a_registration_and_a_transfer_arrive_as_e_mail_at_those_they_concern(house, parties):
    address = f"{uuid4().hex}@example.com"

    registered = house.post("/api/auth/register", {"name": "Asha", "email": address, "password": "correct horse 7"})
    moved = transfer(house, parties, 12.5)

    assert (registered.status_code, moved.status_code) == (201, 201)
    wait_until(lambda: len(house.smtp.messages) == 3)
    assert house.smtp.subjects(address) == ["Welcome to Backend Ledger"]
    assert house.smtp.subjects(parties.payer.email) == ["You sent 12.5 INR"]
    assert house.smtp.subjects(parties.payee.email) == ["You received 12.5 INR"]
    wait_until(all_sent)
    assert {row.attempts for row in Notification.objects.all()} == {1}


def test_readyz_tells_how_old_the_last_round_trip_from_beat_to_a_worker_is(house):
    wait_until(lambda: house.state_of("workers") == "ok")
    begin = time.time()
    wait_until(lambda: time.time() - house.readiness()["lastRoundTripSeconds"] > begin)


def a_round_trip_from_now_on():
    """A condition: a call that beat sent from now on reached a worker."""
    begin = time.time()
    return lambda: time.time() - (seconds_since_round_trip() or 3600) > begin


@pytest.mark.parametrize("without_redis", [pytest.param(redis_down, marks=pytest.mark.slow), redis_frozen])
def test_without_redis_no_transfer_fails_or_waits_and_no_e_mail_is_lost(house, parties, without_redis):
    with without_redis(house):
        begin = time.monotonic()
        answers = [transfer(house, parties) for _ in range(10)]
        elapsed = time.monotonic() - begin

    assert [answer.status_code for answer in answers] == [201] * 10
    assert elapsed < 5 * TRANSPORT["socket_timeout"]  # half of what it would take if each waited for Redis
    wait_until(all_sent)
    assert house.smtp.subjects() == ["You received 10 INR"] * 10 + ["You sent 10 INR"] * 10


@contextmanager
def redis_flushed(house) -> Iterator[None]:
    with redis.Redis.from_url(house.redis.url) as client:
        client.flushall()
        yield


@contextmanager
def redis_full(house) -> Iterator[None]:
    with redis.Redis.from_url(house.redis.url) as client:
        client.config_set("maxmemory", 1)  # the default is to refuse what needs more
        try:
            yield
            wait_until(lambda: "command not allowed" in (house.directory / "worker.log").read_text())
        finally:
            client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    "trouble", [redis_full, *(pytest.param(each, marks=pytest.mark.slow) for each in (redis_flushed, redis_down))]
)
def test_a_worker_with_a_message_in_hand_notes_it_and_outlives_the_trouble_of_redis(house, parties, trouble):
    begin_to_send(house, [parties.payer], accept=True)
    with trouble(house):
        assert transfer(house, parties).status_code == 201
        house.smtp.go_on()
        wait_until(lambda: Notification.objects.filter(kind="WELCOME", status="SENT").exists())

    wait_until(all_sent)
    assert house.smtp.subjects() == ["Welcome to Backend Ledger", "You received 10 INR", "You sent 10 INR"]
    wait_until(a_round_trip_from_now_on())
    assert house.worker.poll() is None


def begin_to_send(house, users, *, accept: bool = False) -> None:
    """Owe each a welcome, and return when the mail server keeps a worker waiting for its answer to the first."""
    house.smtp.hang(accept=accept)
    rows = [notifications.row(user.pk, Notification.Kind.WELCOME, {}) for user in users]
    run_transaction(lambda unit: notifications.queue(unit, rows))
    assert house.smtp.waiting.wait(60)


def kill_the_child(house) -> None:
    (child,) = children(house.worker)
    os.kill(child, signal.SIGKILL)


def kill_the_parent(house) -> None:
    """Its child dies with it."""
    os.kill(house.worker.pid, signal.SIGKILL)
    house.worker.wait()
    house.start_worker()


def kill_the_group(house) -> None:
    kill(house.worker)
    house.start_worker()


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(False, id="before it was accepted", marks=pytest.mark.slow),
        pytest.param(True, id="after it was accepted"),
    ],
)
@pytest.mark.parametrize(
    "shoot",
    [kill_the_child, *(pytest.param(each, marks=pytest.mark.slow) for each in (kill_the_parent, kill_the_group))],
)
def test_a_worker_shot_while_it_sends_loses_no_e_mail_and_sends_one_twice_at_most(house, new_user, shoot, accept):
    users = [new_user() for _ in range(5)]
    begin_to_send(house, users, accept=accept)

    shoot(house)
    house.smtp.go_on()

    wait_until(all_sent)
    received = Counter(message["To"] for message in house.smtp.messages)
    assert set(received) == {user.email for user in users}
    assert received.total() == len(users) + accept  # the one that the server took, and that could not be noted


def test_a_group_told_to_stop_while_it_sends_ends_its_turn_and_notes_it(house, new_user):
    users = [new_user() for _ in range(2)]
    begin_to_send(house, users, accept=True)

    os.killpg(house.worker.pid, signal.SIGTERM)
    house.smtp.go_on()

    assert house.worker.wait(60) == 0
    house.start_worker()
    wait_until(all_sent)
    assert sorted(message["To"] for message in house.smtp.messages) == sorted(user.email for user in users)
    assert {row.attempts for row in Notification.objects.all()} == {1}
