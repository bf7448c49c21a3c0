"""The OpenAPI document: the parts that every operation shares. Each app describes its own operations in its openapi.py.

The examples of refusals are what the exceptions themselves are answered with, so they cannot say something else.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import build_examples_list
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiRequest,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import exceptions, serializers

from ledger_project import jsonio
from ledger_project.bodies import LengthRequired
from ledger_project.errors import InternalError, LedgerError, Unavailable
from ledger_project.jsonio import PayloadTooLarge
from ledger_project.openapi_service import SERVICE, SERVICE_PATHS, Schema
from ledger_project.problems import PROBLEM_JSON, exception_handler, problem
from ledger_project.serializers import RequestSerializer
from ledger_project.throttles import Throttled

AUTHENTICATION, ACCOUNTS, TRANSACTIONS, _ = TAGS = ("Authentication", "Accounts", "Transactions", SERVICE)
REQUEST_ID = "9f1c2b7e4d5a4c0b8e3f6a7d1c2b3e4f"
OBJECT_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$", "examples": ["66f0c1b2a4e5d6f708192a3b"]}
METHODS = ("post", "get", "put", "patch", "delete")
# One registers before one logs in; everything else reads well in the order of its path.
READ_FIRST = ("register", "login", "refresh", "logout", "me")
IDS = {"accounts": "accountId", "auth": "sessionId"}
COLLECTIONS = ("/api/accounts/", "/api/transactions/")


class FieldProblem(serializers.Serializer):
    """What is wrong with one field."""

    field = serializers.CharField(help_text="Its name; empty when the body as a whole is meant.")
    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people.")


class Problem(serializers.Serializer):
    """Any answer that is not a success: RFC 9457, plus `message`, `code`, `retryable` and `requestId`."""

    type = serializers.CharField(help_text="A URI that names the kind of problem; it ends with the `code`.")
    title = serializers.CharField(help_text="The phrase of the HTTP status.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What went wrong, for people.")
    message = serializers.CharField(help_text="The same as `detail`.")
    code = serializers.CharField(help_text="What went wrong, for programs: it never changes.")
    retryable = serializers.BooleanField(help_text="Whether the same request may succeed later, unchanged.")
    requestId = serializers.CharField(help_text="The X-Request-Id of the answer: quote it when you ask for help.")
    errors = FieldProblem(  # type: ignore[assignment]  # named as in the answer, over a property of DRF's
        many=True, required=False, help_text="One row for each field that is wrong."
    )


def refusal(raised: Exception | type[Exception], name: str | None = None) -> OpenApiExample:
    """The answer to `raised`, as an example called `name` (its code when there is none)."""
    error = raised() if isinstance(raised, type) else raised
    # A LedgerError is not given to the handler, for that logs the unforeseen ones.
    body = problem(error) if isinstance(error, LedgerError) else exception_handler(error, {}).data
    return OpenApiExample(
        name or body["code"], value=body | {"requestId": REQUEST_ID}, media_type=PROBLEM_JSON, response_only=True
    )


def refusal_when(name: str, call: Callable[[], Any]) -> OpenApiExample:
    """The answer to what `call` raises; it must raise."""
    try:
        call()
    except (LedgerError, exceptions.APIException) as raised:
        return refusal(raised, name)
    raise AssertionError(f"{name} was not refused")


def answer(serializer: type[serializers.Serializer], description: str, **examples: Any) -> OpenApiResponse:
    """A success: its shape, and examples by name."""
    named = [OpenApiExample(name, value=value, response_only=True) for name, value in examples.items()]
    # The pages of lists are objects; without this a view's `list` would be described as answering an array of them.
    return OpenApiResponse(extend_schema_serializer(many=False)(serializer), description, examples=named)


def body(serializer: type[serializers.Serializer], **examples: Any) -> dict[str, OpenApiRequest]:
    """A request body: its shape, and examples by name."""
    named = [OpenApiExample(name, value=value, request_only=True) for name, value in examples.items()]
    return {"application/json": OpenApiRequest(serializer, examples=named)}


def operation(
    operation_id: str,
    *,
    tag: str,
    summary: str,
    description: str,
    answers: Mapping[Any, OpenApiResponse],  # by status, or (status, media type)
    refused: Sequence[OpenApiExample] = (),
    request: dict[str, OpenApiRequest] | None = None,
    parameters: Sequence[type[serializers.Serializer] | OpenApiParameter] = (),
    auth: list[dict] | None = None,
) -> Callable:
    """Describe one operation. What all have in common (401, 5xx, headers) is added by `add_what_is_shared`."""
    if request:
        refused = [*refused, *_unreadable_bodies()]
    return extend_schema(
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description=description,
        request=request,
        parameters=list(parameters),
        auth=auth,  # type: ignore[arg-type]  # its own annotation is too narrow
        responses={**answers, **_refusals(refused)},
    )


def _unreadable_bodies() -> list[OpenApiExample]:
    return [
        refusal_when("not_an_object", lambda: RequestSerializer.read([])),
        refusal(exceptions.ParseError("The request body is not valid JSON."), "not_json"),
    ]


def _refusals(examples: Sequence[OpenApiExample]) -> dict[tuple[int, str], OpenApiResponse]:
    by_status = defaultdict(list)
    for example in examples:
        by_status[example.value["status"]].append(example)
    return {
        (status, PROBLEM_JSON): OpenApiResponse(Problem, HTTPStatus(status).phrase, examples=found)
        for status, found in sorted(by_status.items())
    }


# --- Hooks of drf-spectacular, named in SPECTACULAR_SETTINGS -----------------------------------------------------


def reading_order(endpoint: tuple[str, str, str, Any]) -> tuple:
    """Sort key of an endpoint: the order in which one meets them."""
    path, _, method, _ = endpoint
    path = re.sub(r"{\w+}", "{}", path)  # one id is as good as another
    last = path.rstrip("/").rpartition("/")[2]
    return READ_FIRST.index(last) if last in READ_FIRST else len(READ_FIRST), path, METHODS.index(method.lower())


def tidy_paths(result: Schema, **_: Any) -> Schema:
    """Name the ids in paths as the contract does, and drop the optional slash behind all but the collections."""
    result["paths"] = {_tidy(path, item): item for path, item in result["paths"].items()}
    return result


def _tidy(path: str, item: Schema) -> str:
    """The contract's form of `path`; its parameter in `item` is renamed as well."""
    owner, brace, _ = path.partition("{")
    if brace:
        name = IDS.get(owner.split("/")[2], "transactionId")
        old = path[len(owner) + 1 : path.index("}")]
        path = path.replace(f"{{{old}}}", f"{{{name}}}")
        for described in item.values():
            _name_parameter(described["parameters"], old, name)
    return path if path in COLLECTIONS else path.rstrip("/")


