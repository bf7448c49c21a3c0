"""The pages that are open to everybody: the landing page, the console, the OpenAPI document and Swagger UI."""

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from ledger_project import openapi
from ledger_project.endpoints import shared_parameters, shared_refusals, tags
from ledger_project.pages import SWAGGER_UI, render_page
from ledger_project.proofs import CLAIMS
from ledger_project.public import PublicPage

YAML, JSON = "application/yaml", "application/json"
# Newer name first; Accept's */* gets the first of all.
SCHEMA_TYPES = [YAML, "application/vnd.oai.openapi", JSON, "application/vnd.oai.openapi+json"]


class SchemaPage(PublicPage):
    """The OpenAPI document, out of memory."""

    def get(self, request: Request) -> HttpResponse:
        """As YAML or JSON: what `?format=` says, or what Accept likes better."""
        accepted = request._request.get_preferred_type(SCHEMA_TYPES) or YAML
        asked = request.query_params.get("format")
        media_type = {"yaml": YAML, "json": JSON}.get(asked or "", accepted)
        content = openapi.as_json() if "json" in media_type else openapi.as_yaml()
        return HttpResponse(content, content_type=media_type, headers={"Vary": "Accept"})


class DocsPage(PublicPage):
    """Swagger UI, from our own static files."""

    def get(self, request: Request) -> HttpResponse:
        """The page; docs.js tells Swagger UI where the document is."""
        return render_page(request._request, "docs.html", csp=SWAGGER_UI)


class LandingPage(PublicPage):
    """What this is, why to trust it, a form to try every endpoint, and the endpoints."""

    def get(self, request: Request) -> HttpResponse:
        """The page."""
        context = {
            "claims": CLAIMS,
            "tags": tags(),
            "shared_parameters": shared_parameters(),
            "shared_refusals": shared_refusals(),
            "demo": settings.DEMO,
        }
        return render_page(request._request, "landing.html", context)


class LinkPage(PublicPage):
    """What a link in an e-mail leads to; without the secret of one, it asks for the address to send one to."""

    shown = {
        "asks_password": True,
        "title": "Set a new password",
        "use_label": "Set it",
        "use_path": "/auth/password-reset/confirm",
        "ask_path": "/auth/password-reset",
    }

    def get(self, request: Request) -> HttpResponse:
        """The page; its script reads the secret, which the browser sends to nobody."""
        return render_page(request._request, "link.html", self.shown)


class VerificationPage(LinkPage):
    """The same, for the link that shows whose an e-mail is."""

    shown = {
        "asks_password": False,
        "title": "Confirm your e-mail",
        "use_label": "Confirm",
        "use_path": "/auth/verify-email",
        "ask_path": "/auth/verify-email/resend",
    }


class ConsolePage(PublicPage):
    """A customer's view, on the same API as everybody's."""

    def get(self, request: Request) -> HttpResponse:
        """The shell; the scripts fill it once somebody has logged in."""
        return render_page(
            request._request, "console.html", {"demo": settings.DEMO, "currency": settings.DEFAULT_CURRENCY}
        )
