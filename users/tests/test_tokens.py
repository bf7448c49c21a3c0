"""Who is calling: every token but one that we signed, for a user who is there, is 401."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from bson import ObjectId
from django.conf import settings
from rest_framework_simplejwt.tokens import RefreshToken

from ledger_project.tests.dumps import dump
from users.authentication import issue_token
from users.models import User

DAY = 24 * 3600


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.fixture
def ask(client_of):
    """GET /api/accounts with this Authorization header."""

    def get(header: str | bytes):
        client = client_of()
        return client.get("/api/accounts", HTTP_AUTHORIZATION=header)

    return get


def claims_of(user: User) -> dict:
    return jwt.decode(issue_token(user), options={"verify_signature": False})


def signed(claims: dict, key: str | None = None, algorithm: str = "HS256", **header) -> str:
    return jwt.encode(claims, settings.SECRET_KEY if key is None else key, algorithm, headers=header or None)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def assert_refused(response) -> None:
    assert response.status_code == 401, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")
    body = response.json()
    assert body["message"] == body["detail"]
    assert body["code"] in {"not_authenticated", "authentication_failed", "token_invalid", "token_revoked"}
    assert "Error" not in body["message"]


def test_a_token_lives_three_days_by_default(user):
    claims = claims_of(user)
    assert claims["exp"] - claims["iat"] == 3 * DAY


def test_a_token_names_its_user_its_issuer_and_its_audience(user):
    claims = claims_of(user)
    assert (claims["sub"], claims["iss"], claims["aud"]) == (str(user.pk), "backend-ledger", "backend-ledger-api")
    assert claims["jti"]
    assert "password" not in claims
    assert "email" not in claims


def test_our_own_token_opens_the_door(ask, user):
    assert ask(f"Bearer {issue_token(user)}").status_code == 200
    assert ask(f"Bearer {signed(claims_of(user))}").status_code == 200


def test_malformed_headers_are_refused(ask, user):
    token = issue_token(user)
    for header in [
        *("", " ", "Bearer", "Bearer ", "bearer", "Basic", "Basic YTpi", token, f"Bearer{token}", f"bearer {token}"),
        *(f"Token {token}", f"JWT {token}", f"Bearer {token} {token}", f"Bearer,{token}", f"BEARER {token}"),
        *(f"Bearer {token}x", f"Bearer x{token}", f"Bearer {token[:-2]}", f"Bearer '{token}'", f'Bearer "{token}"'),
        *("Bearer null", "Bearer undefined", "Bearer .", "Bearer ..", "Bearer a.b", "Bearer a.b.c", "Bearer a.b.c.d"),
        *("Bearer é", "Bearer \xff\xfe", "\xff", "Bearer " + "a" * 10_000, "Bearer \x00", "Bearer ..a", "Bearer a.é.c"),
        "Bearer {'$ne': ''}",
    ]:
        assert_refused(ask(header))


def test_a_token_header_that_is_nonsense_json_is_refused(ask):
    for header in [
        *(b"", b"null", b"[]", b"7", b'"HS256"', b"{}", b"{", b"\xff", b"[" * 3000, b'{"a":' * 3000, b"[" * 100_000),
        *(b'{"alg": null}', b'{"alg": []}', b'{"alg": {"$ne": 1}}', b'{"alg": "HS256", "kid": 5}'),
        *(b'{"alg": "HS256", "crit": ["x"]}', b'{"alg": ' + b"9" * 5000 + b"}", b'{"alg": "HS256", "typ": "\\ud800"}'),
    ]:
        assert_refused(ask(f"Bearer {encoded(header)}.{encoded(b'{}')}.{encoded(b'signature')}"))


def test_a_token_without_a_signature_is_refused(ask, user):
    claims = json.dumps(claims_of(user)).encode()
    for algorithm in ("none", "None", "NONE", "nOnE"):
        header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
        assert_refused(ask(f"Bearer {encoded(header)}.{encoded(claims)}."))
        assert_refused(ask(f"Bearer {encoded(header)}.{encoded(claims)}.{encoded(b'x')}"))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_cannot_choose_its_algorithm(ask, user, algorithm):
    assert_refused(ask(f"Bearer {signed(claims_of(user), algorithm=algorithm)}"))


@pytest.mark.parametrize("key", ["another-key-" * 5, "x" * 32, settings.SECRET_KEY[:-1]])
def test_a_token_of_another_key_is_refused(ask, user, key):
    assert_refused(ask(f"Bearer {signed(claims_of(user), key=key)}"))


def test_a_token_whose_claims_were_exchanged_is_refused(ask, user, new_user):
    header, _, signature = issue_token(user).split(".")
    claims = json.dumps(claims_of(new_user())).encode()
    assert_refused(ask(f"Bearer {header}.{encoded(claims)}.{signature}"))


WRONG_CLAIMS = {
    "another issuer": {"iss": "somebody-else"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "somebody-else"},
    "no audience": {"aud": None},
    "expired": {"exp": int((datetime.now(UTC) - timedelta(seconds=1)).timestamp())},
    "no expiry": {"exp": None},
    "expiry no number": {"exp": "soon"},
    "issued in the future": {"iat": int((datetime.now(UTC) + timedelta(days=1)).timestamp())},
    "a refresh token": {"token_type": "refresh"},
    "no token type": {"token_type": None},
    "no jti": {"jti": None},
    "jti a dict": {"jti": {"$ne": ""}},
    "jti a list": {"jti": ["x"]},
    "no subject": {"sub": None},
    "subject no id": {"sub": "somebody"},
    "subject empty": {"sub": ""},
    "subject a number": {"sub": 7},
    "subject a dict": {"sub": {"$ne": ""}},
    "subject with NUL": {"sub": "\x00" * 24},
    "subject twelve characters": {"sub": "abcdefghijkl"},
    "subject unknown": {"sub": str(ObjectId())},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_a_token_of_ours_with_a_wrong_claim_is_refused(ask, user, wrong):
    claims = claims_of(user) | WRONG_CLAIMS[wrong]
    assert_refused(ask(f"Bearer {signed({name: value for name, value in claims.items() if value is not None})}"))


def test_a_real_refresh_token_is_refused(ask, user):
    assert_refused(ask(f"Bearer {RefreshToken.for_user(user)}"))


def test_a_disabled_user_is_refused_at_once_and_let_in_again_when_enabled(client_of, user):
    client = client_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    before = dump()
    assert_refused(client.get("/api/accounts"))
    assert_refused(client.post("/api/accounts"))
    assert_refused(client.post("/api/auth/logout"))
    assert dump() == before
    User.objects.filter(pk=user.pk).update(is_active=True)
    assert client.get("/api/accounts").status_code == 200


def test_a_deleted_user_is_refused(client_of, user):
    client = client_of(user)
    user.delete()
    before = dump()
    assert_refused(client.get("/api/accounts"))
    assert_refused(client.post("/api/accounts"))
    assert dump() == before


def test_a_token_in_the_query_or_a_cookie_is_none(client_of, user):
    client = client_of()
    client.cookies["token"] = issue_token(user)
    assert_refused(client.get("/api/accounts", {"token": issue_token(user)}))


def test_a_session_of_the_admin_is_no_token(client_of, new_user):
    client = client_of()
    client.force_login(new_user(is_staff=True))
    assert_refused(client.get("/api/accounts"))
