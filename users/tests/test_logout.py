"""POST /api/auth/logout"""

from datetime import UTC, datetime

import jwt
import pytest

from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from users.models import BlacklistedToken
from users.tokens import issue_token

PATHS = ["/api/auth/logout", "/api/auth/logout/"]
SAID = {"message": "User logged out successfully"}


@pytest.fixture
def user(new_user):
    return new_user()


def bearer(client_of, token: str):
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.mark.parametrize("path", PATHS)
def test_a_token_that_was_logged_out_is_refused_from_then_on(client_of, user, path):
    client = client_of(user)
    assert client.get("/api/accounts").status_code == 200

    response = client.post(path)

    assert (response.status_code, response.json()) == (200, SAID)
    refused = client.get("/api/accounts")
    assert refused.status_code == 401
    assert refused.json()["code"] == "token_revoked"
    assert refused.json()["message"] == "Unauthorized access, token is invalid"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/auth/me"),
        ("get", "/api/accounts"),
        ("post", "/api/accounts"),
        ("get", "/api/transactions"),
        ("post", "/api/transactions"),
        ("post", "/api/transactions/system/initial-funds"),
    ],
)
def test_it_is_refused_at_every_door(client_of, user, method, path):
    client = client_of(user)
    client.post("/api/auth/logout")
    before = dump()
    assert getattr(client, method)(path).status_code == 401
    assert dump() == before


def test_logging_out_twice_is_still_200_and_writes_nothing_more(client_of, user):
    client = client_of(user)
    client.post("/api/auth/logout")
    before = dump()

    response = client.post("/api/auth/logout")

    assert (response.status_code, response.json()) == (200, SAID)
    assert dump() == before


def test_only_that_token_ends(client_of, user, new_user):
    first, second, another = client_of(user), client_of(user), client_of(new_user())
    first.post("/api/auth/logout")
    assert second.get("/api/accounts").status_code == 200
    assert another.get("/api/accounts").status_code == 200


def test_the_row_is_named_after_the_token_and_expires_with_it(client_of, user):
    token = issue_token(user)
    bearer(client_of, token).post("/api/auth/logout")

    claims = jwt.decode(token, options={"verify_signature": False})
    (row,) = BlacklistedToken.objects.all()
    assert (row.jti, row.user) == (claims["jti"], user)
    assert row.expires_at == datetime.fromtimestamp(claims["exp"], UTC)


def test_mongodb_deletes_rows_that_have_expired():
    expire = database()["blacklisted_tokens"].index_information()["expire"]
    assert expire["key"] == [("expires_at", 1)]
    assert expire["expireAfterSeconds"] == 0


def test_the_row_holds_a_real_date_which_is_what_a_ttl_index_needs(client_of, user):
    client_of(user).post("/api/auth/logout")
    assert isinstance(database()["blacklisted_tokens"].find_one()["expires_at"], datetime)


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_token_that_was_never_ours_is_not_logged_out(client_of, token):
    response = bearer(client_of, token).post("/api/auth/logout")
    assert response.status_code == 401
    assert BlacklistedToken.objects.count() == 0


def test_without_a_token_there_is_nothing_to_log_out(client_of):
    assert client_of().post("/api/auth/logout").status_code == 401
    assert BlacklistedToken.objects.count() == 0


def test_a_body_is_not_looked_at(client_of, user):
    assert client_of(user).post("/api/auth/logout", {"any": ["thing"]}).status_code == 200
