"""How long a request of the API waits for MongoDB: a primary that hangs costs nobody more than the deadline."""

from collections.abc import Callable

import pymongo
from django.conf import settings
from django.http import HttpRequest, HttpResponse


class DeadlineMiddleware:
    """Gives a request of the API POSTING_DEADLINE_SECONDS for all that it asks of MongoDB; past that it is a 503.

    Not one that moves money: it may commit for others, too, and has a deadline of its own for that (group_commit.py).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer."""
        path = request.path_info
        if not path.startswith("/api/") or (request.method == "POST" and path.startswith("/api/transactions")):
            return self.get_response(request)
        with pymongo.timeout(settings.POSTING_DEADLINE_SECONDS):
            return self.get_response(request)
