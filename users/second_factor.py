"""A second factor: a code from an authenticator app (TOTP), or a recovery code.

A code is good once, and one attempt is made at a time: both are held by conditional updates, for two requests may carry
the same code at the same moment. Enrolment and what the admin asks for are in office/second_factor.py.
"""

import hmac
import time
from base64 import b32encode
from hashlib import sha256
from http import HTTPStatus

from django.conf import settings
from django.utils import timezone
from django_otp.oath import hotp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_project.errors import LedgerError
from users.models import User
from users.tokens import Claims, shows_second_factor


class OtpRequired(LedgerError):
    """The user has a second factor, and the log-in brought no code of it."""

    status = HTTPStatus.UNAUTHORIZED
    code = "otp_required"
    message = "Enter the code that your authenticator app shows"


class OtpInvalid(LedgerError):
    """The code is wrong, was used, or came before the next attempt may be made."""

    status = HTTPStatus.UNAUTHORIZED
    code = "otp_invalid"
    message = "That code is not right, or was used before. After a failure, wait a moment for the next try."


class SecondFactorRequired(LedgerError):
    """What staff do needs a second factor here, and the token came of a log-in without one."""

    status = HTTPStatus.FORBIDDEN
    code = "second_factor_required"
    message = "This needs a log-in with a second factor"


def pass_with(user: User, code: str | None) -> bool:
    """Whether `user`, who has shown the password, has shown a second factor, too; False for who has none.

    Raises OtpRequired, OtpInvalid.
    """
    if device_of(user) is None:
        return False
    if not code:
        raise OtpRequired
    if verify(user, code) is None:
        raise OtpInvalid
    return True


def require_for_staff(claims: Claims) -> None:
    """Let a call of staff's past if its token came of a log-in with a second factor. Raises SecondFactorRequired."""
    if settings.SECOND_FACTOR_REQUIRED and not shows_second_factor(claims):
        raise SecondFactorRequired


def device_of(user: User) -> TOTPDevice | None:
    """The user's device, if they have one."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def may_try(user: User) -> bool:
    """Whether an attempt counts now: after each failure it takes twice as long until the next one does."""
    device = device_of(user)
    return device is not None and device.verify_is_allowed()[0]


def verify(user: User, code: str) -> TOTPDevice | None:
    """The user's device, if `code` is its current one or a recovery code that was not used; None otherwise."""
    device = device_of(user)
    if device is None:
        return None
    shown = is_shown(device, code) if code.strip().isdigit() else _attempt(device) and _use_up(user, code)
    if not shown:
        return None
    TOTPDevice.objects.filter(pk=device.pk).update(throttling_failure_count=0, throttling_failure_timestamp=None)
    return device


def is_shown(device: TOTPDevice, code: str) -> bool:
    """Whether `code` is one of `device`, now, and for the first time."""
    if not _attempt(device):
        return False
    step = step_of(device, code)
    if step is None:
        return False
    used = TOTPDevice.objects.filter(pk=device.pk, last_t__lt=step).update(
        last_t=step, throttling_failure_count=0, throttling_failure_timestamp=None
    )
    return bool(used)


def step_of(device: TOTPDevice, code: str) -> int | None:
    """The time step that `code` belongs to: this one, or one to either side of it, for clocks differ."""
    code = "".join(code.split())
    now = int(time.time() - device.t0) // device.step
    for step in (now, now - device.tolerance, now + device.tolerance):
        expected = str(hotp(device.bin_key, step, device.digits)).zfill(device.digits)
        if hmac.compare_digest(expected.encode(), code.encode()):
            return step
    return None


def recovery_of(user: User) -> list:
    """The devices, as django-otp has it, that hold the user's recovery codes."""
    return list(StaticDevice.objects.filter(user=user).values_list("pk", flat=True))


def hash_of(code: str) -> str:
    """What is kept of a recovery code: 80 bits of SHA-256, as many as the code has, which is random."""
    return b32encode(sha256(code.encode()).digest()[:10]).decode().lower()


def _attempt(device: TOTPDevice) -> bool:
    """Take the one attempt that there is now: after each failure it takes twice as long until the next one."""
    allowed, _ = device.verify_is_allowed()
    return allowed and bool(
        TOTPDevice.objects.filter(pk=device.pk, throttling_failure_count=device.throttling_failure_count).update(
            throttling_failure_count=device.throttling_failure_count + 1, throttling_failure_timestamp=timezone.now()
        )
    )


def _use_up(user: User, code: str) -> bool:
    """Whether `code` was one of the recovery codes; it is none from now on."""
    plain = "".join(character for character in code.lower() if character.isalnum())
    deleted, _ = StaticToken.objects.filter(device__in=recovery_of(user), token=hash_of(plain)).delete()
    return deleted == 1
