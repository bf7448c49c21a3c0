"""Rules for every endpoint: both slash forms, problem+json for every "no", nothing that makes the service stumble."""

import json
import logging
import re

import pytest
from bson import ObjectId
from django.db import DatabaseError
from pymongo.errors import AutoReconnect

from accounts.models import Account
from ledger_project.problems import TYPE_BASE
from ledger_project.tests.dumps import dump

ID = "66f0c1b2a4e5d6f708192a3b"
PROBLEM_FIELDS = {"type", "title", "status", "detail", "message", "code", "retryable", "requestId"}

PUBLIC_POSTS = ["/api/auth/register", "/api/auth/login"]
PROTECTED_POSTS = ["/api/auth/logout", "/api/accounts", "/api/transactions", "/api/transactions/system/initial-funds"]
GETS = [
    "/api/auth/me",
    "/api/accounts",
    f"/api/accounts/{ID}",
    f"/api/accounts/balance/{ID}",
    f"/api/accounts/{ID}/entries",
    "/api/transactions",
    f"/api/transactions/{ID}",
]
PROTECTED = [("get", path) for path in GETS] + [("post", path) for path in PROTECTED_POSTS]
EVERY = PROTECTED + [("post", path) for path in PUBLIC_POSTS]
BODY_READERS = [*PUBLIC_POSTS, "/api/accounts", "/api/transactions", "/api/transactions/system/initial-funds"]

NO_JSON = [
    b"{",
    b"nonsense",
    b'{"name": "\xff\xfe"}',
    b'{"email": "a@example.com", "email": "b@example.com"}',
    b'{"amount": NaN}',
    b'{"amount": -Infinity}',
    b'{"amount": ' + b"1" * 4400 + b"}",
    b'{"amount": 1e99999999999999999999}',
    b"[" * 60_000,
    b'{"a":' * 12_000,
]

LEAKS = re.compile(rb"Traceback|Error\b.*line|File \"|pymongo|django|rest_framework|Exception|<html", re.IGNORECASE)


def assert_problem(response, status: int, code: str | None = None, message: str | None = None) -> dict:
    """The answer is a complete problem+json of this status, and nothing of our inside shows."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert set(body) - {"errors"} == PROBLEM_FIELDS
    assert body["status"] == status
    assert body["type"] == TYPE_BASE + body["code"]
    assert body["detail"] == body["message"] != ""
    assert body["requestId"] == response["X-Request-Id"]
    assert not LEAKS.search(response.content), response.content
    if code is not None:
        assert body["code"] == code
    if message is not None:
        assert body["message"] == message
    return body


@pytest.fixture
def client(new_user, client_of):
    return client_of(new_user())


@pytest.fixture
def system_client(system_user, client_of):
    """A system user's, which no endpoint turns away at the door."""
    return client_of(system_user)


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_every_path_answers_alike_with_and_without_its_slash(client_of, system_user, method, path):
    bare, slashed = (getattr(client_of(system_user), method)(address) for address in (path, f"{path}/"))
    assert bare.status_code == slashed.status_code
    assert bare.status_code not in {301, 302, 307, 308}
    assert json.loads(bare.content).keys() == json.loads(slashed.content).keys()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_token_nothing_is_told(client_of, method, path, slash):
    before = dump()
    response = getattr(client_of(), method)(path + slash)
    assert_problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert dump() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path in [*GETS, *PROTECTED_POSTS, *PUBLIC_POSTS] for method in ("put", "patch", "delete")]
    + [("post", path) for path in GETS if path not in PROTECTED_POSTS]
    + [("get", path) for path in [*PUBLIC_POSTS, "/api/auth/logout", "/api/transactions/system/initial-funds"]],
)
def test_a_method_that_a_path_does_not_have_is_405(client, method, path):
    for address in (path, f"{path}/"):
        response = getattr(client, method)(address, {})
        assert_problem(response, 405, "method_not_allowed")
        assert method.upper() not in response["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/nothing/",
        "/api/auth",
        "/api/auth/",
        "/api/auth/register/more",
        "/api/accountsx",
        "/api/accounts//",
        "/api/transactions/system/initial-funds/more",
        "/api/%00",
        "/api/%ff",
        "/nothing",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_path_is_404(client, method, path):
    assert_problem(getattr(client, method)(path), 404, "not_found")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost@evil.example", "local host", "\x00", "a" * 300, "127.0.0.1:x"]
)
def test_a_host_that_is_not_ours_is_400(client, host):
    response = client.get("/api/accounts", HTTP_HOST=host)
    assert_problem(response, 400, "bad_request")


