"""Who is calling: access tokens, checked with one MongoDB round trip, or with none of their own (ADR 0008)."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

from bson import ObjectId
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from ledger_project.errors import LedgerError
from ledger_project.mongo import Document, Unit, collection, database, from_document, run_transaction
from users import audit
from users.models import BlacklistedToken, Session, User

GENERATION = "gen"
Claims = Mapping[str, Any]
USERS, BLACKLIST = User._meta.db_table, BlacklistedToken._meta.db_table


class AuthenticatedRequest(Request):
    """A request that TokenAuthentication let in, as the views' types see it."""

    user: User
    auth: Claims


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <token>`: signed by us, not expired, not logged out, its user there and active."""

    accept_blacklisted = False

    def get_validated_token(self, raw_token: bytes) -> Claims:  # type: ignore[override]
        """The token's claims, or AuthenticationFailed in our words (simplejwt's answer lists its classes)."""
        try:
            claims = _verified(raw_token)
        except TokenError:
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code) from None
        if claims["exp"] <= time.time():
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code)
        return claims

    def get_user(self, validated_token: Claims) -> User:  # type: ignore[override]
        """The token's user. Raises AuthenticationFailed when it is gone or disabled, or the token was logged out."""
        token = Token.read(validated_token)
        user, revoked = _user_and_blacklist(token)
        if user is None or not user["is_active"]:
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code)
        revoked = revoked or token.generation != user.get("token_generation", 0)
        if revoked and not self.accept_blacklisted:
            raise AuthenticationFailed(TokenRefused.message, code="token_revoked")
        return from_document(User, user)


@lru_cache(maxsize=10_000)
def _verified(raw_token: bytes) -> Claims:
    """The claims of a token that is signed by us. Raises TokenError.

    A signature stays what it is, so it is checked once a process: that was a fifth of a request's time. What may
    change, expiry, blacklist and user, is looked at every time.
    """
    return MappingProxyType(AccessToken(raw_token).payload)  # type: ignore[arg-type]


TOKENS = TokenAuthentication()


class LogoutAuthentication(TokenAuthentication):
    """The same, but a token that was logged out already may be logged out again."""

    accept_blacklisted = True


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

    @classmethod
    def read(cls, claims: Claims) -> "Token":
        """The token with these claims. Raises AuthenticationFailed when they name no user or no token."""
        subject, jti = claims.get("sub"), claims.get("jti")
        if not (isinstance(subject, str) and ObjectId.is_valid(subject) and isinstance(jti, str)):
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code)
        return cls(ObjectId(subject), jti, claims.get(GENERATION, 0))


def token_of(request: Request) -> Token:
    """The token of `request`, signed by us and not expired. Raises NotAuthenticated, AuthenticationFailed.

    Whether it still counts is for whoever carries the request out to ask: by `lookups` and `counting`.
    """
    header = TOKENS.get_header(request)
    raw_token = None if header is None else TOKENS.get_raw_token(header)
    if raw_token is None:
        raise NotAuthenticated
    return Token.read(TOKENS.get_validated_token(raw_token))


def lookups(tokens: Collection[Token]) -> list[Document]:
    """Stages that join to a document the active `users` of these tokens, and which of the tokens are `revoked`."""
    users = {"_id": {"$in": [token.user for token in tokens]}, "is_active": True}
    revoked = {"_id": {"$in": [token.jti for token in tokens]}}
    return [
        {"$lookup": {"from": source, "pipeline": [{"$match": match}, {"$project": fields}], "as": name}}
        for source, match, fields, name in (
            (USERS, users, {"token_generation": {"$ifNull": ["$token_generation", 0]}}, "users"),
            (BLACKLIST, revoked, {"_id": 1}, "revoked"),
        )
    ]


def counting(tokens: Collection[Token], joined: Document) -> set[Token]:
    """Those of `tokens` that still count, by what `lookups` have joined to `joined`."""
    users = {(user["_id"], user["token_generation"]) for user in joined["users"]}
    revoked = {token["_id"] for token in joined["revoked"]}
    return {token for token in tokens if (token.user, token.generation) in users and token.jti not in revoked}


def _user_and_blacklist(token: Token) -> tuple[Document | None, bool]:
    """The token's user, and whether the token is on the blacklist: one round trip, two look-ups by _id."""
    both = database()[BLACKLIST].aggregate(
        [
            {"$match": {"_id": token.jti}},
            {"$project": {"_id": 1}},
            {"$unionWith": {"coll": USERS, "pipeline": [{"$match": {"_id": token.user}}]}},
        ]
    )
    found = {document["_id"]: document for document in both}
    return found.get(token.user), token.jti in found


def issue_token(user: User) -> str:
    """A fresh access token for `user`."""
    token = AccessToken.for_user(user)
    token[GENERATION] = user.token_generation
    return str(token)


def revoke_tokens(*, user: User, reason: str) -> None:
    """End every token and every staff session that `user` has, in one transaction with the word of it in the audit log.

    Tokens are not stored, so they cannot be listed: the user's generation is counted up, and they carry the one before.
    """

    def work(unit: Unit) -> None:
        collection(User).update_one({"_id": user.pk}, {"$inc": {"token_generation": 1}}, session=unit.session)
        ended = collection(Session).delete_many({"user": user.pk}, session=unit.session)
        audit.record(user, {"tokens": ("valid", "revoked"), "staff sessions": (ended.deleted_count, 0)}, reason=reason)

    run_transaction(work)


def blacklist(request: AuthenticatedRequest) -> None:
    """Put the token that authenticated `request` on the blacklist until it expires. Doing it twice is doing it once."""
    token = request.auth
    collection(BlacklistedToken).update_one(
        {"_id": str(token["jti"])},
        {
            "$setOnInsert": {
                "user": request.user.pk,
                "expires_at": datetime.fromtimestamp(token["exp"], UTC),
                "created_at": timezone.now(),
            }
        },
        upsert=True,
    )
