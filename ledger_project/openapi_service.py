"""The operations of the OpenAPI document that are no viewset's: the service's health, and the document itself."""

from typing import Any

Schema = dict[str, Any]
SERVICE = "Service"


def _service(operation_id: str, summary: str, description: str, **responses: tuple[str, Schema]) -> Schema:
    """The path item of a plain view: GET, open to everybody; `responses` are (description, content) by `_status`."""
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "tags": [SERVICE],
            "security": [{}],
            "responses": {
                status.lstrip("_"): {"description": said, "content": content}
                for status, (said, content) in responses.items()
            },
        }
    }


def _json(schema: Schema, **examples: Any) -> Schema:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": {"schema": schema, "examples": named}}


def _readiness(*statuses: str) -> Schema:
    checks = {name: {"type": "string"} for name in ("mongodb", "migrations", "redis", "workers")}
    return {
        "type": "object",
        "required": ["status", "checks", "lastRoundTripSeconds"],
        "properties": {
            "status": {"type": "string", "enum": list(statuses)},
            "checks": {"type": "object", "required": list(checks), "properties": checks},
            "lastRoundTripSeconds": {
                "type": ["number", "null"],
                "description": "How long ago beat sent the newest message that came through the broker to a worker.",
            },
        },
    }


ALL_OK = {"mongodb": "ok", "migrations": "ok", "redis": "ok", "workers": "ok"}
ANY_DOCUMENT = {"type": "object", "additionalProperties": True}
SERVICE_PATHS = {
    "/healthz": _service(
        "getHealth",
        "Ask whether the process lives",
        "Answers without touching anything else.",
        _200=(
            "It is.",
            _json(
                {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
                alive={"status": "ok"},
            ),
        ),
    ),
    "/readyz": _service(
        "getReadiness",
        "Ask whether money can move",
        "The state of each part. Without Redis or workers the service is `degraded`, yet complete: e-mail waits.",
        _200=(
            "Money can move.",
            _json(
                _readiness("ok", "degraded"),
                ready={"status": "ok", "checks": ALL_OK, "lastRoundTripSeconds": 4.2},
                degraded={
                    "status": "degraded",
                    "checks": ALL_OK | {"workers": "down: none seen"},
                    "lastRoundTripSeconds": None,
                },
            ),
        ),
        _503=(
            "Money cannot move: MongoDB has no writable primary, or migrations are missing.",
            _json(
                _readiness("unavailable"),
                unavailable={
                    "status": "unavailable",
                    "checks": ALL_OK | {"mongodb": "down: ServerSelectionTimeoutError"},
                    "lastRoundTripSeconds": None,
                },
            ),
        ),
    ),
    "/api/schema/": _service(
        "getSchema",
        "This document",
        "OpenAPI 3.1, as YAML, or as JSON with `?format=json` or an `Accept` header that prefers it.",
        _200=("The document.", {"application/yaml": {"schema": ANY_DOCUMENT}, **_json(ANY_DOCUMENT)}),
    ),
    "/api/docs/": _service(
        "getDocs",
        "This document, to be read and tried",
        "Swagger UI; all of it is served from here.",
        _200=("A page.", {"text/html": {"schema": {"type": "string"}}}),
    ),
}
SERVICE_PATHS["/api/schema/"]["get"]["parameters"] = [
    {
        "name": "format",
        "in": "query",
        "description": "Goes before the Accept header.",
        "schema": {"type": "string", "enum": ["yaml", "json"]},
    }
]
