"""The second factor of staff: a code from an authenticator app (TOTP), or one of ten recovery codes.

A session is past it when it names the device that its user has now. A code is good once, and one attempt is made at a
time: both are held by conditional updates, for two requests may carry the same code at the same moment.
"""

import hmac
import secrets
import time
from base64 import b32encode
from collections.abc import Callable
from hashlib import sha256

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import hotp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from users.models import User

RECOVERY_CODES = 10
OPEN_TO_ALL = ("/admin/login/", "/admin/logout/", "/admin/jsi18n/", "/admin/second-factor/")


class SecondFactorMiddleware:
    """Lets staff past the door of the admin only with their second factor, if they have one or must."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The page, or the way to the second factor."""
        path = request.path_info  # `path` may begin with a prefix that the service is mounted under
        if path.startswith("/admin/") and not path.startswith(OPEN_TO_ALL):
            user = request.user
            if isinstance(user, User) and user.is_active and user.is_staff and (page := missing(request)):
                return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': request.get_full_path()})}")
        return self.get_response(request)


def missing(request: HttpRequest) -> str | None:
    """The page that a member of staff has to pass first; None when nothing is missing."""
    device = device_of(request.user)  # type: ignore[arg-type]
    if device is None:
        return "second-factor-enrol" if settings.SECOND_FACTOR_REQUIRED else None
    return None if is_past(request, device) else "second-factor"


def is_past(request: HttpRequest, device: TOTPDevice) -> bool:
    """Whether this session has shown `device`."""
    return request.session.get(DEVICE_ID_SESSION_KEY) == device.persistent_id


def let_past(request: HttpRequest, device: TOTPDevice) -> None:
    """Note in the session that it has shown `device`; under a new key, as at any rise in power."""
    request.session.cycle_key()
    request.session[DEVICE_ID_SESSION_KEY] = device.persistent_id


def device_of(user: User) -> TOTPDevice | None:
    """The user's device, if they have one."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def candidate_of(user: User) -> TOTPDevice:
    """The device that the user is about to enrol; the same one until they have."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).first() or TOTPDevice.objects.create(
        user=user, name="authenticator", confirmed=False
    )


def enrol(user: User, code: str) -> tuple[TOTPDevice, list[str]] | None:
    """Make the candidate the user's device, if `code` is its; the device and fresh recovery codes."""
    device = candidate_of(user)
    if not _is_shown(device, code):
        return None
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    return device, renew_codes(user)


def verify(user: User, code: str) -> TOTPDevice | None:
    """The user's device, if `code` is its current one or a recovery code that was not used; None otherwise."""
    device = device_of(user)
    if device is None:
        return None
    shown = _is_shown(device, code) if code.strip().isdigit() else _attempt(device) and _use_up(user, code)
    if not shown:
        return None
    TOTPDevice.objects.filter(pk=device.pk).update(throttling_failure_count=0, throttling_failure_timestamp=None)
    return device


def renew_codes(user: User) -> list[str]:
    """Ten fresh recovery codes, which are shown once; those from before are void. Kept are hashes of them."""
    forget_codes(user)
    device = StaticDevice.objects.create(user=user, name="recovery")
    codes = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_hash(code)) for code in codes)
    return ["-".join((code[:4], code[4:8], code[8:12], code[12:])) for code in codes]


def codes_left(user: User) -> int:
    """How many recovery codes were not used yet."""
    return StaticToken.objects.filter(device__in=_recovery(user)).count()


def switch_off(user: User) -> None:
    """Forget the device, the candidate and the codes."""
    TOTPDevice.objects.filter(user=user).delete()
    forget_codes(user)


def forget_codes(user: User) -> None:
    """Make the recovery codes void."""
    devices = _recovery(user)
    StaticToken.objects.filter(device__in=devices).delete()
    StaticDevice.objects.filter(pk__in=devices).delete()


def _recovery(user: User) -> list:
    return list(StaticDevice.objects.filter(user=user).values_list("pk", flat=True))


def _is_shown(device: TOTPDevice, code: str) -> bool:
    """Whether `code` is one of `device`, now, and for the first time."""
    if not _attempt(device):
        return False
    step = _step_of(device, "".join(code.split()))
    if step is None:
        return False
    used = TOTPDevice.objects.filter(pk=device.pk, last_t__lt=step).update(
        last_t=step, throttling_failure_count=0, throttling_failure_timestamp=None
    )
    return bool(used)


def _attempt(device: TOTPDevice) -> bool:
    """Take the one attempt that there is now: after each failure it takes twice as long until the next one."""
    allowed, _ = device.verify_is_allowed()
    return allowed and bool(
        TOTPDevice.objects.filter(pk=device.pk, throttling_failure_count=device.throttling_failure_count).update(
            throttling_failure_count=device.throttling_failure_count + 1, throttling_failure_timestamp=timezone.now()
        )
    )


def _step_of(device: TOTPDevice, code: str) -> int | None:
    """The time step that `code` belongs to: this one, or one to either side of it, for clocks differ."""
    now = int(time.time() - device.t0) // device.step
    for step in (now, now - device.tolerance, now + device.tolerance):
        expected = str(hotp(device.bin_key, step, device.digits)).zfill(device.digits)
        if hmac.compare_digest(expected.encode(), code.encode()):
            return step
    return None


def _use_up(user: User, code: str) -> bool:
    """Whether `code` was one of the recovery codes; it is none from now on."""
    plain = "".join(character for character in code.lower() if character.isalnum())
    deleted, _ = StaticToken.objects.filter(device__in=_recovery(user), token=_hash(plain)).delete()
    return deleted == 1


def _hash(code: str) -> str:
    """80 bits of SHA-256: as many as the code has, which is random."""
    return b32encode(sha256(code.encode()).digest()[:10]).decode().lower()
