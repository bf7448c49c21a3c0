"""How much anybody may ask for: each request takes permits from buckets of its user and of its address (ADR 0014).

The limits are settings.THROTTLES. Without Redis ordinary requests are let through uncounted; log-ins, registrations and
wrong passwords are then counted by each process for itself.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException

from ledger_project.buckets import Charge, MemoryBuckets, Policy, RedisBuckets, Standing
from ledger_project.errors import LedgerError
from ledger_project.problems import problem_response
from ledger_project.quick_redis import QuickRedis, RedisAway

# Probes are not refused: what asks them would take a busy process for a dead one. However many come, they cost a look a
# second (health.py).
EXEMPT = frozenset({"/healthz", "/healthz/", "/readyz", "/readyz/"})
# By the name of their address: what costs a password hash or an e-mail, and what counts it.
COSTLY = {
    **dict.fromkeys(("auth-login", "admin:login", "auth-password", "auth-reset"), "login"),
    **dict.fromkeys(("auth-register", "auth-ask-for-reset", "auth-ask-for-verification"), "register"),
}
CLOSED_WITHOUT_REDIS = frozenset({"login", "register", "mailbox", "account_failures", "address_failures"})

_standings: ContextVar[dict[str, Standing] | None] = ContextVar("standings", default=None)


class Throttled(LedgerError):
    """The caller has asked for more than its limits allow."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "throttled"
    message = "Too many requests. Repeat this one once the time in Retry-After is over."
    retryable = True
    retry_after_seconds: int | None = 1

    def __init__(self, wait_seconds: float = 1.0) -> None:
        super().__init__()
        self.retry_after_seconds = max(math.ceil(wait_seconds), 1)


class LoginLocked(Throttled):
    """Too many wrong passwords, for this e-mail or from this address; known and unknown e-mails are told the same."""

    code = "login_locked"
    message = "Too many failed attempts. Log in again once the time in Retry-After is over."


class ThrottleMiddleware:
    """Refuses what is over a limit before anything is done for it, and says in each answer how its buckets stand."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, with RateLimit and RateLimit-Policy."""
        if request.path_info in EXEMPT:
            return self.get_response(request)
        token = _standings.set({})
        try:
            response = self._refusal(request, _charges(request)) or self.get_response(request)
            _tell(response)
        finally:
            _standings.reset(token)
        return response

    def process_view(self, request: HttpRequest, view: Any, arguments: Any, names: Any) -> HttpResponse | None:
        """What costs a hash or an e-mail has a limit of its own; asked once Django knows who serves it."""
        match = request.resolver_match
        name = COSTLY.get(match.view_name) if match and request.method == "POST" else None
        return self._refusal(request, [Charge(policy(name), _place(request))]) if name else None

    @staticmethod
    def _refusal(request: HttpRequest, charges: list[Charge]) -> HttpResponse | None:
        try:
            spend(*charges)
        except Throttled as refused:
            return problem_response(request, refused)
        return None


def spend(*charges: Charge, refused: type[Throttled] = Throttled) -> None:
    """Take the permits of all `charges`, or raise `refused` and take none. One round trip to Redis at most.

    Two at once cannot take the same permit: the script that takes them is one step for Redis.
    """
    standings = _take(charges)
    if (told := _standings.get()) is not None:
        told.update((standing.policy.name, standing) for standing in standings)
    if wait := max((standing.wait for standing in standings), default=0.0):
        raise refused(wait)


def charge_user(user: ObjectId, *, items: int) -> None:
    """Take as many permits as a request of the user's has `items`, the request's own, which it has paid, among them.

    Raises Throttled. What is larger than a whole bucket, less what this process has leased from it, takes all of it.
    """
    user_policy = policy("user")
    cost = min(items, user_policy.quota - user_policy.lease + 1) - 1
    if cost > 0:
        spend(Charge(user_policy, str(user), cost))


def charge_mailbox(email: str) -> None:
    """Take a permit to write to this e-mail, whether or not anybody here has it. Raises Throttled."""
    spend(Charge(policy("mailbox"), _named(email)))


@contextmanager
def guess_of_password(*, email: str, request: HttpRequest, wrong: type[Exception]) -> Iterator[None]:
    """Around the look at a password: counts it as a failure unless it ends otherwise than by `wrong`.

    It is counted before the look, so guesses at once are no more than guesses one after the other. Success forgets the
    failures of the account. Raises LoginLocked.
    """
    account = Charge(policy("account_failures"), _named(email))
    place = Charge(policy("address_failures"), _place(request))
    spend(account, place, refused=LoginLocked)
    try:
        yield
    except wrong:
        raise
    except BaseException:
        spend(account._replace(cost=-1), place._replace(cost=-1))
        raise
    spend(account._replace(cost=-account.policy.quota), place._replace(cost=-1))


def _named(email: str) -> str:
    """What Redis knows an e-mail by."""
    return sha256(email.encode()).hexdigest()[:32]


def policy(name: str) -> Policy:
    """The policy of that name in settings.THROTTLES."""
    return _policy(name, settings.THROTTLES[name])


@cache
def _policy(name: str, limit: str) -> Policy:
    quota, window = map(int, limit.split("/"))
    return Policy(name, quota, window)


def _take(charges: Iterable[Charge]) -> list[Standing]:
    try:
        return _shared().take(list(charges))
    except RedisAway:
        closed = [charge for charge in charges if charge.policy.name in CLOSED_WITHOUT_REDIS]
        return _own.take(closed)


_own = MemoryBuckets()


@cache
def _shared() -> RedisBuckets:
    return RedisBuckets(QuickRedis(settings.REDIS_URL, timeout_seconds=settings.THROTTLE_REDIS_TIMEOUT_SECONDS))


def _charges(request: HttpRequest) -> list[Charge]:
    """What every request pays: its user and its address; without a token of ours its address, at a lower limit."""
    from users.authentication import token_of

    place = _place(request)
    try:
        user = token_of(request).user  # type: ignore[arg-type]  # it reads the headers only
    except APIException:
        return [Charge(policy("anonymous"), place)]
    return [Charge(policy("user"), str(user)), Charge(policy("address"), place)]


def _place(request: HttpRequest) -> str:
    """Where the request comes from; of IPv6 the /64, for that is what one household has."""
    from users.audit import address

    found = address(request) or "unknown"
    return str(ip_network((found.partition("%")[0], 64), strict=False)) if ":" in found else found


def _tell(response: HttpResponse) -> None:
    """Say in the headers how the buckets of this request stand (draft-ietf-httpapi-ratelimit-headers)."""
    told = [standing for name, standing in (_standings.get() or {}).items() if not name.endswith("_failures")]
    if told:
        response["RateLimit-Policy"] = ", ".join(f'"{p.name}";q={p.quota};w={p.window}' for p, *_ in told)
        response["RateLimit"] = ", ".join(
            f'"{standing.policy.name}";r={max(standing.left, 0)};t={math.ceil(standing.full_in)}' for standing in told
        )
