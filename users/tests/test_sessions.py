"""Log-ins that can be refreshed: POST /api/auth/refresh, GET and DELETE /api/auth/sessions."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import jwt
import pytest
from bson import ObjectId
from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.tokens import RefreshToken

from ledger_project.tests.dumps import dump
from users.api_sessions import Device, begin
from users.models import ApiSession, BlacklistedToken, User
from users.tests.api import CLIENT, PASSWORD, Bearer, counts, refresh
from users.tests.browsing import browser
from users.tests.waiting import together
from users.tokens import issue_token, revoke_tokens

PHONE = Device("LedgerApp/2.1", "203.0.113.0/24")


@pytest.fixture
def user(new_user) -> User:
    return new_user(password=PASSWORD)


@pytest.fixture
def log_in(user) -> Callable[..., dict]:
    """Log `user` in, and ask to refresh."""

    def post(**headers) -> dict:
        body = {"email": user.email, "password": PASSWORD, "refresh": True}
        return CLIENT.post("/api/auth/login", body, **headers).json()

    return post


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def assert_refused(response, code: str = "refresh_token_invalid") -> None:
    assert (response.status_code, response.json()["code"]) == (401, code)


# --- Asking for one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/auth/register", "/api/auth/login"])
def test_who_asks_to_refresh_gets_a_short_token_and_a_refresh_token(user, path):
    who = {"name": "Ben", "email": "ben@example.com"} if path.endswith("register") else {"email": user.email}
    body = CLIENT.post(path, who | {"password": PASSWORD, "refresh": True}).json()

    assert list(body) == ["user", "token", "refreshToken"]
    assert claims(body["token"])["exp"] - claims(body["token"])["iat"] == 15 * 60
    assert counts(body["token"])
    assert claims(body["token"])["sid"] == str(ApiSession.objects.get().pk)


@pytest.mark.parametrize("asked", [{}, {"refresh": False}])
def test_who_does_not_ask_gets_the_seeds_answer_and_leaves_no_session(user, asked):
    body = CLIENT.post("/api/auth/login", {"email": user.email, "password": PASSWORD} | asked).json()

    assert list(body) == ["user", "token"]
    assert set(claims(body["token"])) == {"token_type", "exp", "iat", "jti", "sub", "gen", "iss", "aud"}
    assert not ApiSession.objects.exists()


@pytest.mark.parametrize("path", ["register", "login", "password"])
def test_a_wish_that_is_no_yes_or_no_is_400(user, path):
    body = {"name": "Ben", "email": "ben@example.com", "password": PASSWORD, "currentPassword": PASSWORD}
    response = Bearer(issue_token(user)).post(
        f"/api/auth/{path}", body | {"newPassword": "x" * 12, "refresh": "perhaps"}
    )
    assert response.status_code == 400
    assert [row["field"] for row in response.json()["errors"]] == ["refresh"]


def test_nothing_that_is_stored_is_a_token(log_in):
    session = log_in()
    stored = str(dump("api_sessions"))
    assert session["refreshToken"] not in stored
    assert claims(session["refreshToken"])["jti"] not in stored


# --- Refreshing --------------------------------------------------------------------------------------------------


def test_a_refresh_token_is_exchanged_for_a_fresh_pair(log_in, user):
    first = log_in()
    second = refresh(first["refreshToken"]).json()

    assert second["user"] == first["user"]
    assert second["refreshToken"] != first["refreshToken"]
    assert counts(first["token"])
    assert counts(second["token"])
    assert refresh(second["refreshToken"]).status_code == 200
    session = ApiSession.objects.get()
    assert session.rotations == 2
    assert session.expires_at - session.used_at <= timedelta(days=30)


def test_a_refresh_token_that_comes_twice_ends_its_session_and_all_tokens_of_it_at_once(log_in):
    stolen, other = log_in(), log_in()
    thief = refresh(stolen["refreshToken"]).json()

    assert_refused(refresh(stolen["refreshToken"]))

    assert not counts(stolen["token"])
    assert not counts(thief["token"])
    assert_refused(refresh(thief["refreshToken"]))
    assert counts(other["token"])
    assert refresh(other["refreshToken"]).status_code == 200


def test_of_two_refreshes_at_once_one_gets_through_and_the_session_ends(log_in):
    session = log_in()

    answers = together([partial(refresh, session["refreshToken"])] * 2)

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert not ApiSession.objects.exists()
    assert not counts(winner["token"])
    assert_refused(refresh(winner["refreshToken"]))


def test_a_refresh_whose_answer_the_database_lost_is_still_made_once(log_in, fail_command):
    session = log_in()
    fail_command("findAndModify", closeConnection=True)

    fresh = refresh(session["refreshToken"])

    assert fresh.status_code == 200
    assert ApiSession.objects.get().rotations == 1
    assert refresh(fresh.json()["refreshToken"]).status_code == 200


def test_a_refresh_that_the_database_did_not_take_leaves_the_token_good(log_in, fail_command):
    session = log_in()
    before = dump()
    fail_command("findAndModify", errorCode=50)
    assert refresh(session["refreshToken"]).status_code == 503
    assert dump() == before
    assert refresh(session["refreshToken"]).status_code == 200


def test_what_is_no_refresh_token_of_ours_is_refused_and_ends_nothing(log_in, user):
    session = log_in()
    good = claims(session["refreshToken"])
    signed = partial(jwt.encode, key=settings.SECRET_KEY, algorithm="HS256")
    before = dump()
    for token in [
        *("x", "a.b.c", "é", session["token"], session["refreshToken"][:-2], str(RefreshToken.for_user(user))),
        jwt.encode(good, "another-key-" * 5, "HS256"),
        signed(good | {"exp": 1}),
        signed({name: value for name, value in good.items() if name != "sid"}),
        signed(good | {"sub": str(ObjectId())}),
    ]:
        assert_refused(refresh(token))
    assert dump() == before
    assert refresh(session["refreshToken"]).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"refreshToken": ""}, {"refreshToken": None}, {"refreshToken": {"$ne": ""}}, {"refreshToken": "\x00"}, []],
)
def test_a_refresh_without_a_token_is_400(body):
    assert CLIENT.post("/api/auth/refresh", body).status_code == 400


def test_a_refresh_token_is_no_access_token(log_in):
    assert not counts(log_in()["refreshToken"])


def test_a_disabled_user_refreshes_nothing(log_in, user):
    session = log_in()
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert_refused(refresh(session["refreshToken"]))
    assert not counts(session["token"])


def test_who_is_disabled_by_staff_stays_logged_out_when_enabled_again(log_in, user, new_user):
    session = log_in()
    root = browser(new_user(is_staff=True, is_superuser=True))
    root.post(f"/admin/users/user/{user.pk}/change/", {"email": user.email, "name": user.name})
    root.post(f"/admin/users/user/{user.pk}/change/", {"email": user.email, "name": user.name, "is_active": "on"})
    assert User.objects.get(pk=user.pk).is_active
    assert not counts(session["token"])
    assert_refused(refresh(session["refreshToken"]))


def test_a_session_that_was_begun_while_all_were_revoked_cannot_be_refreshed(user):
    """Its user was read before the revocation, and it was stored after it."""
    stale = User.objects.get(pk=user.pk)
    revoke_tokens(user=user, reason="lost")
    late = begin(user=stale, device=PHONE)
    assert not counts(late.access)
    assert_refused(refresh(late.refresh))


# --- Logging out -------------------------------------------------------------------------------------------------


def test_log_out_ends_the_token_and_its_session(log_in):
    session, other = log_in(), log_in()
    for _ in range(2):
        assert Bearer(session["token"]).post("/api/auth/logout").json() == {"message": "User logged out successfully"}
    answer = Bearer(session["token"]).get("/api/auth/me")
    assert_refused(answer, "token_revoked")
    assert_refused(refresh(session["refreshToken"]))
    assert counts(other["token"])


def test_after_a_refresh_and_a_log_out_at_once_nothing_counts(log_in):
    for _ in range(5):
        session = log_in()
        refreshed, _ = together(
            [partial(refresh, session["refreshToken"]), partial(Bearer(session["token"]).post, "/api/auth/logout")]
        )
        assert not counts(session["token"])
        if refreshed.status_code == 200:
            assert not counts(refreshed.json()["token"])
            assert_refused(refresh(refreshed.json()["refreshToken"]))
    assert not ApiSession.objects.exists()


def test_a_token_of_a_session_needs_no_place_on_the_blacklist(log_in):
    Bearer(log_in()["token"]).post("/api/auth/logout")
    assert not BlacklistedToken.objects.exists()


# --- The devices -------------------------------------------------------------------------------------------------


def test_the_caller_sees_their_own_sessions_the_last_used_first(log_in, new_user):
    begin(user=new_user(), device=PHONE)
    phone = log_in(HTTP_USER_AGENT="Phone " * 100, REMOTE_ADDR="203.0.113.77")
    laptop = log_in(HTTP_USER_AGENT="Laptop", REMOTE_ADDR="2001:db8:1:2::5")

    listed = Bearer(phone["token"]).get("/api/auth/sessions").json()["sessions"]

    assert [(each["userAgent"], each["address"], each["current"]) for each in listed] == [
        ("Laptop", "2001:db8:1::/48", False),
        (("Phone " * 100)[:200], "203.0.113.0/24", True),
    ]
    refresh(phone["refreshToken"])
    again = Bearer(laptop["token"]).get("/api/auth/sessions").json()["sessions"]
    assert [each["_id"] for each in again] == [listed[1]["_id"], listed[0]["_id"]]
    assert again[0]["lastUsedAt"] > listed[1]["lastUsedAt"]
    assert again[0]["createdAt"] == listed[1]["createdAt"]


def test_sessions_that_have_expired_are_not_listed(log_in, user):
    log_in()
    ApiSession.objects.update(expires_at=timezone.now())
    assert Bearer(issue_token(user)).get("/api/auth/sessions").json() == {"sessions": []}


def test_one_device_is_logged_out_and_the_others_stay(log_in):
    lost, kept = log_in(), log_in()
    path = f"/api/auth/sessions/{claims(lost['token'])['sid']}"

    assert Bearer(kept["token"]).delete(path).json() == {"message": "Session ended"}

    assert not counts(lost["token"])
    assert_refused(refresh(lost["refreshToken"]))
    assert counts(kept["token"])
    assert Bearer(kept["token"]).delete(path).status_code == 404


@pytest.mark.parametrize("which", ["another's", "unknown", "no id"])
def test_a_session_that_is_not_the_callers_is_not_found(new_user, log_in, which):
    session = log_in()
    key = {"another's": claims(session["token"])["sid"], "unknown": str(ObjectId()), "no id": "x"}[which]
    response = Bearer(issue_token(new_user())).delete(f"/api/auth/sessions/{key}/")
    assert (response.status_code, response.json()["code"]) == (404, "session_not_found")
    assert counts(session["token"])


@pytest.mark.parametrize("path", ["/api/auth/sessions", "/api/auth/sessions/"])
def test_log_out_of_all_devices_ends_tokens_without_a_session_and_those_of_the_admin_too(new_user, log_in, user, path):
    sessions, plain, staff = [log_in(), log_in()], Bearer(issue_token(user)), browser(user)
    other = Bearer(issue_token(new_user()))

    assert plain.delete(path).json() == {"message": "Logged out of all devices"}

    assert not any(counts(session["token"]) for session in sessions)
    for session in sessions:
        assert_refused(refresh(session["refreshToken"]))
    assert plain.get("/api/auth/me").status_code == 401
    assert "_auth_user_id" not in staff.session
    assert other.get("/api/auth/me").status_code == 200
    assert counts(log_in()["token"])


def test_after_a_refresh_and_a_log_out_of_all_devices_at_once_nothing_counts(log_in):
    for _ in range(5):
        session = log_in()
        refreshed, ended = together(
            [partial(refresh, session["refreshToken"]), partial(Bearer(session["token"]).delete, "/api/auth/sessions")]
        )
        assert ended.status_code == 200
        assert not counts(session["token"])
        if refreshed.status_code == 200:
            assert not counts(refreshed.json()["token"])
            assert_refused(refresh(refreshed.json()["refreshToken"]))


@pytest.mark.parametrize("method", ["get", "delete"])
def test_without_a_token_there_are_no_sessions(method):
    assert getattr(CLIENT, method)("/api/auth/sessions").status_code == 401


@pytest.mark.parametrize("word", [0, 1, "true", "yes", {}])
def test_whether_a_session_is_asked_for_is_true_or_false_and_nothing_else(client_of, new_user, word):
    user = new_user(password="a-long-passphrase")
    body = {"email": user.email, "password": "a-long-passphrase", "refresh": word}
    response = client_of().post("/api/auth/login", body)
    assert response.status_code == 400
    assert "refresh" in str(response.json()["errors"])
