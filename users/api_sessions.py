"""Log-ins of the API that can be refreshed: short access tokens, and one refresh token at a time (ADR 0013)."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_network
from typing import NamedTuple

from bson import ObjectId
from django.http import HttpRequest
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from ledger_project.errors import LedgerError
from ledger_project.mongo import collection, from_document
from users import audit
from users.models import ApiSession, User
from users.tokens import SESSION, issue_token

logger = logging.getLogger(__name__)

SHOWN = 100
NETWORK_BITS = {4: 24, 6: 48}


class RefreshRefused(LedgerError):
    """The refresh token is none of ours, has expired, was used before, or its session or user has ended."""

    status = HTTPStatus.UNAUTHORIZED
    code = "refresh_token_invalid"
    message = "The refresh token does not count any more; log in again"


class SessionNotFound(LedgerError):
    """The caller has no such session, or it has ended."""

    status = HTTPStatus.NOT_FOUND
    code = "session_not_found"
    message = "Session not found"


class Device(NamedTuple):
    """What a request tells of where it comes from: enough to know one's own devices by."""

    user_agent: str
    address: str

    @classmethod
    def of(cls, request: HttpRequest) -> "Device":
        """The beginning of its user agent, and the network of its address."""
        return cls(request.headers.get("User-Agent", "")[:200], _network(audit.address(request) or ""))


def _network(address: str) -> str:
    with suppress(ValueError):
        bits = NETWORK_BITS[ip_network(address).version]
        return str(ip_network(f"{address}/{bits}", strict=False))
    return ""


class Tokens(NamedTuple):
    """What a log-in gives; a refresh token only where one was asked for."""

    access: str
    refresh: str | None = None


def begin(*, user: User, device: Device, second_factor: bool = False) -> Tokens:
    """Begin a session for `user`, who has just shown who they are."""
    session = ObjectId()
    raw, expires_at = _refresh_token(user, session)
    now = timezone.now()
    ApiSession(
        pk=session,
        user_id=user.pk,
        refresh_hash=_hash(raw),
        generation=user.token_generation,
        second_factor=second_factor,
        created_at=now,
        used_at=now,
        expires_at=expires_at,
        **device._asdict(),
    ).save(force_insert=True)
    return Tokens(issue_token(user, session=session, second_factor=second_factor), raw)


def refresh(raw: str, *, device: Device) -> tuple[User, Tokens]:
    """Exchange a refresh token for a fresh pair; the user whose they are. Raises RefreshRefused.

    The update on the current hash is the lock: of two at once one gets through. Whoever comes with another token of
    the session shows that two have it, the user and a thief, and nobody knows which is which: the session ends. If the
    answer is lost, the client has to log in again.
    """
    user_id, session = _read(raw)
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        raise RefreshRefused
    fresh, expires_at = _refresh_token(user, session)
    document = collection(ApiSession).find_one_and_update(
        {"_id": session, "user": user.pk, "generation": user.token_generation, "refresh_hash": _hash(raw)},
        {
            "$set": {
                "refresh_hash": _hash(fresh),
                "used_at": timezone.now(),
                "expires_at": expires_at,
                **device._asdict(),
            },
            "$inc": {"rotations": 1},
        },
    )
    if document is None:
        if collection(ApiSession).delete_one({"_id": session}).deleted_count:
            logger.warning("session %s of user %s ended: its refresh token came twice", session, user_id)
        raise RefreshRefused
    second_factor = from_document(ApiSession, document).second_factor
    return user, Tokens(issue_token(user, session=session, second_factor=second_factor), fresh)


def sessions_of(user: User, *, current: ObjectId | None) -> list[ApiSession]:
    """The user's sessions that have not ended, the last used first, a hundred at most; `current` is the caller's."""
    lasting = ApiSession.objects.filter(user=user, generation=user.token_generation, expires_at__gt=timezone.now())
    found = list(lasting.order_by("-used_at")[:SHOWN])
    for session in found:
        session.is_current = session.pk == current
    return found


def end(*, user: User, session: str) -> None:
    """End one of the user's sessions, and its tokens at once. Raises SessionNotFound."""
    ended = ObjectId.is_valid(session) and collection(ApiSession).delete_one(
        {"_id": ObjectId(session), "user": user.pk}
    )
    if not ended or not ended.deleted_count:
        raise SessionNotFound


def _refresh_token(user: User, session: ObjectId) -> tuple[str, datetime]:
    """A fresh refresh token of the session, and when it expires. Signed: nobody ends a session by guessing its id."""
    token = RefreshToken.for_user(user)
    token[SESSION] = str(session)
    return str(token), timezone.now() + timedelta(seconds=token["exp"] - token["iat"])


def _read(raw: str) -> tuple[ObjectId, ObjectId]:
    """The user and the session of a refresh token that we signed and that has not expired. Raises RefreshRefused."""
    try:
        claims = RefreshToken(raw).payload  # type: ignore[arg-type]
        return ObjectId(claims["sub"]), ObjectId(claims[SESSION])
    except (TokenError, KeyError):
        raise RefreshRefused from None


def _hash(raw: str) -> str:
    return sha256(raw.encode()).hexdigest()
