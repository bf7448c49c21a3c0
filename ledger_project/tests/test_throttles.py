"""Limits for every caller, told in every answer: RateLimit, Retry-After, 429."""

import os
import signal
from contextlib import contextmanager
from uuid import uuid4

import pytest

from ledger_project import quick_redis, throttles
from ledger_project.buckets import MemoryBuckets
from ledger_project.embedded import Redis, free_port
from ledger_project.tests.dumps import dump
from ledger_project.tests.test_problems import assert_problem
from users.tests.hashers import CheapBCrypt

PASSWORD = "securepassword123"
LOGIN, REGISTER = "/api/auth/login", "/api/auth/register"


@pytest.fixture
def limits(settings):
    """Set limits for this test: `limits(user="5/3600")`."""

    def set_limits(**changes: str) -> None:
        settings.THROTTLES = settings.THROTTLES | changes

    return set_limits


@pytest.fixture
def hashes(monkeypatch):
    """The passwords that were hashed."""
    counted = []
    encode = CheapBCrypt.encode
    monkeypatch.setattr(
        CheapBCrypt, "encode", lambda self, password, salt: counted.append(password) or encode(self, password, salt)
    )
    return counted


@pytest.fixture(autouse=True)
def _own_buckets(monkeypatch):
    """Nothing that this process has counted or leased for another test."""
    monkeypatch.setattr(throttles, "_own", MemoryBuckets())
    throttles._shared.cache_clear()
    yield
    throttles._shared.cache_clear()


def assert_throttled(response, code: str = "throttled") -> dict:
    body = assert_problem(response, 429, code)
    assert body["retryable"] is True
    assert int(response["Retry-After"]) >= 1
    return body


def log_in(client, email="asha@example.com", password="wrong", **meta):
    return client.post(LOGIN, {"email": email, "password": password}, **meta)


def test_every_answer_says_what_is_left(client_of, new_user, limits):
    limits(user="50/3600", address="100/3600")
    client = client_of(new_user())
    first, second = (client.get("/api/accounts") for _ in range(2))
    assert first["RateLimit-Policy"] == '"user";q=50;w=3600, "address";q=100;w=3600'
    assert first["RateLimit"] == '"user";r=49;t=72, "address";r=99;t=36'
    assert second["RateLimit"].startswith('"user";r=48;t=')


def test_who_asks_for_too_much_is_told_when_to_come_again_and_nothing_happens(client_of, new_user, limits):
    limits(user="3/3600")
    client = client_of(new_user())
    assert [client.post("/api/accounts").status_code for _ in range(3)] == [201] * 3
    before = dump()
    response = client.post("/api/accounts")
    assert_throttled(response)
    assert 1190 <= int(response["Retry-After"]) <= 1200
    assert response["RateLimit"].startswith('"user";r=0;t=')
    assert dump() == before


def test_each_user_has_a_limit_of_their_own(client_of, new_user, limits):
    limits(user="1/3600")
    for client in (client_of(new_user()), client_of(new_user())):
        assert client.get("/api/accounts").status_code == 200
        assert_throttled(client.get("/api/accounts"))


def test_the_users_of_one_address_share_its_limit(client_of, new_user, limits):
    limits(address="2/3600")
    clients = [client_of(new_user()) for _ in range(3)]
    assert [client.get("/api/accounts").status_code for client in clients] == [200, 200, 429]
    assert clients[2].get("/api/accounts", REMOTE_ADDR="10.1.2.3").status_code == 200


@pytest.mark.parametrize("path", ["/api/accounts", "/api/nothing", "/nothing", "/admin/", "/console/"])
def test_without_a_token_of_ours_an_address_has_a_lower_limit(client_of, limits, path):
    limits(anonymous="1/3600")
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    assert client.get(path).status_code != 429
    assert client.get(path).status_code == 429


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
def test_probes_are_never_refused(client_of, limits, path):
    limits(anonymous="1/3600")
    assert [client_of().get(path).status_code == 429 for _ in range(3)] == [False] * 3


