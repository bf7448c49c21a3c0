"""Access tokens: issued here, ended here, and looked up in one question, wherever it is asked (ADR 0008, ADR 0013)."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

import pymongo
from bson import ObjectId
from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.tokens import AccessToken

from ledger_project.errors import LedgerError
from ledger_project.mongo import Document, Unit, collection, database, run_transaction
from users import audit
from users.models import ApiSession, BlacklistedToken, Session, User

GENERATION, SESSION, METHODS = "gen", "sid", "amr"
OTP = "otp"  # in METHODS (RFC 8176): a second factor was shown
Claims = Mapping[str, Any]
USERS, BLACKLIST, SESSIONS = (model._meta.db_table for model in (User, BlacklistedToken, ApiSession))


class TokenRefused(LedgerError):
    """The token does not count any more: its user is gone or disabled, or it was logged out or revoked."""

    status = HTTPStatus.UNAUTHORIZED
    code = "token_invalid"
    message = "Unauthorized access, token is invalid"


class Token(NamedTuple):
    """An access token that we signed and that has not expired."""

    user: ObjectId
    jti: str
    generation: int = 0  # the user's, when it was issued: its tokens are revoked by counting that up
    session: ObjectId | None = None  # it counts no longer than that is there

    @classmethod
    def read(cls, claims: Claims) -> "Token":
        """The token with these claims. Raises AuthenticationFailed when they name no user or no token."""
        subject, jti, session = claims.get("sub"), claims.get("jti"), claims.get(SESSION)
        if not (_is_id(subject) and isinstance(jti, str) and (session is None or _is_id(session))):
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code)
        return cls(ObjectId(subject), jti, claims.get(GENERATION, 0), ObjectId(session) if session else None)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and ObjectId.is_valid(value)


def issue_token(user: User, *, session: ObjectId | None = None, second_factor: bool = False) -> str:
    """A fresh access token for `user`; within a session it is a short one, for it can be refreshed."""
    token = AccessToken.for_user(user)
    token[GENERATION] = user.token_generation
    if session:
        token[SESSION] = str(session)
        token.set_exp(lifetime=timedelta(seconds=settings.SHORT_ACCESS_TOKEN_SECONDS))
    if second_factor:
        token[METHODS] = ["pwd", OTP]
    return str(token)


def shows_second_factor(claims: Claims) -> bool:
    """Whether the log-in that the token came of asked for a second factor, and got it."""
    return OTP in claims.get(METHODS, ())


# --- Whether a token still counts --------------------------------------------------------------------------------


def look_up(token: Token) -> tuple[Document | None, bool]:
    """The token's user, and whether the token was revoked: one round trip, a look-up by _id in each collection.

    Raises PyMongoError, at the deadline at the latest: requests that move money have none before they come to posting.
    """
    users = {"$unionWith": {"coll": USERS, "pipeline": [{"$match": {"_id": token.user}}]}}
    sessions = {"$unionWith": {"coll": SESSIONS, "pipeline": [{"$match": {"_id": token.session}}, ONLY_ID]}}
    stages = [{"$match": {"_id": token.jti}}, ONLY_ID, users, *([sessions] if token.session else ())]
    with pymongo.timeout(settings.POSTING_DEADLINE_SECONDS):
        found = {document["_id"]: document for document in database()[BLACKLIST].aggregate(stages)}
    user = found.get(token.user)
    ended = token.session is not None and token.session not in found
    stale = user is not None and token.generation != user.get("token_generation", 0)
    return user, token.jti in found or ended or stale


ONLY_ID: Document = {"$project": {"_id": 1}}


def lookups(tokens: Collection[Token]) -> list[Document]:
    """Stages that join to a document the `users` of these tokens who may act, and which of the tokens are `revoked`.

    Where there are tokens of sessions, also those of the `sessions` that have not ended.
    """
    generation = {"$project": {"token_generation": {"$ifNull": ["$token_generation", 0]}}}
    stages = [
        _join(USERS, {"_id": {"$in": [token.user for token in tokens]}, **_may_act()}, generation, "users"),
        _join(BLACKLIST, {"_id": {"$in": [token.jti for token in tokens]}}, ONLY_ID, "revoked"),
    ]
    if sessions := [token.session for token in tokens if token.session]:
        stages.append(_join(SESSIONS, {"_id": {"$in": sessions}}, ONLY_ID, "sessions"))
    return stages


def _join(source: str, match: Document, fields: Document, name: str) -> Document:
    return {"$lookup": {"from": source, "pipeline": [{"$match": match}, fields], "as": name}}


def _may_act() -> Document:
    """The filter that says of users in the database what `is_active` and `is_verified` say of a `User`."""
    if not settings.EMAIL_VERIFICATION_REQUIRED:
        return {"is_active": True}
    verified = {"$expr": {"$eq": ["$verified_email", "$email"]}}
    return {"is_active": True, "$or": [{"is_staff": True}, {"is_system": True}, verified]}


def counting(tokens: Collection[Token], joined: Document) -> set[Token]:
    """Those of `tokens` that still count, by what `lookups` have joined to `joined`."""
    users = {(user["_id"], user["token_generation"]) for user in joined["users"]}
    revoked = {token["_id"] for token in joined["revoked"]}
    sessions = {None, *(session["_id"] for session in joined.get("sessions", ()))}
    return {
        token
        for token in tokens
        if (token.user, token.generation) in users and token.jti not in revoked and token.session in sessions
    }


# --- Ending them -------------------------------------------------------------------------------------------------


def revoke_tokens(*, user: User, reason: str) -> None:
    """End every token and every session that `user` has, in one transaction with the word of it in the audit log."""
    run_transaction(lambda unit: revoke_tokens_in(unit, user=user, reason=reason))


def revoke_tokens_in(unit: Unit, *, user: User, reason: str) -> None:
    """The same in the transaction of `unit`, which holds why: a new password, say.

    Tokens are not stored, so they cannot be listed: the user's generation is counted up, and they carry the one before.
    """
    collection(User).update_one({"_id": user.pk}, {"$inc": {"token_generation": 1}}, session=unit.session)
    staff, api = end_sessions(unit, user.pk)
    ended = {"tokens": ("valid", "revoked"), "staff sessions": (staff, 0), "API sessions": (api, 0)}
    audit.record(user, ended, reason=reason)


def end_sessions(unit: Unit, user: ObjectId) -> tuple[int, int]:
    """End the user's sessions of the admin and of the API; how many there were of each.

    One that is begun at the same moment is no way around it, if the user's generation is counted up in the same unit:
    the session carries the one before.
    """
    staff, api = (
        collection(model).delete_many({"user": user}, session=unit.session).deleted_count
        for model in (Session, ApiSession)
    )
    return staff, api


def end_token(claims: Claims) -> None:
    """End a token: with its session, if it has one, else by itself. Doing it twice is doing it once.

    A token without a session goes on the blacklist until it expires.
    """
    token = Token.read(claims)
    if token.session:
        collection(ApiSession).delete_one({"_id": token.session})
        return
    row = {
        "user": token.user,
        "expires_at": datetime.fromtimestamp(claims["exp"], UTC),
        "created_at": timezone.now(),
    }
    collection(BlacklistedToken).update_one({"_id": token.jti}, {"$setOnInsert": row}, upsert=True)
