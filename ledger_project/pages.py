"""Pages for people: rendered with headers that let them load and run nothing but what we serve."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# `form-action 'none'`: our forms are sent by scripts. Should one not have loaded, no password ends up in an address.
STRICT = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
# Swagger UI draws its icons from data: addresses, and writes HTML itself.
SWAGGER_UI = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, status: int = 200, csp: str = STRICT
) -> HttpResponse:
    """The page, and the headers that Django's own middleware (nosniff, referrer, opener, frames) does not set."""
    response = render(request, template, context, status=status)
    response["Content-Security-Policy"] = csp
    response["Permissions-Policy"] = PERMISSIONS
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
