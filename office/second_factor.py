"""The second factor of staff: enrolment, ten recovery codes, and the door of the admin.

A session is past it when it names the device that its user has now. How a code is checked: users/second_factor.py.
"""

import secrets
from base64 import b32encode
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from users.models import User
from users.second_factor import device_of, hash_of, is_shown, recovery_of

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


def candidate_of(user: User) -> TOTPDevice:
    """The device that the user is about to enrol; the same one until they have."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).first() or TOTPDevice.objects.create(
        user=user, name="authenticator", confirmed=False
    )


def enrol(user: User, code: str) -> tuple[TOTPDevice, list[str]] | None:
    """Make the candidate the user's device, if `code` is its; the device and fresh recovery codes."""
    device = candidate_of(user)
    if not is_shown(device, code):
        return None
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    return device, renew_codes(user)


def renew_codes(user: User) -> list[str]:
    """Ten fresh recovery codes, which are shown once; those from before are void. Kept are hashes of them."""
    forget_codes(user)
    device = StaticDevice.objects.create(user=user, name="recovery")
    codes = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=hash_of(code)) for code in codes)
    return ["-".join((code[:4], code[4:8], code[8:12], code[12:])) for code in codes]


def codes_left(user: User) -> int:
    """How many recovery codes were not used yet."""
    return StaticToken.objects.filter(device__in=recovery_of(user)).count()


def switch_off(user: User) -> None:
    """Forget the device, the candidate and the codes."""
    TOTPDevice.objects.filter(user=user).delete()
    forget_codes(user)


def forget_codes(user: User) -> None:
    """Make the recovery codes void."""
    devices = recovery_of(user)
    StaticToken.objects.filter(device__in=devices).delete()
    StaticDevice.objects.filter(pk__in=devices).delete()
