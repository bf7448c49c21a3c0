"""The one place where an error becomes an answer: RFC 9457 problem+json, plus `message` and a stable `code`."""

import logging
import sys
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from pymongo.errors import PyMongoError
from rest_framework import exceptions
from rest_framework.response import Response

from ledger_project import jsonio
from ledger_project.errors import InternalError, LedgerError, Unavailable
from ledger_project.pages import render_page
from ledger_project.request_log import current_request_id

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
TYPE_BASE = "https://backend-ledger.example/problems/"


def problem(error: LedgerError, *, errors: list[dict] | None = None) -> dict[str, Any]:
    """The problem+json body of `error`; `errors` lists field errors as {field, code, message}."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + error.code,
        "title": HTTPStatus(error.status).phrase,
        "status": int(error.status),
        "detail": error.message,
        "message": error.message,
        "code": error.code,
        "retryable": error.retryable,
        "requestId": current_request_id(),
    }
    if errors is not None:
        body["errors"] = errors
    return body


def problem_of(raised: Exception) -> dict[str, Any]:
    """The body for `raised`, where it is one of several answers in one response."""
    error, field_errors, _ = _as_ledger_error(raised)
    return problem(error, errors=field_errors)


def exception_handler(raised: Exception, context: dict) -> Response:
    """DRF's hook: whatever a view raised becomes a problem+json answer; the unforeseen becomes an InternalError."""
    error, field_errors, headers = _as_ledger_error(raised)
    if isinstance(error, InternalError):
        logger.exception("unhandled error", exc_info=raised)
    elif isinstance(error, Unavailable):
        logger.error("unavailable: %s", type(raised).__name__)
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return Response(
        problem(error, errors=field_errors), status=error.status, headers=headers, content_type=PROBLEM_JSON
    )


def _as_ledger_error(raised: Exception) -> tuple[LedgerError, list[dict] | None, dict[str, str]]:
    if isinstance(raised, LedgerError):
        return raised, None, {}
    if isinstance(raised, Http404):
        return _named(HTTPStatus.NOT_FOUND, "not_found", "Not found"), None, {}
    if isinstance(raised, PermissionDenied):
        return _named(HTTPStatus.FORBIDDEN, "permission_denied", "Forbidden"), None, {}
    if isinstance(raised, SuspiciousOperation):  # more query parameters than Django reads, say
        return _named(HTTPStatus.BAD_REQUEST, "bad_request", "Bad request"), None, {}
    if isinstance(raised, exceptions.ValidationError):
        field_errors = _field_errors(raised)
        message = getattr(raised, "message", None) or field_errors[0]["message"]
        return _named(HTTPStatus.BAD_REQUEST, "invalid_request", message), field_errors, {}
    if isinstance(raised, exceptions.APIException):
        return _from_api_exception(raised)
    if isinstance(raised, (PyMongoError, DatabaseError)):
        return Unavailable(), None, {}
    return InternalError(), None, {}


def _from_api_exception(raised: exceptions.APIException) -> tuple[LedgerError, None, dict[str, str]]:
    headers = {}
    if auth_header := getattr(raised, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    detail: Any = raised.detail
    if isinstance(detail, dict):  # simplejwt wraps its messages
        detail = detail.get("detail") or raised.default_detail
    code = getattr(detail, "code", raised.default_code)
    error = _named(HTTPStatus(raised.status_code), str(code), str(detail))
    if wait := getattr(raised, "wait", None):
        error.retry_after_seconds, error.retryable = int(wait) + 1, True
    return error, None, headers


def _named(status: HTTPStatus, code: str, message: str) -> LedgerError:
    error = LedgerError(message)
    error.status, error.code = status, code
    return error


def _field_errors(raised: exceptions.ValidationError) -> list[dict]:
    """Flatten DRF's nested detail into rows of {field, code, message}; a nested field reads `transfers.3.amount`."""
    rows: list[dict] = []

    def walk(path: str, detail: Any) -> None:
        if isinstance(detail, dict):
            for name, inner in detail.items():
                step = "" if name == "non_field_errors" else str(name)
                walk(".".join(filter(None, (path, step))), inner)
        elif isinstance(detail, list):
            for inner in detail:
                walk(path, inner)
        else:
            rows.append({"field": path, "code": detail.code, "message": str(detail)})

    walk("", raised.detail)
    return rows


def problem_response(request: HttpRequest, error: LedgerError) -> HttpResponse:
    """The same answer for requests that never reach a DRF view; a page for staff, who read it in a browser."""
    if request.path_info.startswith("/admin/"):
        response = render_page(request, "problem.html", problem(error), status=error.status)
    else:
        response = HttpResponse(jsonio.dumps(problem(error)), status=error.status, content_type=PROBLEM_JSON)
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    return problem_response(request, _named(HTTPStatus.BAD_REQUEST, "bad_request", "Bad request"))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return problem_response(request, _named(HTTPStatus.FORBIDDEN, "permission_denied", "Forbidden"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    return problem_response(request, _named(HTTPStatus.NOT_FOUND, "not_found", "No such path"))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: a refusal of ours and a database that is away say so, anything else is a defect."""
    raised = sys.exc_info()[1]
    if isinstance(raised, LedgerError):
        return problem_response(request, raised)
    return problem_response(
        request, Unavailable() if isinstance(raised, (PyMongoError, DatabaseError)) else InternalError()
    )
