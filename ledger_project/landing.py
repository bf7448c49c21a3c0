"""The pages that are open to everybody: the landing page, the OpenAPI document and Swagger UI."""

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.request import Request

from ledger_project import openapi
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
        return _page(request, "docs.html", {})


class LandingPage(PublicPage):
    """What this is, every endpoint, and a form to try one."""

    def get(self, request: Request) -> HttpResponse:
        """The page."""
        return _page(request, "landing.html", {"sections": sections()})


def _page(request: Request, template: str, context: dict[str, Any]) -> HttpResponse:
    django_request: HttpRequest = request._request
    return render(django_request, template, context)


@cache
def sections() -> list[dict[str, Any]]:
    """The operations of the OpenAPI document by tag, in the words of the template."""
    document = openapi.document()
    found = {tag["name"]: {**tag, "endpoints": []} for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            found[operation["tags"][0]]["endpoints"].append(_endpoint(document, method, path, operation))
    return list(found.values())


def _endpoint(document: dict, method: str, path: str, operation: dict) -> dict[str, Any]:
    parameters = [_resolve(document, parameter) for parameter in operation.get("parameters", [])]
    answers = [_answer(document, status, said) for status, said in operation["responses"].items()]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation["description"],
        "needs_token": {} not in operation["security"],
        "path_parameters": [p["name"] for p in parameters if p["in"] == "path"],
        "query_parameters": [p["name"] for p in parameters if p["in"] == "query"],
        "body": _example(operation.get("requestBody", {})),
        "answers": [a for a in answers if a["status"] < "400"],
        "refusals": [a for a in answers if a["status"] >= "400"],
    }


def _answer(document: dict, status: str, response: dict) -> dict[str, Any]:
    response = _resolve(document, response)
    examples = [
        example["value"] for content in response["content"].values() for example in content.get("examples", {}).values()
    ]
    return {
        "status": status,
        "description": response["description"],
        "example": _example(response),
        "problems": [example for example in examples if "code" in example],
    }


def _example(described: dict) -> str | None:
    """The first example of a body, as indented JSON."""
    for content in described.get("content", {}).values():
        for example in content.get("examples", {}).values():
            return json.dumps(example["value"], indent=2, ensure_ascii=False)
    return None


def _resolve(document: dict, described: dict) -> dict:
    """What `described` refers to, or itself."""
    found = described
    if reference := described.get("$ref"):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    return found
