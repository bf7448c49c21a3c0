"""The door of the admin: who guesses passwords is locked out for a while. Counted in the cache, by axes (ADR 0014)."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from axes.handlers.cache import AxesCacheHandler
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from redis import RedisError
from unfold.forms import AuthenticationForm

from ledger_project.buckets import Charge, MemoryBuckets
from ledger_project.throttles import policy
from users import audit
from users.managers import UserManager
from users.models import User

logger = logging.getLogger(__name__)


def username_of(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """The e-mail that somebody tries to enter with, in its one spelling."""
    given = (credentials or {}).get("username") or request.POST.get("username", "")
    return UserManager.normalize_email(given)


class LockoutHandler(AxesCacheHandler):
    """Axes' own. While its cache is away this process counts for itself: a guess is paid before it is looked at."""

    own = MemoryBuckets()

    def is_allowed(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether this e-mail may be tried from this address; asked once for each guess."""
        try:
            return super().is_allowed(request, credentials)
        except RedisError as error:
            _report(error)
            (standing,) = self.own.take([_guess(request, credentials)])
            request.axes_locked_out = standing.wait > 0  # type: ignore[attr-defined]  # what the form is told by
            return not standing.wait

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count a failure, and log it where the e-mail is that of a member of staff.

        Whoever is locked out is not logged any more, nor is anybody while the cache is away: the log only grows.
        """
        _unless_away(partial(super().user_login_failed, sender, credentials, request, **kwargs))
        failures, most = getattr(request, "axes_failures_since_start", None) or 0, settings.AXES_FAILURE_LIMIT
        if request is not None and 0 < failures <= most:
            _log(username_of(request, credentials), locked_out=failures == most)

    def user_logged_in(self, sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
        """Forget the failures before."""
        guess = _guess(request)
        self.own.take([guess._replace(cost=-guess.policy.quota)])
        _unless_away(partial(super().user_logged_in, sender, request, user, **kwargs))


def _guess(request: HttpRequest, credentials: dict[str, Any] | None = None) -> Charge:
    """What a guess costs whom: as with the cache, the e-mail at the address."""
    return Charge(policy("account_failures"), f"{username_of(request, credentials)} from {audit.address(request)}")


def _unless_away(act: Callable[[], None]) -> None:
    try:
        act()
    except RedisError as error:
        _report(error)


def _report(error: RedisError) -> None:
    logger.error("log-ins are counted by this process alone: %s", type(error).__name__)


def _log(email: str, *, locked_out: bool) -> None:
    staff = User.objects.filter(email=email, is_staff=True).first()
    if staff is not None:
        audit.record(staff, {"log-in": ("-", "failed, and locked out" if locked_out else "failed")})


class LoginForm(AuthenticationForm):
    """Unfold's, with a word to whoever is locked out."""

    def get_invalid_login_error(self) -> ValidationError:
        """Why one does not get in."""
        if getattr(self.request, "axes_locked_out", False):
            minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
            return ValidationError(f"Too many failed attempts. Try again in {minutes} minutes.", code="locked_out")
        return super().get_invalid_login_error()
