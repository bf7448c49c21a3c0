"""POST /api/auth/verify-email and /api/auth/verify-email/resend, and what an unverified address may do."""

import re
from decimal import Decimal
from functools import partial

import pytest
from django.core import mail

from ledger_project.tests.dumps import dump
from users import links, tasks
from users.models import Notification, User
from users.tests.api import CLIENT, PASSWORD, Bearer, counts, log_in, refresh
from users.tests.waiting import together
from users.tokens import issue_token

Kind = Notification.Kind
BODY = {"name": "Asha", "email": "asha@example.com", "password": PASSWORD}


@pytest.fixture
def _required(settings) -> None:
    settings.EMAIL_VERIFICATION_REQUIRED = True


@pytest.fixture
def user(new_user) -> User:
    return new_user(password=PASSWORD)


def verify(secret: str):
    return CLIENT.post("/api/auth/verify-email", {"token": secret})


def ask(email: str):
    return CLIENT.post("/api/auth/verify-email/resend", {"email": email})


def kinds() -> list[str]:
    return sorted(Notification.objects.values_list("kind", flat=True))


def test_where_it_is_no_condition_nobody_is_asked(user):
    assert CLIENT.post("/api/auth/register", BODY).status_code == 201
    assert kinds() == [Kind.WELCOME]
    assert log_in(user).status_code == 200


@pytest.mark.usefixtures("_required")
def test_from_registration_to_the_first_call(new_account, client_of):
    registered = CLIENT.post("/api/auth/register", BODY | {"refresh": True}).json()
    assert kinds() == [Kind.VERIFY_EMAIL, Kind.WELCOME]
    user = User.objects.get(email=BODY["email"])
    refused = [
        log_in(user),
        Bearer(registered["token"]).get("/api/auth/me"),
        Bearer(registered["token"]).post("/api/accounts", {}),
        Bearer(registered["token"]).post("/api/transactions", {}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "email_not_verified")] * 4

    tasks.send_notifications()
    (sent,) = (message for message in mail.outbox if message.subject == "Confirm your e-mail")
    (secret,) = re.findall(r"http://127\.0\.0\.1:8000/verify-email/#(\S+)", sent.body)
    assert verify(secret).json() == {"message": "Your e-mail is confirmed"}

    assert verify(secret).status_code == 200
    assert log_in(user).status_code == 200
    assert counts(registered["token"])
    assert refresh(registered["refreshToken"]).status_code == 200


@pytest.mark.usefixtures("_required")
def test_an_unverified_users_token_moves_no_money(new_account, user):
    """A transfer looks its token up by itself, in the snapshot in which the money moves."""
    payer, payee = new_account(user, funds=5), new_account(user)
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1, "idempotencyKey": "k"}
    token = issue_token(user)
    before = dump()
    answer = Bearer(token).post("/api/transactions", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
    assert dump() == before
    verify(links.VERIFY_EMAIL.secret_of(user))
    assert Bearer(token).post("/api/transactions", body).status_code == 201
    payer.refresh_from_db()
    assert payer.balance == Decimal(4)


@pytest.mark.usefixtures("_required")
def test_a_wrong_password_is_told_nothing_about_the_address(user):
    assert log_in(user, "wrong-password").json()["code"] == "wrong_credentials"


@pytest.mark.usefixtures("_required")
@pytest.mark.parametrize("role", ["is_staff", "is_system"])
def test_staff_and_system_users_are_vouched_for(new_user, role):
    user = new_user(password=PASSWORD, **{role: True})
    assert counts(log_in(user).json()["token"])


@pytest.mark.usefixtures("_required")
def test_an_unverified_user_may_log_out(user):
    assert Bearer(issue_token(user)).post("/api/auth/logout").status_code == 200


@pytest.mark.usefixtures("_required")
def test_another_address_is_to_be_verified_anew(user):
    old = links.VERIFY_EMAIL.secret_of(user)
    verify(old)
    User.objects.filter(pk=user.pk).update(email="new@example.com")
    user.refresh_from_db()
    assert log_in(user).status_code == 403
    assert verify(old).status_code == 400
    assert verify(links.VERIFY_EMAIL.secret_of(user)).status_code == 200
    assert log_in(user).status_code == 200


def test_two_who_verify_at_once_both_have(user):
    secret = links.VERIFY_EMAIL.secret_of(user)
    assert [answer.status_code for answer in together([partial(verify, secret)] * 2)] == [200, 200]
    assert User.objects.get(pk=user.pk).verified_email == user.email


def test_a_user_that_was_loaded_before_and_saved_after_it_stays_verified(user):
    stale = User.objects.get(pk=user.pk)
    verify(links.VERIFY_EMAIL.secret_of(user))
    stale.save()
    assert User.objects.get(pk=user.pk).verified_email == user.email


def test_a_link_that_sets_passwords_verifies_nothing_and_what_is_none_is_refused(user):
    before = dump()
    for secret in (links.RESET_PASSWORD.secret_of(user), "x", f"{user.pk}-x"):
        answer = verify(secret)
        assert (answer.status_code, answer.json()["code"]) == (400, "link_invalid")
    assert dump() == before


def test_the_link_is_sent_again_and_the_answer_does_not_tell_to_whom(user, new_user):
    verified, disabled = new_user(), new_user(is_active=False)
    verify(links.VERIFY_EMAIL.secret_of(verified))
    emails = [user.email, "nobody@example.com", verified.email, disabled.email]

    answers = [ask(email) for email in emails]

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert kinds() == [Kind.VERIFY_EMAIL] * 4
    tasks.send_notifications()
    assert [sent.to for sent in mail.outbox] == [[user.email]]
    assert kinds() == [Kind.VERIFY_EMAIL]
