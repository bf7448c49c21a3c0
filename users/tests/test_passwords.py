"""POST /api/auth/password, /api/auth/password-reset and /api/auth/password-reset/confirm"""

import re
from functools import partial

import pytest
from django.core import mail

from ledger_project.mongo import collection
from ledger_project.tests.dumps import dump
from users import links, notifications, tasks
from users.models import ApiSession, Notification, User
from users.tests.api import CLIENT, NEW_PASSWORD, PASSWORD, Bearer, counts, log_in, refresh
from users.tests.browsing import browser
from users.tests.waiting import together
from users.tokens import issue_token, revoke_tokens

Kind = Notification.Kind


@pytest.fixture
def user(new_user) -> User:
    return new_user(password=PASSWORD)


def change(token: str, current: str = PASSWORD, new: str = NEW_PASSWORD, **more):
    return Bearer(token).post("/api/auth/password", {"currentPassword": current, "newPassword": new} | more)


def ask(email: str):
    return CLIENT.post("/api/auth/password-reset", {"email": email})


def confirm(secret: str, new: str = NEW_PASSWORD):
    return CLIENT.post("/api/auth/password-reset/confirm", {"token": secret, "newPassword": new})


def secret_of(user: User) -> str:
    return links.RESET_PASSWORD.secret_of(User.objects.get(pk=user.pk))


def assert_link_refused(response) -> None:
    assert (response.status_code, response.json()["code"]) == (400, "link_invalid")


# --- By whoever knows the old one --------------------------------------------------------------------------------


def test_a_new_password_ends_everything_else_and_answers_with_a_fresh_token(user):
    session, plain, staff = log_in(user, refresh=True).json(), issue_token(user), browser(user)

    answer = change(plain)

    assert answer.status_code == 200
    assert list(answer.json()) == ["user", "token"]
    assert counts(answer.json()["token"])
    assert not counts(plain)
    assert not counts(session["token"])
    assert refresh(session["refreshToken"]).status_code == 401
    assert "_auth_user_id" not in staff.session
    assert log_in(user).status_code == 401
    assert log_in(user, NEW_PASSWORD).status_code == 200
    assert Notification.objects.get().kind == Kind.PASSWORD_CHANGED


def test_who_changes_the_password_may_ask_for_a_refresh_token(user):
    answer = change(log_in(user, refresh=True).json()["token"], refresh=True).json()
    assert counts(answer["token"])
    assert refresh(answer["refreshToken"]).status_code == 200
    assert ApiSession.objects.count() == 1


@pytest.mark.parametrize("current", ["wrong-password", PASSWORD + " ", "!"])
def test_a_wrong_current_password_is_refused_and_changes_nothing(user, current):
    token = issue_token(user)
    before = dump()
    answer = change(token, current)
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
    assert dump() == before
    assert counts(token)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"newPassword": "short"}, "newPassword"),
        ({"newPassword": "password123"}, "newPassword"),
        ({"newPassword": "x" * 129}, "newPassword"),
        ({"newPassword": None}, "newPassword"),
        ({"currentPassword": {"$ne": ""}}, "currentPassword"),
    ],
)
def test_what_is_no_password_is_400_and_changes_nothing(user, wrong, field):
    token = issue_token(user)
    before = dump()
    body = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD} | wrong
    answer = Bearer(token).post("/api/auth/password", body)
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["errors"]] == [field]
    assert dump() == before


def test_without_a_token_no_password_is_changed(user):
    body = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert CLIENT.post("/api/auth/password", body).status_code == 401


def test_of_two_changes_at_once_one_gets_through(user):
    tokens = [issue_token(user), issue_token(user)]
    wishes = ["lantern-orchard-57", "harbour-lantern-75"]

    answers = together([partial(change, token, PASSWORD, new) for token, new in zip(tokens, wishes, strict=True)])

    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 403])
    (won,) = (new for answer, new in zip(answers, wishes, strict=True) if answer.status_code == 200)
    assert [log_in(user, new).status_code for new in wishes] == [200 if new == won else 401 for new in wishes]
    assert User.objects.get(pk=user.pk).token_generation == 1


def test_after_a_change_and_a_refresh_at_once_the_old_session_counts_no_more(user):
    password = PASSWORD
    for new in ("lantern-orchard-57", "harbour-lantern-75", "orchard-harbour-29"):
        session = log_in(user, password, refresh=True).json()
        refreshed, changed = together(
            [partial(refresh, session["refreshToken"]), partial(change, session["token"], password, new)]
        )
        assert changed.status_code == 200
        assert counts(changed.json()["token"])
        if refreshed.status_code == 200:
            assert not counts(refreshed.json()["token"])
            assert refresh(refreshed.json()["refreshToken"]).status_code == 401
        assert not counts(session["token"])
        password = new


def test_a_change_that_dies_halfway_is_none(user, fail_command):
    session = log_in(user, refresh=True).json()
    before = dump()
    fail_command("commitTransaction", errorCode=50)
    assert change(session["token"]).status_code == 503
    assert dump() == before
    assert counts(session["token"])
    assert log_in(user).status_code == 200


def test_a_form_of_staff_that_was_loaded_before_a_change_does_not_bring_the_old_password_back(user):
    stale = User.objects.get(pk=user.pk)
    change(issue_token(user))
    stale.name = "Ravi"
    stale.save()
    assert User.objects.get(pk=user.pk).name == "Ravi"
    assert log_in(user, NEW_PASSWORD).status_code == 200
    stale.set_password("orchard-harbour-29")
    stale.save()
    assert log_in(user, "orchard-harbour-29").status_code == 200


