"""The second factor of staff: enrolment, ten recovery codes, and the door of the admin.

A session is past it when it names the device that its user has now. How a code is checked: users/second_factor.py.
"""

import secrets
from base64 import b32encode
from collections.abc import Callable

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_project.mongo import Unit, collection, run_transaction
from users import audit
from users.models import User
from users.second_factor import device_of, hash_of, recovery_of, step_of

RECOVERY_CODES = 10
ENROLMENT_SECONDS = 15 * 60  # from the picture to its code
SEAL = "office.second_factor.candidate"
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


def fresh_candidate(user: User) -> TOTPDevice:
    """A device for the user to enrol. It is stored once they have; until then only the form knows it, sealed."""
    return TOTPDevice(user=user, name="authenticator", confirmed=True)


def sealed(candidate: TOTPDevice) -> str:
    """The candidate for the form: signed, so that nobody is made to enrol a key that is not ours, or not theirs."""
    return signing.dumps([str(candidate.user_id), candidate.key], salt=SEAL)


def candidate_of(user: User, seal: str) -> TOTPDevice | None:
    """The candidate that was sealed for the user; None when it was not, or too long ago."""
    try:
        owner, key = signing.loads(seal, salt=SEAL, max_age=ENROLMENT_SECONDS)
    except signing.BadSignature:
        return None
    return TOTPDevice(user=user, name="authenticator", confirmed=True, key=key) if owner == str(user.pk) else None


def enrol(user: User, candidate: TOTPDevice, code: str) -> list[str] | None:
    """Make the candidate the user's device if `code` is its, in place of the one before; fresh recovery codes.

    One transaction with the entry in the audit log: nobody is left without the old one and the new one.
    """
    step = step_of(candidate, code)
    if step is None:
        return None
    candidate.last_t = step  # so that the code is good once

    def work(unit: Unit) -> list[str]:
        # Of two at once the later one finds this written, runs again, and takes the other's place.
        collection(User).update_one({"_id": user.pk}, {"$set": {"updated_at": timezone.now()}}, session=unit.session)
        before = "on" if device_of(user) else "off"
        TOTPDevice.objects.filter(user=user).delete()
        candidate.save(force_insert=True)
        audit.record(user, {"second factor": (before, "on, with a new device and new recovery codes")})
        return _fresh_codes(user)

    return run_transaction(work)


def renew_codes(user: User) -> list[str]:
    """Ten fresh recovery codes, which are shown once; those from before are void. It is logged, or not done."""

    def work(unit: Unit) -> list[str]:
        left, codes = codes_left(user), _fresh_codes(user)
        audit.record(user, {"recovery codes": (f"{left} left", f"{len(codes)} new ones")})
        return codes

    return run_transaction(work)


def _fresh_codes(user: User) -> list[str]:
    """Kept are hashes of them."""
    _forget_codes(user)
    device = StaticDevice.objects.create(user=user, name="recovery")
    codes = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=hash_of(code)) for code in codes)
    return ["-".join((code[:4], code[4:8], code[8:12], code[12:])) for code in codes]


def codes_left(user: User) -> int:
    """How many recovery codes were not used yet."""
    return StaticToken.objects.filter(device__in=recovery_of(user)).count()


def switch_off(user: User, *, record: Callable[..., None] = audit.record) -> bool:
    """Forget the device and the codes, and log it by `record`: both or neither. Whether there was a device."""

    def work(unit: Unit) -> bool:
        had_one = device_of(user) is not None
        TOTPDevice.objects.filter(user=user).delete()
        _forget_codes(user)
        record(user, {"second factor": ("on" if had_one else "off", "off")})
        return had_one

    return run_transaction(work)


def _forget_codes(user: User) -> None:
    devices = recovery_of(user)
    StaticToken.objects.filter(device__in=devices).delete()
    StaticDevice.objects.filter(pk__in=devices).delete()