def _name_parameter(parameters: list[Schema], old: str, name: str) -> None:
    for parameter in parameters:
        if parameter["in"] == "path" and parameter["name"] == old:
            parameter |= {"name": name, "description": "24 hex digits.", "schema": OBJECT_ID}


def drop_labels(result: Schema, **_: Any) -> Schema:
    """Leave out what DRF makes of a field's name for a form: " id" of `_id`."""
    for schema in result["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
    return result


def add_what_is_shared(result: Schema, **_: Any) -> Schema:
    """The answers and headers that belong to every operation, once, as components."""
    result["paths"] |= deepcopy(SERVICE_PATHS)  # what follows adds to them
    components = result["components"]
    components["headers"] = HEADERS
    components["parameters"] = {"RequestId": REQUEST_ID_PARAMETER}
    components["responses"] = {name: _shared_response(name) for name in SHARED}
    for path, described in _operations(result):
        for parameter in described.setdefault("parameters", []):
            if parameter["in"] == "query":
                parameter["allowEmptyValue"] = True  # `?status=` asks for what no `status` at all does
        described["parameters"].append({"$ref": "#/components/parameters/RequestId"})
        if path not in SERVICE_PATHS:
            _add_shared_responses(described)
        for status, response in described["responses"].items():
            if "$ref" not in response:
                response.setdefault("headers", {}).update(_headers_of(int(status)))
    return result


def _operations(result: Schema) -> Iterator[tuple[str, Schema]]:
    for path, item in result["paths"].items():
        for described in item.values():
            yield path, described


def _add_shared_responses(described: Schema) -> None:
    responses = described["responses"]
    needs_token = {} not in described["security"]
    for name, (status, _) in SHARED.items():
        applies = {401: needs_token, **dict.fromkeys((411, 413, 415), "requestBody" in described)}
        if applies.get(status, True):
            responses.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})
    described["responses"] = dict(sorted(responses.items()))


