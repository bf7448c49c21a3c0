"""Headers that every answer carries; whoever sets one of them is not overruled."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from ledger_project.pages import PERMISSIONS, STRICT

# The admin's theme runs scripts inside its pages (Alpine) and has them make functions of strings.
ADMIN = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)
NOTHING = "default-src 'none'; frame-ancestors 'none'"


class HeadersMiddleware:
    """What a browser may do with an answer: run our own files only, keep no answer of the API, use no device."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer with its headers."""
        response = self.get_response(request)
        path = request.path_info
        if path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.setdefault("Content-Security-Policy", NOTHING)
        else:
            response.headers.setdefault("Content-Security-Policy", ADMIN if path.startswith("/admin") else STRICT)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response
