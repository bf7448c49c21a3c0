"""Bodies of requests: they say how long they are, and slow ones hold up half of a process's threads at most.

The web server hands a request over once its head is there. Reading the body then blocks a thread, for as long as the
client likes: the read cannot be interrupted, and the server has no time limit for it. See ADR 0014 for what is left.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Semaphore
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ledger_project.errors import LedgerError, Unavailable
from ledger_project.problems import problem_response

READERS = max(settings.WEB_THREADS // 2, 1)
PATIENCE_SECONDS = 0.5


class SlowBodies(Unavailable):
    """As many threads as may wait for bodies of requests do so."""

    code = "slow_bodies"
    message = "Too many requests are being sent too slowly. Repeat this one in a moment."


class LengthRequired(LedgerError):
    """The body comes in chunks, and nobody knows how many."""

    status = HTTPStatus.LENGTH_REQUIRED
    code = "length_required"
    message = "The request needs a Content-Length."


class LengthMiddleware:
    """Refuses chunked bodies: Django would take them for empty ones."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, or 411."""
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return problem_response(request, LengthRequired())
        return self.get_response(request)


def few_at_once(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """`application`, the bodies of its requests read as Body reads them."""

    def with_body(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"] = Body(environ["wsgi.input"])
        return application(environ, start_response)

    return with_body


class Body:
    """A request's body. Half of a process's threads may wait for one; who then finds no place soon gets SlowBodies.

    A body that came along with its head is there at once, so honest clients seldom meet each other here.
    """

    places = Semaphore(READERS)

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, *size: int) -> bytes:
        """At most `size` bytes. Raises SlowBodies."""
        with self._place():
            return self._stream.read(*size)

    def readline(self, *size: int) -> bytes:
        """One line. Raises SlowBodies."""
        with self._place():
            return self._stream.readline(*size)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self.places.acquire(timeout=PATIENCE_SECONDS):
            raise SlowBodies
        try:
            yield
        finally:
            self.places.release()
