"""A flood of log-ins does not take a process's threads, nor its processor."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher, make_password

from ledger_project import hashing
from ledger_project.hashing import AT_ONCE, WAITING, BoundedBCrypt, TooManyLogins
from ledger_project.tests.test_problems import assert_problem
from users.tests.waiting import wait_until


@pytest.fixture
def slow(monkeypatch):
    """Hashes that take until `go` is set; `under_way` counts them."""

    class Slow:
        go, under_way = Event(), []

    def encode(self, password, salt):
        Slow.under_way.append(password)
        assert Slow.go.wait(30)
        return "hash"

    monkeypatch.setattr(BCryptSHA256PasswordHasher, "encode", encode)
    return Slow


def test_a_few_are_hashed_at_once_a_few_wait_and_the_rest_is_refused(slow):
    refused = []

    def hash_one(number: int) -> str | None:
        try:
            return BoundedBCrypt().encode("password", b"salt")
        except TooManyLogins:
            refused.append(number)
            return None

    with ThreadPoolExecutor(20) as threads:
        answers = threads.map(hash_one, range(20))
        wait_until(lambda: len(slow.under_way) == AT_ONCE and len(refused) == 20 - AT_ONCE - WAITING)
        slow.go.set()
        assert list(answers).count("hash") == AT_ONCE + WAITING
    assert BoundedBCrypt().encode("password", b"salt") == "hash"  # all places are free again


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr(hashing, "_places", hashing.BoundedSemaphore(1))
    hashing._places.acquire()


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/register"])
def test_who_finds_no_place_is_told_to_come_again(client_of, full, path):
    body = {"name": "Asha", "email": "asha@example.com", "password": "securepassword123"}
    response = client_of().post(path, body)
    assert assert_problem(response, 503, "too_many_logins")["retryable"] is True
    assert response["Retry-After"] == "1"


def test_the_door_of_the_admin_says_so_on_a_page(client, full):
    client.raise_request_exception = False
    response = client.post("/admin/login/", {"username": "a@example.com", "password": "securepassword123"})
    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert b"Too many people are logging in" in response.content


def test_passwords_stored_before_are_still_read():
    stored = make_password("securepassword123", hasher="bcrypt_sha256_cheap").replace("_cheap", "", 1)
    assert BoundedBCrypt().verify("securepassword123", stored)
    assert BoundedBCrypt.algorithm == BCryptSHA256PasswordHasher.algorithm
