"""The door of the admin: who guesses passwords is locked out for a while. Counted in the cache, by axes."""

import logging
from functools import partial
from typing import Any

from axes.handlers.cache import AxesCacheHandler
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from redis import RedisError
from unfold.forms import AuthenticationForm

from users import audit
from users.managers import UserManager
from users.models import User

logger = logging.getLogger(__name__)


def username_of(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """The e-mail that somebody tries to enter with, in its one spelling."""
    given = (credentials or {}).get("username") or request.POST.get("username", "")
    return UserManager.normalize_email(given)


class LockoutHandler(AxesCacheHandler):
    """Axes' own, for a cache that may be away: then nobody is counted, and nobody locked out."""

    def is_allowed(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether this e-mail may be tried from this address."""
        return self._unless_away(True, super().is_allowed, request, credentials)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count a failure, and log it where the e-mail is that of a member of staff.

        Whoever is locked out is not logged any more, nor is anybody while nobody can be counted: the log only grows.
        """
        count = partial(super().user_login_failed, sender, credentials, request, **kwargs)
        self._unless_away(None, count)
        failures, most = getattr(request, "axes_failures_since_start", None) or 0, settings.AXES_FAILURE_LIMIT
        if request is not None and 0 < failures <= most:
            _log(username_of(request, credentials), locked_out=failures == most)

    def user_logged_in(self, *args: Any, **kwargs: Any) -> None:
        """Forget the failures before."""
        self._unless_away(None, super().user_logged_in, *args, **kwargs)

    @staticmethod
    def _unless_away(otherwise: Any, act: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except RedisError as error:
            logger.error("log-ins are not counted: %s", type(error).__name__)
            return otherwise


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
