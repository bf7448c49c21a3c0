"""What the web servers under test say to the harness alone: by whose clock they live, and that each thread does.

Threads share a queue: of any number of calls, the one that hangs may get none. So a call that names a meeting goes on
only when as many as there are threads are in it at the same time.
"""

import time
from collections.abc import Callable
from threading import Barrier, BrokenBarrierError

from django.http import HttpRequest, HttpResponse, JsonResponse

from chaos.processes import CLOCK_HEADER, WEB_THREADS

HEADER = "X-Chaos-Meeting"
PATIENCE_SECONDS = 3


class EveryThread:
    """Middleware of the web servers under test. It tells their time, for granian's Date stands still when set back."""

    meetings: dict[str, Barrier] = {}

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The service's answer, or 503 when not every thread came in time."""
        if name := request.headers.get(HEADER):
            try:
                self.meetings.setdefault(name, Barrier(WEB_THREADS)).wait(PATIENCE_SECONDS)
            except BrokenBarrierError:
                return JsonResponse({"code": "threads_missing"}, status=503)
        response = self.get_response(request)
        response[CLOCK_HEADER] = str(time.time())
        return response