@pytest.mark.parametrize("path", BODY_READERS)
def test_bytes_that_are_no_json_are_400(system_client, path):
    before = dump()
    for body in NO_JSON:
        response = system_client.post(path, body, content_type="application/json")
        assert_problem(response, 400, "parse_error", "The request body is not valid JSON.")
    assert dump() == before


@pytest.mark.parametrize("path", BODY_READERS)
def test_a_body_that_is_no_object_is_400(system_client, path):
    before = dump()
    for body in (b"[]", b'["a"]', b'"text"', b"7", b"1.5", b"true", b"null", b"[{}]"):
        response = system_client.post(path, body, content_type="application/json")
        assert assert_problem(response, 400, "invalid_request")["errors"]
    assert dump() == before


@pytest.mark.parametrize("path", BODY_READERS)
def test_a_body_of_another_content_type_is_415(system_client, path):
    before = dump()
    for content_type in (
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/xml"),
        *(";", "x", "application/json5"),
    ):
        response = system_client.post(path, b"name=a&email=a@example.com&amount=1", content_type=content_type)
        assert_problem(response, 415, "unsupported_media_type")
    assert dump() == before


@pytest.mark.parametrize("path", BODY_READERS)
def test_a_body_past_the_limit_is_413(system_client, settings, path):
    before = dump()
    body = b'{"name": "' + b"x" * settings.MAX_REQUEST_BYTES + b'"}'
    response = system_client.post(path, body, content_type="application/json")
    assert_problem(response, 413, "payload_too_large", "The request body is too large.")
    assert dump() == before


GOOD_BODIES = {
    "/api/auth/register": {"name": "Ravi", "email": "ravi@example.com", "password": "a-long-passphrase"},
    "/api/auth/login": {"email": "ravi@example.com", "password": "a-long-passphrase"},
    "/api/accounts": {"currency": "INR", "name": "Savings"},
    "/api/transactions": {"fromAccount": ID, "toAccount": ID, "amount": "1", "idempotencyKey": "k"},
    "/api/transactions/system/initial-funds": {"toAccount": ID, "amount": "1", "idempotencyKey": "k"},
}
FIELDS = [(path, field) for path, body in GOOD_BODIES.items() for field in body]


@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_nul_and_lone_surrogates_are_400_in_every_string_field(system_client, path, field):
    before = dump()
    for text in (r"\u0000", r"a\u0000b", r"\ud800", r"a\udfffb", r"\ud800\u0000"):
        body = json.dumps(GOOD_BODIES[path] | {field: "@@"}).replace("@@", text)
        assert_problem(system_client.post(path, body, content_type="application/json"), 400)
    assert dump() == before


@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_operators_lists_and_booleans_are_400_in_every_field(system_client, path, field):
    before = dump()
    for value in ({"$ne": ""}, {"$gt": ""}, {"$where": "1"}, {}, ["a"], [], True, False, [{"$ne": 1}]):
        assert_problem(system_client.post(path, GOOD_BODIES[path] | {field: value}), 400)
    assert dump() == before


@pytest.mark.parametrize(
    "path", ["/api/accounts/{}", "/api/accounts/balance/{}", "/api/accounts/{}/entries", "/api/transactions/{}"]
)
def test_a_hostile_id_in_the_path_is_404(client, path):
    for hostile in ("%00", "%ff", "%ed%a0%80", "%0a", "%20", "$ne", "a" * 4000, "%f0%9f%92%b0", "z" * 24, "a" * 23):
        assert_problem(client.get(path.format(hostile)), 404)


