"""The pages of the second factor, in the look of the admin: the question at the door, enrolment, recovery codes."""

import io

import segno
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from office import second_factor
from users import audit
from users.models import User
from users.second_factor import device_of, may_try, verify

WRONG = "That code is not right, or was used before. After a failure, wait a moment for the next try."
NOT_ITS_CODE = "That is no code of this secret. Enter the one that your app shows now."
TOO_LATE = "That took too long. Here is a fresh secret: scan it, then enter its code."


@never_cache
def challenge(request: HttpRequest) -> HttpResponse:
    """Ask for a code, and let past who has it."""
    user = _staff(request)
    if user is None:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if request.method == "POST":
        was_allowed = may_try(user)
        device = verify(user, request.POST.get("code", "")[:40])
        if device is not None:
            second_factor.let_past(request, device)
            return HttpResponseRedirect(_next(request))
        if was_allowed:  # the others are as many as anybody likes to send, and the log only grows
            audit.record(user, {"log-in": ("-", "failed at the second factor")})
        messages.error(request, WRONG)
    elif second_factor.missing(request) != "second-factor":
        return HttpResponseRedirect(_next(request))
    return _page(request, "challenge", "Two-factor log-in", next=_next(request))


@never_cache
def enrol(request: HttpRequest) -> HttpResponse:
    """Show the secret of a new device as a QR code; once a code of it comes back, it is the device.

    Each page has a secret of its own, which comes back with the code; nothing is stored to show it.
    """
    user = _staff(request)
    if user is None:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    _past_the_old_one(request)
    candidate = second_factor.candidate_of(user, request.POST.get("candidate", ""))
    if request.method == "POST":
        codes = second_factor.enrol(user, candidate, request.POST.get("code", "")[:40]) if candidate else None
        if candidate and codes:
            second_factor.let_past(request, candidate)
            return _page(request, "codes", "Recovery codes", codes=codes, next=_next(request))
        messages.error(request, NOT_ITS_CODE if candidate else TOO_LATE)
    candidate = candidate or second_factor.fresh_candidate(user)
    address = candidate.config_url
    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="svg", scale=5, border=2, xmldecl=False, svgns=True)
    return _page(
        request,
        "enrol",
        "Two-factor log-in",
        picture=mark_safe(picture.getvalue().decode()),  # noqa: S308  (drawn here, from numbers)  # nosec B703
        secret=address.partition("secret=")[2].partition("&")[0],
        candidate=second_factor.sealed(candidate),
        next=_next(request),
    )


@never_cache
def manage(request: HttpRequest) -> HttpResponse:
    """What one's second factor is, and what can be done about it."""
    user = _staff(request)
    if user is None:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    _past_the_old_one(request)
    return _page(
        request,
        "manage",
        "Two-factor log-in",
        device=device_of(user),
        codes_left=second_factor.codes_left(user),
        required=settings.SECOND_FACTOR_REQUIRED,
    )


@never_cache
@require_POST
def new_codes(request: HttpRequest) -> HttpResponse:
    """Fresh recovery codes, shown once."""
    codes = second_factor.renew_codes(_past_with_device(request))
    return _page(request, "codes", "Recovery codes", codes=codes, next=reverse("second-factor-manage"))


@require_POST
def switch_off(request: HttpRequest) -> HttpResponse:
    """Do without, where that is allowed."""
    user = _past_with_device(request)
    if settings.SECOND_FACTOR_REQUIRED:
        raise PermissionDenied
    second_factor.switch_off(user)
    messages.success(request, "Your second factor is switched off.")
    return HttpResponseRedirect(reverse("second-factor-manage"))


def _staff(request: HttpRequest) -> User | None:
    """Who is asking, if it is a member of staff."""
    user = request.user
    return user if isinstance(user, User) and user.is_active and user.is_staff else None


def _past_the_old_one(request: HttpRequest) -> None:
    """Nobody replaces or sees a second factor that they have not shown. Raises PermissionDenied."""
    if second_factor.missing(request) == "second-factor":
        raise PermissionDenied


def _past_with_device(request: HttpRequest) -> User:
    user = _staff(request)
    device = device_of(user) if user else None
    if user is None or device is None or not second_factor.is_past(request, device):
        raise PermissionDenied
    return user


def _next(request: HttpRequest) -> str:
    """Where the visitor wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_here else reverse("admin:index")


def _page(request: HttpRequest, name: str, title: str, **context: object) -> HttpResponse:
    shared = {**admin.site.each_context(request), "title": title}
    return render(request, f"office/second_factor/{name}.html", {**shared, **context})