@pytest.mark.parametrize(
    ("proxies", "first", "second", "same"),
    [
        (0, {"HTTP_X_FORWARDED_FOR": "1.1.1.1"}, {"HTTP_X_FORWARDED_FOR": "2.2.2.2"}, True),  # anybody can write it
        (1, {"HTTP_X_FORWARDED_FOR": "9.9.9.9, 1.1.1.1"}, {"HTTP_X_FORWARDED_FOR": "8.8.8.8, 1.1.1.1"}, True),
        (1, {"HTTP_X_FORWARDED_FOR": "1.1.1.1"}, {"HTTP_X_FORWARDED_FOR": "2.2.2.2"}, False),
        (0, {"REMOTE_ADDR": "2001:db8:1:2::1"}, {"REMOTE_ADDR": "2001:db8:1:2:ffff::9"}, True),  # one household
        (0, {"REMOTE_ADDR": "2001:db8:1:2::1"}, {"REMOTE_ADDR": "2001:db8:1:3::1"}, False),
        (0, {"REMOTE_ADDR": "::ffff:1.1.1.1"}, {"REMOTE_ADDR": "::ffff:2.2.2.2"}, False),  # IPv4 at an IPv6 socket
        (0, {"REMOTE_ADDR": "::ffff:1.1.1.1"}, {"REMOTE_ADDR": "1.1.1.1"}, True),
        (0, {"REMOTE_ADDR": "fe80::1%eth0"}, {"REMOTE_ADDR": "fe80::2%eth1"}, True),
        (0, {"REMOTE_ADDR": ""}, {"REMOTE_ADDR": ""}, True),
    ],
)
def test_an_address_is_what_our_own_proxies_say(client_of, limits, settings, proxies, first, second, same):
    limits(anonymous="1/3600")
    settings.TRUSTED_PROXIES = proxies
    assert client_of().get("/api/accounts", **first).status_code == 401
    assert client_of().get("/api/accounts", **second).status_code == (429 if same else 401)


def test_a_batch_counts_as_its_transfers(client_of, new_user, limits):
    limits(user="100/3600")
    client = client_of(new_user())
    answer = client.post("/api/transactions/batch", {"transfers": [{}] * 40})
    assert answer.status_code == 200
    assert answer["RateLimit"].startswith('"user";r=60;')
    assert client.post("/api/transactions/batch", {"transfers": [{}] * 60}).status_code == 200
    assert_throttled(client.post("/api/transactions/batch", {"transfers": [{}]}))


def test_a_batch_that_is_larger_than_the_limit_takes_all_of_it(client_of, new_user, limits):
    limits(user="10/3600")
    client = client_of(new_user())
    assert client.post("/api/transactions/batch", {"transfers": [{}] * 500}).status_code == 200
    assert_throttled(client.get("/api/accounts"))