# --- By whoever has the mailbox ----------------------------------------------------------------------------------


def test_from_the_forgotten_password_to_the_new_one(user):
    session, plain = log_in(user, refresh=True).json(), issue_token(user)
    assert ask(f" {user.email.upper()}").status_code == 202
    tasks.send_notifications()
    (sent,) = mail.outbox
    assert sent.to == [user.email]
    (secret,) = re.findall(r"http://127\.0\.0\.1:8000/reset-password/#(\S+)", sent.body)
    assert f"#{secret}" in sent.alternatives[0][0]

    assert confirm(secret).json() == {"message": "Your new password is set"}

    assert log_in(user).status_code == 401
    assert log_in(user, NEW_PASSWORD).status_code == 200
    assert not counts(plain)
    assert not counts(session["token"])
    assert refresh(session["refreshToken"]).status_code == 401
    assert User.objects.get(pk=user.pk).verified_email == user.email
    assert_link_refused(confirm(secret, "harbour-lantern-75"))
    tasks.send_notifications()
    assert mail.outbox[-1].subject == "Your password was changed"


def test_nothing_that_is_stored_sets_a_password(user, new_user):
    """Neither the outbox nor what staff see of it holds a link that works: it is signed when it is sent."""
    ask(user.email)
    (row,) = dump("notifications")["notifications"]
    assert (row["kind"], row["payload"]) == ("PASSWORD_RESET", {})
    shown = notifications.message(Notification.objects.get(), preview=True)
    page = browser(new_user(is_staff=True, is_superuser=True)).get(f"/admin/users/notification/{row['_id']}/change/")
    for text in (shown.body, shown.alternatives[0][0], page.content.decode()):
        assert "/reset-password/#…" in text
        assert f"#{user.pk}" not in text


def same(email: str, kinds: list) -> tuple:
    """All of the answer that might tell, and the writes behind it."""
    answer = ask(email)
    kinds.append(collection(Notification).find_one(sort=[("_id", -1)])["kind"])
    return answer.status_code, answer.json(), sorted(set(answer.headers) - {"X-Request-Id"})


def test_the_answer_does_not_tell_whether_anybody_has_the_address(user, new_user):
    """Nor does its time: the same is read and written for all of them."""
    disabled = new_user(password=PASSWORD, is_active=False)
    without = new_user(password=None)
    kinds: list = []
    told = [same(email, kinds) for email in (user.email, "nobody@example.com", disabled.email, without.email)]
    assert all(answer == told[0] for answer in told)
    assert kinds == [Kind.PASSWORD_RESET] * 4

    tasks.send_notifications()

    assert [sent.to for sent in mail.outbox] == [[user.email]]
    assert [row.user_id for row in Notification.objects.all()] == [user.pk]


@pytest.mark.parametrize("body", [{}, {"email": "asha"}, {"email": {"$ne": ""}}, {"email": None}, []])
def test_what_is_no_address_is_400(body):
    before = dump()
    assert CLIENT.post("/api/auth/password-reset", body).status_code == 400
    assert dump() == before


def test_of_two_who_use_one_link_at_once_one_gets_through(user):
    secret, wishes = secret_of(user), ["lantern-orchard-57", "harbour-lantern-75"]

    answers = together([partial(confirm, secret, new) for new in wishes])

    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert [log_in(user, new).status_code == 200 for new in wishes] == [a.status_code == 200 for a in answers]
    assert Notification.objects.filter(kind=Kind.PASSWORD_CHANGED).count() == 1


ENDS = {
    "another password": lambda user: user.set_password("orchard-harbour-29"),
    "another e-mail": lambda user: setattr(user, "email", "other@example.com"),
    "disabled": lambda user: setattr(user, "is_active", False),
    "logged out everywhere": lambda user: revoke_tokens(user=user, reason="lost"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_link_is_void_once_what_it_is_about_has_changed(user, end):
    secret = secret_of(user)
    ENDS[end](user)
    user.save()
    before = dump()
    assert_link_refused(confirm(secret))
    assert dump() == before


def test_a_link_expires(user, settings):
    secret = secret_of(user)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert_link_refused(confirm(secret))


def test_what_is_no_link_of_ours_is_refused(user, new_user):
    good, other = secret_of(user), secret_of(new_user(password=PASSWORD))
    verification = links.VERIFY_EMAIL.secret_of(user)
    foreign = f"{user.pk}-{other.partition('-')[2]}"
    before = dump()
    for secret in (good[:-1], f"{good}x", "x", "-", f"{user.pk}-", str(user.pk), "é-é", verification, foreign):
        assert_link_refused(confirm(secret))
    assert dump() == before


def test_a_weak_new_password_does_not_use_the_link_up(user):
    secret = secret_of(user)
    answer = confirm(secret, "password123")
    assert [row["field"] for row in answer.json()["errors"]] == ["newPassword"]
    assert confirm(secret).status_code == 200


def test_a_reset_that_dies_halfway_leaves_the_link_good(user, fail_command):
    secret = secret_of(user)
    before = dump()
    fail_command("commitTransaction", errorCode=50)
    assert confirm(secret).status_code == 503
    assert dump() == before
    assert confirm(secret).status_code == 200
