"""POST /api/auth/login of a user who has a second factor."""

import time
from functools import partial

import jwt
import pytest
from django_otp.oath import hotp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_project.tests.dumps import dump
from users import second_factor
from users.models import User
from users.tests.api import NEW_PASSWORD, PASSWORD, Bearer, counts, log_in, refresh
from users.tests.waiting import together
from users.tokens import issue_token

RECOVERY = "abcdefghijklmnop"


@pytest.fixture
def user(new_user) -> User:
    return new_user(password=PASSWORD, is_staff=True, is_superuser=True)


@pytest.fixture
def device(user) -> TOTPDevice:
    codes = StaticDevice.objects.create(user=user, name="recovery")
    StaticToken.objects.create(device=codes, token=second_factor.hash_of(RECOVERY))
    return TOTPDevice.objects.create(user=user, name="authenticator", confirmed=True)


def code_of(device: TOTPDevice) -> str:
    return str(hotp(device.bin_key, int(time.time()) // device.step, device.digits)).zfill(6)


def wait_over(device: TOTPDevice) -> None:
    """Let the wait after failures be over."""
    TOTPDevice.objects.filter(pk=device.pk).update(throttling_failure_timestamp=None)


def methods(token: str) -> list | None:
    return jwt.decode(token, options={"verify_signature": False}).get("amr")


def assert_refused(answer, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_who_has_one_is_asked_for_its_code_and_let_in_with_it(user, device):
    assert_refused(log_in(user), "otp_required")
    answer = log_in(user, otp=code_of(device))
    assert answer.status_code == 200
    assert list(answer.json()) == ["user", "token"]
    assert counts(answer.json()["token"])
    assert methods(answer.json()["token"]) == ["pwd", "otp"]


def test_a_recovery_code_does_as_well_once(user, device):
    assert log_in(user, otp="ABCD-efgh-ijkl-mnop").status_code == 200
    assert_refused(log_in(user, otp=RECOVERY), "otp_invalid")


@pytest.mark.parametrize("otp", ["000000", "12345", "x", "٣٣٣٣٣٣", 123456])
def test_a_wrong_code_is_refused_and_gives_no_token(user, device, otp):
    before = dump()
    answer = log_in(user, otp=otp)
    assert answer.status_code in (400, 401)
    assert dump() == before


def test_after_a_failure_the_next_try_has_to_wait(user, device, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 600  # seconds; the second try is within them on any machine
    assert_refused(log_in(user, otp="000000"), "otp_invalid")
    assert_refused(log_in(user, otp=code_of(device)), "otp_invalid")
    wait_over(device)
    assert log_in(user, otp=code_of(device)).status_code == 200


def test_a_code_is_good_once_of_two_at_once_too(user, device):
    answers = together([partial(log_in, user, otp=code_of(device))] * 2)
    assert sorted(answer.status_code for answer in answers) == [200, 401]


def test_a_wrong_password_is_told_nothing_about_a_second_factor(user, device):
    for more in ({}, {"otp": code_of(device)}, {"otp": "000000"}):
        assert_refused(log_in(user, "wrong-password", **more), "wrong_credentials")
    assert TOTPDevice.objects.get(pk=device.pk).throttling_failure_count == 0


def test_one_that_was_not_enrolled_to_the_end_is_not_asked_for(user, device):
    TOTPDevice.objects.update(confirmed=False)
    token = log_in(user, otp="000000").json()["token"]
    assert methods(token) is None


def test_what_was_shown_stays_with_the_session_and_with_a_new_password(user, device):
    session = log_in(user, otp=code_of(device), refresh=True).json()
    again = refresh(session["refreshToken"]).json()
    body = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    changed = Bearer(again["token"]).post("/api/auth/password", body).json()
    assert [methods(each["token"]) for each in (session, again, changed)] == [["pwd", "otp"]] * 3


@pytest.mark.parametrize("required", [False, True])
def test_where_it_is_required_staff_reverse_nothing_without_one(user, device, settings, required):
    settings.SECOND_FACTOR_REQUIRED = required
    path, body = f"/api/transactions/{'a' * 24}/reverse", {"reason": "wrong"}
    bare = Bearer(issue_token(user)).post(path, body)
    shown = Bearer(log_in(user, otp=code_of(device)).json()["token"]).post(path, body)
    refused = (403, "second_factor_required") if required else (404, "transaction_not_found")
    assert (bare.status_code, bare.json()["code"]) == refused
    assert (shown.status_code, shown.json()["code"]) == (404, "transaction_not_found")
