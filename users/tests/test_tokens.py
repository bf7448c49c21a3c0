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
from users.models import AuditEntry, Session, User
from users.tests.browsing import browser
from users.tokens import issue_token, revoke_tokens

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


def test_a_token_of_a_host_whose_clock_is_ahead_of_ours_opens_the_door(ask, user):
    issued = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp())
    assert ask(f"Bearer {signed(claims_of(user) | {'iat': issued})}").status_code == 200


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
    "session no id": {"sid": "x"},
    "session a dict": {"sid": {"$ne": ""}},
    "session unknown": {"sid": str(ObjectId())},
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


# --- Revoked by staff --------------------------------------------------------------------------------------------


@pytest.fixture
def root(new_user):
    return browser(new_user(is_staff=True, is_superuser=True))


WHY = {"reason": "Lost phone", "_form_submitted": "True"}


def revoke(staff, user, **form):
    return staff.post(f"/admin/users/user/{user.pk}/revoke_this/", WHY | form)


def test_a_disabled_users_tokens_and_sessions_end_at_once(root, new_user, client_of):
    user = new_user(is_staff=True, is_superuser=True)
    client, staff_session = client_of(user), browser(user)
    assert client.get("/api/auth/me").status_code == 200
    assert staff_session.get("/admin/").status_code == 200
    root.post(f"/admin/users/user/{user.pk}/change/", {"email": user.email, "name": user.name})
    assert client.get("/api/auth/me").status_code == 401
    assert client.post("/api/accounts", {}).status_code == 401
    assert staff_session.get("/admin/").status_code == 302


def test_all_tokens_of_a_user_are_revoked_and_nobody_elses(root, new_user, client_of):
    user, other = new_user(), new_user()
    clients, others = [client_of(user) for _ in range(3)], client_of(other)
    assert revoke(root, user).status_code == 302
    for client in clients:
        answer = client.get("/api/auth/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert others.get("/api/auth/me").status_code == 200
    assert client_of(User.objects.get(pk=user.pk)).get("/api/auth/me").status_code == 200


def test_a_revoked_token_moves_no_money(root, new_user, new_account, client_of):
    """A transfer looks its token up by itself, in the snapshot in which the money moves."""
    payer, payee = new_account(new_user(), funds=5), new_account(new_user())
    client = client_of(User.objects.get(pk=payer.user_id))
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1, "idempotencyKey": "k"}
    assert client.post("/api/transactions", body).status_code == 201
    revoke(root, payer.user)
    before = dump()
    for key in ("k", "l"):
        answer = client.post("/api/transactions", body | {"idempotencyKey": key})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert dump() == before


def test_who_logs_in_again_in_the_same_second_is_let_in(root, new_user, client_of):
    user = new_user(password="a-long-passphrase")
    revoke(root, user)
    answer = client_of().post("/api/auth/login", {"email": user.email, "password": "a-long-passphrase"})
    token = answer.json()["token"]
    assert client_of().get("/api/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_revoked_token_may_still_log_out(root, new_user, client_of):
    user = new_user()
    client = client_of(user)
    revoke(root, user)
    assert client.post("/api/auth/logout").status_code == 200


def test_staff_sessions_end_with_the_tokens_even_ones_own(root, new_user):
    user = new_user(is_staff=True, is_superuser=True)
    sessions = [browser(user), browser(user)]
    assert "2, the last until" in root.get(f"/admin/users/user/{user.pk}/change/").content.decode()
    revoke(root, user)
    assert [session.get("/admin/").status_code for session in sessions] == [302, 302]
    assert root.get("/admin/").status_code == 200
    revoke(root, User.objects.get(pk=root.session["_auth_user_id"]))
    assert root.get("/admin/").status_code == 302


def test_a_session_key_is_on_no_page(root, new_user):
    user = new_user(is_staff=True)
    session = browser(user)
    key = session.cookies["sessionid"].value
    assert key not in root.get(f"/admin/users/user/{user.pk}/change/").content.decode()


def test_a_new_password_ends_tokens_and_sessions(root, new_user, client_of):
    user = new_user(is_staff=True)
    client, session = client_of(user), browser(user)
    passwords = {"usable_password": "true", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert root.post(f"/admin/users/user/{user.pk}/password/", passwords).status_code == 302
    assert client.get("/api/auth/me").status_code == 401
    assert session.get("/admin/").status_code == 302


def test_who_sets_ones_own_password_stays_logged_in(new_user):
    user = new_user(is_staff=True, is_superuser=True)
    session = browser(user)
    passwords = {"usable_password": "true", "password1": "correct horse battery", "password2": "correct horse battery"}
    session.post(f"/admin/users/user/{user.pk}/password/", passwords)
    assert session.get("/admin/").status_code == 200


def test_ones_own_new_password_ends_tokens_and_the_other_sessions(new_user, client_of):
    user = new_user(is_staff=True, password="a-long-passphrase")
    client, session, other = client_of(user), browser(user), browser(user)
    passwords = {"new_password1": "correct horse battery", "new_password2": "correct horse battery"}

    assert session.post("/admin/password_change/", {"old_password": "wrong"} | passwords).status_code == 200
    assert client.get("/api/auth/me").status_code == 200
    done = session.post("/admin/password_change/", {"old_password": "a-long-passphrase"} | passwords)

    assert done["Location"] == "/admin/password_change/done/"
    assert client.get("/api/auth/me").status_code == 401
    assert (session.get("/admin/").status_code, other.get("/admin/").status_code) == (200, 302)
    assert Session.objects.filter(user=user).count() == 1
    assert client_of(User.objects.get(pk=user.pk)).get("/api/auth/me").status_code == 200


def test_revoking_is_logged_with_its_reason(root, new_user):
    user = new_user()
    revoke(root, user)
    entry = AuditEntry.objects.get()
    assert (entry.object_pk, entry.reason, entry.changes["tokens"]) == (
        str(user.pk),
        "Lost phone",
        ["valid", "revoked"],
    )


def test_revoking_needs_a_reason_and_power_over_that_user(root, new_user, client_of):
    clerk = browser(new_user(is_staff=True), "users.view_user", "users.change_user")
    boss, customer = new_user(is_staff=True), new_user()
    tokens = client_of(boss), client_of(customer)
    assert revoke(clerk, boss).status_code == 403
    assert revoke(root, boss, reason="").status_code == 200
    assert revoke(browser(new_user(is_staff=True), "users.view_user"), customer).status_code == 403
    assert [token.get("/api/auth/me").status_code for token in tokens] == [200, 200]
    assert revoke(clerk, customer).status_code == 302
    assert tokens[1].get("/api/auth/me").status_code == 401


@pytest.mark.parametrize("key", ["xyz", "0" * 24, "%00"])
def test_revoking_of_nobody_is_not_found(root, key):
    assert root.post(f"/admin/users/user/{key}/revoke_this/", WHY).status_code == 404


def test_a_user_that_was_loaded_before_a_revocation_and_saved_after_it_brings_no_token_back(new_user):
    user = new_user()
    stale = User.objects.get(pk=user.pk)
    revoke_tokens(user=user, reason="lost")
    stale.name = "Asha"
    stale.save()
    stored = User.objects.get(pk=user.pk)
    assert (stored.name, stored.token_generation) == ("Asha", 1)
