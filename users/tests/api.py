"""What the tests of the API's log-ins share: one client for all of them, for a new one loads all the middleware."""

from collections.abc import Callable
from functools import partial

from rest_framework.test import APIClient

PASSWORD = "mango-harbour-92"
NEW_PASSWORD = "lantern-orchard-57"
CLIENT = APIClient(raise_request_exception=False)


class Bearer:
    """What a client with this token can do."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __getattr__(self, method: str) -> Callable:
        return partial(getattr(CLIENT, method), HTTP_AUTHORIZATION=f"Bearer {self._token}")


def log_in(user, password: str = PASSWORD, **more):
    """The answer to a log-in."""
    return CLIENT.post("/api/auth/login", {"email": user.email, "password": password} | more)


def refresh(token: str):
    """The answer to a refresh."""
    return CLIENT.post("/api/auth/refresh", {"refreshToken": token})


def counts(token: str) -> bool:
    """Whether the access token opens the door."""
    return Bearer(token).get("/api/auth/me").status_code == 200
