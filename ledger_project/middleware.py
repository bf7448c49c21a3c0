"""Django's middleware for pages. Requests of the API pass it by: they have a token, and neither cookie nor session."""

from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import csrf


class _PagesOnly:
    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Straight on for the API, Django's way for all else."""
        if request.path_info.startswith("/api/"):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class SessionMiddleware(_PagesOnly, sessions.SessionMiddleware):
    """request.session."""


class CsrfViewMiddleware(_PagesOnly, csrf.CsrfViewMiddleware):
    """Forms with a token of ours, or none."""


class AuthenticationMiddleware(_PagesOnly, auth.AuthenticationMiddleware):
    """request.user, out of the session."""


class MessageMiddleware(_PagesOnly, messages.MessageMiddleware):
    """Words for the next page."""