def _shared_response(name: str) -> Schema:
    status, raised = SHARED[name]
    examples = [refusal(error) for error in raised]
    headers = _headers_of(status)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WWW-Authenticate"}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": build_examples_list(examples),
            }
        },
    }


def _headers_of(status: int) -> Schema:
    names = ["X-Request-Id"]
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        names += ["Retry-After"]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        names += ["RateLimit", "RateLimit-Policy"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


UNAUTHORIZED = "Unauthorized access, token is invalid"
SHARED: dict[str, tuple[int, list[Exception]]] = {
    "Unauthorized": (
        401,
        [
            exceptions.NotAuthenticated(),
            exceptions.AuthenticationFailed(UNAUTHORIZED, code="token_invalid"),
            exceptions.AuthenticationFailed(UNAUTHORIZED, code="token_revoked"),
        ],
    ),
    "NotAcceptable": (406, [exceptions.NotAcceptable()]),
    "LengthRequired": (411, [LengthRequired()]),
    "PayloadTooLarge": (413, [PayloadTooLarge()]),
    "UnsupportedMediaType": (415, [exceptions.UnsupportedMediaType("text/plain")]),
    "Throttled": (429, [Throttled()]),
    "InternalError": (500, [InternalError()]),
    "Unavailable": (503, [Unavailable()]),
}
REQUEST_ID_SCHEMA = {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$", "examples": [REQUEST_ID]}
REQUEST_ID_PARAMETER = {
    "name": "X-Request-Id",
    "in": "header",
    "description": (
        "Your own id for this request: 8 to 64 letters, digits, dots, underscores or dashes. It comes back in the "
        "answer and stands in every line of our log. One that is written otherwise is replaced."
    ),
    "schema": {"type": "string", "examples": [REQUEST_ID]},
}
HEADERS = {
    "X-Request-Id": {
        "description": "The id of the request: yours, or a fresh one when you sent none that is acceptable.",
        "schema": REQUEST_ID_SCHEMA,
    },
    "Retry-After": {
        "description": "Repeat the same request after this many seconds.",
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
    "RateLimit": {
        "description": "How the limits stand that this request counts for: `r` requests are left, all in `t` seconds.",
        "schema": {"type": "string", "examples": ['"user";r=0;t=60, "address";r=119000;t=1']},
    },
    "RateLimit-Policy": {
        "description": "These limits: `q` requests at once, and as many again in the course of `w` seconds.",
        "schema": {"type": "string", "examples": ['"user";q=6000;w=60, "address";q=120000;w=60']},
    },
    "WWW-Authenticate": {
        "description": "The scheme to use: Bearer.",
        "schema": {"type": "string", "examples": ['Bearer realm="api"']},
    },
}


# --- The document, made once a process ---------------------------------------------------------------------------


@cache
def _generated() -> Schema:
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def as_yaml() -> bytes:
    """The document, byte for byte what `make schema` writes to docs/openapi.yaml."""
    return OpenApiYamlRenderer().render(_generated(), renderer_context={})


@cache
def as_json() -> bytes:
    """The document as JSON."""
    return jsonio.dumps(document())


@cache
def document() -> Schema:
    """The document as plain dicts and lists."""
    return json.loads(OpenApiJsonRenderer().render(_generated(), renderer_context={}))