@pytest.mark.parametrize(
    ("name", "path"),
    [("login", LOGIN), ("login", f"{LOGIN}/"), ("login", "/admin/login/")]
    + [("register", path) for path in (REGISTER, f"{REGISTER}/")],
)
def test_what_costs_a_password_hash_has_a_stricter_limit_for_an_address(client_of, limits, hashes, name, path):
    limits(**{name: "2/3600"})
    body = {"name": "A", "email": "a@example.com", "password": PASSWORD}
    answers = [client_of().post(path, body) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert int(answers[2]["Retry-After"]) >= 1
    assert len(hashes) <= 2
    assert client_of().post(path, body, REMOTE_ADDR="10.1.2.3").status_code != 429
    assert client_of().get(path).status_code != 429


@pytest.mark.parametrize("known", [True, False])
def test_after_some_wrong_passwords_a_log_in_is_locked_for_known_and_unknown_emails(
    client_of, new_user, limits, hashes, known
):
    limits(account_failures="3/900")
    email = "asha@example.com"
    if known:
        new_user(email=email, password=PASSWORD)
    statuses = [log_in(client_of(), f" {email.upper()} ").status_code for _ in range(3)]
    hashes.clear()
    locked = log_in(client_of(), email, PASSWORD)  # from anywhere, and the right one does not open it

    assert statuses == [401] * 3
    body = assert_throttled(locked, "login_locked")
    assert body["message"] == "Too many failed attempts. Log in again once the time in Retry-After is over."
    assert 290 <= int(locked["Retry-After"]) <= 300
    assert "failures" not in locked["RateLimit"]
    assert log_in(client_of(), email, PASSWORD, REMOTE_ADDR="10.1.2.3").status_code == 429
    assert hashes == []


def test_the_right_password_forgets_the_wrong_ones_before_it(client_of, new_user, limits):
    limits(account_failures="3/900")
    user = new_user(password=PASSWORD)
    for _ in range(3):
        assert [log_in(client_of(), user.email).status_code for _ in range(2)] == [401] * 2
        assert log_in(client_of(), user.email, PASSWORD).status_code == 200


def test_wrong_passwords_for_many_emails_lock_an_address_and_right_ones_do_not(client_of, new_user, limits):
    limits(address_failures="3/900")
    user = new_user(password=PASSWORD)
    assert {log_in(client_of(), user.email, PASSWORD).status_code for _ in range(5)} == {200}
    assert [log_in(client_of(), f"{uuid4().hex}@example.com").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert_throttled(log_in(client_of(), user.email, PASSWORD), "login_locked")
    assert log_in(client_of(), user.email, PASSWORD, REMOTE_ADDR="10.1.2.3").status_code == 200


def test_an_attempt_that_failed_for_another_reason_is_no_failure(client_of, new_user, limits, monkeypatch):
    limits(account_failures="2/900")
    user = new_user(password=PASSWORD)
    with monkeypatch.context() as away:
        away.setattr("users.views.authenticate", lambda **_: (_ for _ in ()).throw(throttles.LedgerError()))
        assert {log_in(client_of(), user.email, PASSWORD).status_code for _ in range(4)} == {400}
    assert log_in(client_of(), user.email, PASSWORD).status_code == 200


@pytest.fixture
def own_redis(tmp_path, settings):
    """A Redis of this test's own, which may be stopped; the throttles look for it, and nothing else."""
    server = Redis(tmp_path)
    settings.REDIS_URL = server.url
    with server:
        yield server


@contextmanager
def hanging(server):
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@contextmanager
def dead(server):
    server.stop()
    yield
    server.__enter__()


@pytest.mark.parametrize("fault", [hanging, dead])
def test_without_redis_requests_go_on_and_log_ins_are_counted_here(
    client_of, new_user, new_account, limits, own_redis, monkeypatch, fault
):
    limits(user="2/3600", anonymous="2/3600", login="3/3600", account_failures="2/900")
    asha, ben = new_user(password=PASSWORD), new_user()
    payer, payee = new_account(asha, funds=100), new_account(ben)
    client = client_of(asha)
    assert client.get("/api/accounts")["RateLimit"].startswith('"user";r=1;')
    transfer = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1}

    with fault(own_redis):
        posted = [client.post("/api/transactions", transfer | {"idempotencyKey": uuid4().hex}) for _ in range(4)]
        assert [answer.status_code for answer in posted] == [201] * 4
        assert "RateLimit" not in posted[-1]
        assert [log_in(client_of(), asha.email).status_code for _ in range(2)] == [401] * 2
        assert_throttled(log_in(client_of(), asha.email, PASSWORD), "login_locked")
        assert_throttled(log_in(client_of(), "another@example.com"))

    monkeypatch.setattr(throttles._shared()._redis, "_away_until", 0.001)  # the pause is over
    assert "RateLimit" in client.get("/api/accounts")
    assert client_of().get("/api/accounts", REMOTE_ADDR="10.1.2.3").status_code == 401


def test_a_redis_that_is_away_is_asked_once_in_a_while(settings, monkeypatch):
    redis = quick_redis.QuickRedis(f"redis://127.0.0.1:{free_port()}", timeout_seconds=0.2)
    asked, script = [], redis.script("return {1}")
    monkeypatch.setattr(type(script), "__call__", lambda *_, **__: asked.append(1) or _refuse())

    def ask() -> None:
        with pytest.raises(quick_redis.RedisAway):
            redis.run(script, [], [])

    for _ in range(5):
        ask()
    assert len(asked) == 1
    redis._away_until = 0.001
    for _ in range(5):
        ask()
    assert len(asked) == 2


def _refuse():
    raise quick_redis.RedisError


def test_the_script_is_told_again_after_a_restart_of_redis(client_of, new_user, limits, own_redis):
    limits(user="5/3600")
    client = client_of(new_user())
    assert "RateLimit" in client.get("/api/accounts")
    own_redis.stop()
    with own_redis:
        assert client.get("/api/accounts")["RateLimit"].startswith('"user";r=4;')  # Redis forgot what was taken


@pytest.mark.parametrize("path", ["/api/auth/password-reset", "/api/auth/verify-email/resend"])
@pytest.mark.parametrize("known", [True, False])
def test_a_mailbox_gets_a_few_links_an_hour_from_whatever_address_and_the_answer_does_not_tell(
    client_of, new_user, limits, path, known
):
    limits(mailbox="2/3600")
    if known:
        new_user(email="asha@example.com")
    answers = [
        client_of().post(path, {"email": email}, REMOTE_ADDR=f"10.1.2.{number}")
        for number, email in enumerate(("asha@example.com", " ASHA@example.com", "asha@example.com"))
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert_throttled(answers[2])
    assert client_of().post(path, {"email": "ben@example.com"}).status_code == 202


def test_wrong_current_passwords_lock_the_change_of_a_password(client_of, new_user, limits, hashes):
    limits(account_failures="2/900")
    user = new_user(password=PASSWORD)
    client = client_of(user)
    wrong, right = ({"currentPassword": word, "newPassword": "lantern-orchard-57"} for word in ("wrong", PASSWORD))
    assert [client.post("/api/auth/password", wrong).status_code for _ in range(2)] == [403, 403]
    hashes.clear()
    assert_throttled(client.post("/api/auth/password", right), "login_locked")
    assert hashes == []
