"""/healthz says that the process lives, /readyz what it can reach: 503 only when money cannot move."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pymongo
import pytest

from ledger_project import health
from ledger_project.embedded import Mongo
from ledger_project.health import WORKER_SILENCE_SECONDS, Latest
from ledger_project.mongo import database
from ledger_project.settings.base import redis_cache
from ledger_project.tasks import STATE, canary
from ledger_project.tests.profiler import profiled

ALL_WELL = {"mongodb": "ok", "migrations": "ok", "redis": "ok", "workers": "ok", "ledger": "ok"}


@pytest.fixture
def client(client_of):
    return client_of()


@pytest.fixture(autouse=True)
def _each_request_looks_anew(monkeypatch):
    monkeypatch.setattr(health, "FRESH_SECONDS", 0)


@pytest.fixture(autouse=True)
def _workers_are_seen():
    canary(time.time())


def last_round_trip(seconds_ago: float) -> None:
    database()[STATE].delete_many({})
    canary(time.time() - seconds_ago)


@pytest.fixture
def no_redis(settings):
    """A cache that points to a port where nobody listens."""
    seen = settings.CACHES
    with socket.socket() as taken:  # bound and not listening: nobody else gets it meanwhile
        taken.bind(("127.0.0.1", 0))
        settings.CACHES = redis_cache(f"redis://127.0.0.1:{taken.getsockname()[1]}/0")
        yield
        settings.CACHES = seen


@pytest.mark.parametrize("path", ["/healthz", "/healthz/"])
def test_the_process_lives(client, path):
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/readyz", "/readyz/"])
def test_all_is_well(client, path):
    response = client.get(path)
    body = response.json()
    assert 0 <= body.pop("lastRoundTripSeconds") < WORKER_SILENCE_SECONDS
    assert (response.status_code, body) == (200, {"status": "ok", "checks": ALL_WELL})


def test_without_redis_the_ledger_is_degraded_and_still_moves_money(client, no_redis, new_user, new_account, client_of):
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["checks"] == ALL_WELL | {"redis": "down: ConnectionError"}
    payer, payee = new_account(new_user(), funds=1), new_account(new_user())
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1, "idempotencyKey": "k"}
    assert client_of(payer.user).post("/api/transactions", body).status_code == 201


def test_workers_that_were_never_seen_degrade_it(client):
    database()[STATE].delete_many({})
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"] == ALL_WELL | {"workers": "down: none seen"}
    assert response.json()["lastRoundTripSeconds"] is None


def test_workers_that_have_been_silent_for_long_degrade_it(client):
    last_round_trip(seconds_ago=3600)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"]["workers"].startswith("down: silent for 36")
    assert 3600 <= response.json()["lastRoundTripSeconds"] < 3700


def test_workers_that_were_heard_of_lately_are_well(client):
    last_round_trip(seconds_ago=WORKER_SILENCE_SECONDS / 2)
    assert client.get("/readyz").json()["status"] == "ok"


def test_a_canary_that_comes_late_or_twice_makes_the_last_round_trip_no_older(client):
    for seconds_ago in (1800, 0, 1800):
        canary(time.time() - seconds_ago)
    assert client.get("/readyz").json()["lastRoundTripSeconds"] < WORKER_SILENCE_SECONDS


def test_a_missing_migration_makes_it_unavailable(client):
    applied = database()["django_migrations"]
    row = applied.find_one_and_delete({"app": "transactions"}, sort=[("_id", -1)])
    try:
        response = client.get("/readyz")
    finally:
        applied.insert_one(row)
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"] == ALL_WELL | {"migrations": "down: not applied"}


def test_a_mongodb_that_fails_makes_it_unavailable_and_names_no_secrets(client, monkeypatch):
    def away():
        raise pymongo.errors.ServerSelectionTimeoutError("mongodb://user:swordfish@mongo-7.internal refused")

    monkeypatch.setattr("ledger_project.health.is_writable_primary", away)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["mongodb"] == "down: ServerSelectionTimeoutError"
    assert b"swordfish" not in response.content
    assert client.get("/healthz").status_code == 200


def test_a_mongodb_without_a_primary_makes_it_unavailable(client, monkeypatch, tmp_path):
    """A replica set of its own for this test, whose only member steps down: it answers, but takes no writes."""
    with Mongo(tmp_path, test=True) as server:
        address = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"
        with pymongo.MongoClient(address, serverSelectionTimeoutMS=2000) as mongo, monkeypatch.context() as patch:
            patch.setattr("ledger_project.mongo.database", lambda: mongo["ledger"])
            assert client.get("/readyz").json()["checks"]["mongodb"] == "ok"
            mongo.admin.command("replSetStepDown", 60, force=True)

            response = client.get("/readyz")
        server.process.kill()  # asked to end, it would first wait for others of its set, of which there are none

    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["mongodb"] == "down: no writable primary"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_no_token_is_asked_for_and_none_is_looked_at(client, path):
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    assert client.get(path).status_code == 200


def test_an_answer_is_good_for_a_while_and_costs_mongodb_nothing(client, monkeypatch):
    monkeypatch.setattr(health, "FRESH_SECONDS", 60)
    first = client.get("/readyz")
    with profiled() as commands:
        second = client.get("/readyz")
    assert (second.status_code, second.content) == (200, first.content)
    assert commands == []


@pytest.fixture
def slow_look(monkeypatch):
    """`readiness` waits for `let_go`; `looks` has how often it was asked."""

    class Look:
        began, let_go, looks = Event(), Event(), 0

        def __call__(self):
            self.looks += 1
            self.began.set()
            assert self.let_go.wait(30)
            return {"status": "ok"}, 200

    look = Look()
    monkeypatch.setattr(health, "readiness", look)
    return look


def test_while_one_request_looks_the_others_are_told_the_last_answer(slow_look):
    latest = Latest()
    slow_look.let_go.set()
    known = latest.answer()
    slow_look.let_go.clear()
    slow_look.began.clear()
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(latest.answer)
        assert slow_look.began.wait(30)
        assert [latest.answer() for _ in range(20)] == [known] * 20
        slow_look.let_go.set()
        assert looking.result(30) == ({"status": "ok"}, 200)
    assert slow_look.looks == 2


def test_where_there_is_no_answer_yet_all_wait_for_one_look(slow_look, monkeypatch):
    monkeypatch.setattr(health, "FRESH_SECONDS", 60)
    latest = Latest()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(latest.answer) for _ in range(8)]
        assert slow_look.began.wait(30)
        slow_look.let_go.set()
        assert [each.result(30) for each in waiting] == [({"status": "ok"}, 200)] * 8
    assert slow_look.looks == 1
