"""A request id for every request: in each log line, in each error body, and back in the X-Request-Id header."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse

logger = logging.getLogger("ledger.request")

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def current_request_id() -> str:
    """The id of the request this thread is serving, or "-" outside one."""
    return _request_id.get()


class RequestIdFilter(logging.Filter):
    """Put the current request id on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        return True


class RequestLogMiddleware:
    """Name the request, time it, and log one line about it: method, path, status, milliseconds; no query, no body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if _ACCEPTABLE.fullmatch(sent) else uuid.uuid4().hex
        token = _request_id.set(request_id)
        begin = time.perf_counter()
        try:
            response = self.get_response(request)
            elapsed_ms = (time.perf_counter() - begin) * 1000
            path = quote(request.path, errors="replace")  # a line break in the path must not begin a line of the log
            logger.info("%s %s %d %.1fms", request.method, path, response.status_code, elapsed_ms)
        finally:
            _request_id.reset(token)
        response["X-Request-Id"] = request_id
        return response
