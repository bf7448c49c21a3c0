"""The operations of the OpenAPI document in the words of the landing page, so that the page cannot go stale."""

import json
import re
from functools import cache
from typing import Any

from django.utils.html import escape
from django.utils.safestring import mark_safe

from ledger_project import openapi

Described = dict[str, Any]


@cache
def tags() -> list[Described]:
    """The tags of the document, each with its `endpoints`."""
    document = openapi.document()
    found = {tag["name"]: {**tag, "endpoints": []} for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            found[operation["tags"][0]]["endpoints"].append(_endpoint(method, path, operation))
    return list(found.values())


@cache
def shared_parameters() -> list[Described]:
    """What any endpoint takes besides what it says itself."""
    shared = openapi.document()["components"]["parameters"].values()
    return [{"name": parameter["name"], "description": _prose(parameter["description"])} for parameter in shared]


@cache
def shared_refusals() -> list[Described]:
    """What any endpoint may answer besides what it says itself."""
    shared = openapi.document()["components"]["responses"].values()
    return [problem for response in shared for problem in _problems(response)]


def _endpoint(method: str, path: str, operation: Described) -> Described:
    responses = operation["responses"]
    body = operation.get("requestBody", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": _prose(operation["description"]),
        "needs_token": {} not in operation["security"],
        "fields": sorted([*map(_parameter, operation.get("parameters", [])), *_properties(body)], key=_place),
        "body": _example(body),
        "answers": [_answer(status, said) for status, said in responses.items() if status < "400"],
        "refusals": [problem for said in responses.values() if "$ref" not in said for problem in _problems(said)],
        "refused_with": [status for status in responses if status >= "400"],
    }


def _parameter(described: Described) -> Described:
    """One that is a reference is shared by all endpoints, and the page explains it once."""
    parameter = _resolved(described)
    required, description = parameter.get("required", False), parameter.get("description", "")
    if "$ref" in described:
        description = ""
    return _field(parameter["name"], parameter["in"], parameter["schema"], required, description)


def _place(field: Described) -> int:
    return ("path", "body", "query", "header").index(field["place"])


def _properties(body: Described) -> list[Described]:
    """The properties of the body, those of its example first and in that order: it is how one would write it."""
    schema = _resolved(body.get("content", {}).get("application/json", {}).get("schema", {}))
    properties, required = schema.get("properties", {}), schema.get("required", ())
    names = dict.fromkeys([*json.loads(_example(body) or "{}"), *properties])
    return [_field(name, "body", properties[name], name in required) for name in names]


def _field(name: str, place: str, described: Described, required: bool, description: str | None = None) -> Described:
    """One input of the form; `kind` says what can be put in."""
    schema = _resolved(described)
    return {
        "name": name,
        "place": place,
        "kind": _kind(schema),
        "required": required,
        "description": _prose(schema.get("description", "") if description is None else description),
        "choices": schema.get("enum", ()),
        "default": schema.get("default"),
        "limits": {limit: schema[limit] for limit in ("minimum", "maximum", "maxLength") if limit in schema},
    }


def _prose(text: str) -> str:
    """Markdown's `code` as HTML, the only part of it that the descriptions use."""
    return mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308  (escaped)  # nosec B703


def _kind(schema: Described) -> str:
    if "anyOf" in schema:
        return "amount" if {"type": "number"}.items() <= schema["anyOf"][0].items() else "string"
    if schema.get("type") in ("array", "object"):
        return "json"
    if "[0-9a-f" in schema.get("pattern", "") and "{24}" in schema["pattern"]:
        return "id"
    return {"int64": "integer"}.get(schema.get("format", ""), schema.get("format")) or schema.get("type", "string")


def _answer(status: str, described: Described) -> Described:
    response = _resolved(described)
    return {"status": status, "description": response["description"], "example": _example(response)}


def _problems(response: Described) -> list[Described]:
    """The problems in the examples of an answer."""
    examples = [example for said in response["content"].values() for example in said.get("examples", {}).values()]
    return [example["value"] for example in examples if "code" in example["value"]]


def _example(described: Described) -> str | None:
    """The first example of a body, as indented JSON."""
    for content in described.get("content", {}).values():
        for example in content.get("examples", {}).values():
            value = example["value"]
            return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return None


def _resolved(described: Described) -> Described:
    """What `described` refers to, or itself."""
    found = described
    if reference := described.get("$ref"):
        found = openapi.document()
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    return found
