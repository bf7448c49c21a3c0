"""Bodies without a length, and bodies that do not end."""

import json
import socket
from contextlib import suppress
from threading import Semaphore

import pytest

from ledger_project import bodies
from ledger_project.bodies import Body, SlowBodies
from ledger_project.tests.dumps import dump
from ledger_project.tests.test_problems import assert_problem
from transactions.tests.web import web
from users.tests.waiting import wait_until
from users.tokens import issue_token


@pytest.mark.parametrize("path", ["/api/accounts", "/api/transactions", "/api/auth/login", "/api/auth/register"])
def test_a_body_in_chunks_is_refused_and_not_taken_for_an_empty_one(client_of, system_user, path):
    before = dump()
    response = client_of(system_user).post(path, {"name": "Savings"}, HTTP_TRANSFER_ENCODING="chunked")
    assert_problem(response, 411, "length_required")
    assert dump() == before


def test_who_finds_all_places_taken_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr(Body, "places", Semaphore(0))
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 0)
    for read in (Body(object()).read, Body(object()).readline):
        with pytest.raises(SlowBodies):
            read(10)


def test_a_place_is_free_again_after_a_read_that_failed(monkeypatch):
    monkeypatch.setattr(Body, "places", Semaphore(1))
    for _ in range(2):
        with pytest.raises(AttributeError):
            Body(object()).read(10)


@pytest.mark.parametrize(
    "limit", [("MAX_REQUEST_BYTES", "/api/accounts"), ("MAX_BATCH_BYTES", "/api/transactions/batch")]
)
def test_a_batch_may_be_larger_than_other_requests(client_of, new_user, settings, limit):
    name, path = limit
    settings.MAX_REQUEST_BYTES, settings.MAX_BATCH_BYTES = 1000, 2000
    client, most = client_of(new_user()), getattr(settings, name)
    fits, too_large = (b'{"transfers": [], "name": ""' + b" " * (size - 29) + b"}" for size in (most, most + 1))
    assert client.post(path, fits, content_type="application/json").status_code in (201, 400)
    assert_problem(client.post(path, too_large, content_type="application/json"), 413, "payload_too_large")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two processes of four threads each."""
    with web(tmp_path_factory.mktemp("web") / "log", WEB_THREADS="4") as running:
        yield running


def test_clients_that_never_finish_do_not_hold_up_those_who_read(server, new_user):
    """More of them than both processes have threads."""
    user = new_user()
    head = (
        b"POST /api/accounts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + issue_token(user).encode() + b"\r\nContent-Length: 100\r\n\r\n{"
    )
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(20)]
    for connection in slow:
        connection.sendall(head)
    wait_until(server.answers)
    assert any(b" 503 " in _first_line(connection) for connection in slow)
    for connection in slow:
        connection.close()
    wait_until(lambda: _post(server.port, user) == 201)


@pytest.mark.parametrize(
    "headers",
    [
        *([f"X-{number}: 1" for number in range(count)] for count in (90, 5000)),
        *(["X-Long: " + "1" * length] for length in (60_000, 1_000_000)),
        ["Authorization: Bearer " + "1" * 60_000],
        ["Cookie: " + "a=1; " * 10_000],
        ["X-Forwarded-For: " + "1.1.1.1, " * 5_000],
        ["Content-Length: 1"] * 50,
        ["No name"],
        ["X-Zero: a\0b"],
    ],
    ids=lambda headers: f"{len(headers)} of {headers[0][:12]!r} and {len(headers[0])} characters",
)
def test_floods_of_headers_are_the_clients_fault_and_never_ours(server, headers):
    head = "\r\n".join(["GET /api/accounts HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.sendall(head)
        answer = _first_line(connection)
    assert answer == b"" or 400 <= int(answer.split()[1]) < 500
    assert server.answers()


def _first_line(connection: socket.socket) -> bytes:
    connection.settimeout(2)
    try:
        return connection.recv(64)
    except (TimeoutError, ConnectionResetError):
        return b""


def _post(port: int, user) -> int:
    body = json.dumps({"name": "Savings"}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"POST /api/accounts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer "
            + issue_token(user).encode()
            + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )
        return int(connection.recv(64).split()[1])
