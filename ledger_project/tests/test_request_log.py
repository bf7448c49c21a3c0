"""Each request has an id and one line in the log; neither tells secrets nor obeys the client too much."""

import logging
import re

import pytest

from ledger_project.request_log import RequestIdFilter, current_request_id

GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def client(new_user, client_of):
    return client_of(new_user())


@pytest.fixture
def lines(caplog):
    """The request log's lines so far."""
    caplog.set_level(logging.INFO, logger="ledger.request")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "ledger.request"]


@pytest.mark.parametrize("sent", ["12345678", "req-2026.11_22", "A" * 64, "6f9619ff-8b86-d011-b42d-00c04fc964ff"])
def test_a_sensible_id_of_the_client_is_kept(client, sent):
    response = client.get("/api/accounts", HTTP_X_REQUEST_ID=sent)
    assert response["X-Request-Id"] == sent


@pytest.mark.parametrize(
    "sent", ["", "short", "A" * 65, "has space1", "semi;colon", "new\nline12", "<script>", "naïve-id-1", "\x00" * 8]
)
def test_any_other_id_is_replaced(client, sent):
    response = client.get("/api/accounts", HTTP_X_REQUEST_ID=sent)
    assert GENERATED.fullmatch(response["X-Request-Id"])


def test_every_request_without_an_id_gets_one_of_its_own(client):
    ids = {client.get("/api/accounts")["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5


def test_the_error_body_and_the_header_name_the_same_request(client):
    response = client.get("/api/accounts/nothing", HTTP_X_REQUEST_ID="request-0001")
    assert response.json()["requestId"] == response["X-Request-Id"] == "request-0001"


def test_one_line_a_request_with_method_path_status_and_time(client, lines):
    client.get("/api/accounts/")
    (line,) = lines()
    assert re.fullmatch(r"GET /api/accounts/ 200 \d+\.\dms", line)


def test_neither_query_nor_body_nor_token_is_logged(client_of, lines, caplog):
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION="Bearer secret-token")
    client.post("/api/auth/login?token=secret-query", {"email": "a@example.com", "password": "secret-password"})
    assert len(lines()) == 1
    assert "secret" not in caplog.text


def test_a_line_break_in_the_path_does_not_forge_a_line(client, lines):
    client.get("/api/accounts/%0d%0a2026-11-22 INFO forged")
    (line,) = lines()
    assert "\n" not in line
    assert "\r" not in line


def test_outside_a_request_there_is_no_id():
    assert current_request_id() == "-"


def test_every_log_record_carries_the_id():
    record = logging.LogRecord("any", logging.INFO, __file__, 1, "text", (), None)
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"
