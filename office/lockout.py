"""The door of the admin: who guesses passwords is locked out for a while. Counted in the cache, by axes."""

import logging
from typing import Any

from axes.handlers.cache import AxesCacheHandler
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from redis import RedisError
from unfold.forms import AuthenticationForm

from users.managers import UserManager

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

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        """Count a failure."""
        self._unless_away(None, super().user_login_failed, *args, **kwargs)

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


class LoginForm(AuthenticationForm):
    """Unfold's, with a word to whoever is locked out."""

    def get_invalid_login_error(self) -> ValidationError:
        """Why one does not get in."""
        if getattr(self.request, "axes_locked_out", False):
            minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
            return ValidationError(f"Too many failed attempts. Try again in {minutes} minutes.", code="locked_out")
        return super().get_invalid_login_error()