@pytest.mark.parametrize(
    "name", ["limit", "cursor", "status", "createdAfter", "createdBefore", "minAmount", "maxAmount"]
)
def test_a_hostile_query_is_400(client, name):
    for hostile in ("%00", "%ff", "%ed%a0%80", "[$ne]", "{}", "-1", "0", "9" * 400, "NaN", "%20", "%2b5x"):
        assert_problem(client.get(f"/api/transactions?{name}={hostile}"), 400, "invalid_request")
        assert (
            client.get(f"/api/transactions?{name}[$ne]={hostile}").status_code == 200
        )  # another name, not an operator


def test_an_empty_query_parameter_is_none(client):
    response = client.get("/api/transactions?limit=&cursor=&status=&createdAfter=&createdBefore=&minAmount=&maxAmount=")
    assert response.status_code == 200


def test_a_query_of_more_parameters_than_are_read_is_400(client):
    assert_problem(client.get("/api/accounts?" + "a=&" * 1100), 400, "bad_request")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "garbage", ";;;"])
def test_who_does_not_take_json_is_told_so_in_json(client, accept):
    assert_problem(client.get("/api/accounts", HTTP_ACCEPT=accept), 406, "not_acceptable")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/plain, */*", "text/html, */*;q=0.1"]
)
def test_whoever_takes_json_gets_it(client, accept):
    response = client.get("/api/accounts", HTTP_ACCEPT=accept)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_validation_lists_each_field_that_is_wrong(client_of):
    response = client_of().post("/api/auth/register", {"name": "", "email": "no", "password": "short"})
    problem = assert_problem(response, 400, "invalid_request", "name, email and password are required")
    assert {row["field"] for row in problem["errors"]} == {"name", "email", "password"}
    assert all(set(row) == {"field", "code", "message"} for row in problem["errors"])


def test_a_defect_of_ours_is_a_500_that_tells_nothing_but_the_request_id(client, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr("accounts.views.open_account", broken)
    before = dump()
    with caplog.at_level(logging.ERROR):
        response = client.post("/api/accounts")

    problem = assert_problem(response, 500, "internal_error")
    assert b"swordfish" not in response.content
    assert problem["retryable"] is True
    assert "swordfish" in caplog.text  # for us, in the log
    assert dump() == before


def test_a_defect_outside_the_views_is_the_same_500(client, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", broken)
    response = client.get("/api/accounts")
    assert_problem(response, 500, "internal_error")
    assert b"swordfish" not in response.content


@pytest.mark.parametrize(
    "error", [AutoReconnect("mongo-7.internal refused"), DatabaseError("mongo-7.internal refused")]
)
def test_a_database_that_is_away_is_a_503_that_may_be_repeated(client, monkeypatch, error):
    def away(*args, **kwargs):
        raise error

    monkeypatch.setattr("accounts.views.open_account", away)
    response = client.post("/api/accounts")
    problem = assert_problem(response, 503, "unavailable")
    assert problem["retryable"] is True
    assert response["Retry-After"] == "1"
    assert b"mongo-7" not in response.content


def test_a_database_that_is_away_when_the_token_is_checked_is_a_503_not_a_401(client, fail_command, settings):
    settings.POSTING_DEADLINE_SECONDS = 0.5
    fail_command("aggregate", times="alwaysOn", errorCode=11600)  # InterruptedAtShutdown, until PyMongo gives up
    assert_problem(client.get("/api/accounts"), 503, "unavailable")


def test_a_successful_answer_has_the_request_id_too(client):
    response = client.get("/api/accounts", HTTP_X_REQUEST_ID="abc-123.DEF_45")
    assert response["X-Request-Id"] == "abc-123.DEF_45"
    assert response["Content-Type"] == "application/json"


def test_names_that_the_contract_does_not_know_change_nothing(client_of, new_user):
    user, other = new_user(), new_user()
    unknown = {"user": str(other.pk), "_id": ID, "pk": ID, "status": "CLOSED", "kind": "EQUITY", "may_overdraw": True}
    response = client_of(user).post("/api/accounts", unknown | {"balance": 9, "balance_minor": 9, "sequence": 5})
    assert response.status_code == 201
    account = Account.objects.get()
    assert (account.user_id, account.status, account.kind) == (user.pk, "ACTIVE", "CUSTOMER")
    assert (account.may_overdraw, account.balance_minor, account.sequence) == (False, 0, 0)
    assert account.pk != ObjectId(ID)
