"""Who is calling: access tokens, checked with one MongoDB round trip."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from ledger_project.mongo import database, from_document
from users.models import BlacklistedToken, User

Claims = Mapping[str, Any]


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
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_invalid") from None
        if claims["exp"] <= time.time():
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_invalid")
        return claims

    def get_user(self, validated_token: Claims) -> User:  # type: ignore[override]
        """The token's user. Raises AuthenticationFailed when it is gone or disabled, or the token was logged out."""
        user, revoked = _user_and_blacklist(validated_token)
        if user is None or not user["is_active"]:
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_invalid")
        if revoked and not self.accept_blacklisted:
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_revoked")
        return from_document(User, user)


@lru_cache(maxsize=10_000)
def _verified(raw_token: bytes) -> Claims:
    """The claims of a token that is signed by us. Raises TokenError.

    A signature stays what it is, so it is checked once a process: that was a fifth of a request's time. What may
    change, expiry, blacklist and user, is looked at every time.
    """
    return MappingProxyType(AccessToken(raw_token).payload)  # type: ignore[arg-type]


class LogoutAuthentication(TokenAuthentication):
    """The same, but a token that was logged out already may be logged out again."""

    accept_blacklisted = True


def _user_and_blacklist(claims: Claims) -> tuple[dict[str, Any] | None, bool]:
    """The token's user, and whether the token is on the blacklist: one round trip, two look-ups by _id."""
    try:
        user_id = ObjectId(claims["sub"])
        jti = str(claims["jti"])
    except (KeyError, InvalidId, TypeError):
        return None, False
    both = database()[BlacklistedToken._meta.db_table].aggregate(
        [
            {"$match": {"_id": jti}},
            {"$project": {"_id": 1}},
            {"$unionWith": {"coll": User._meta.db_table, "pipeline": [{"$match": {"_id": user_id}}]}},
        ]
    )
    found = {document["_id"]: document for document in both}
    return found.get(user_id), jti in found


def issue_token(user: User) -> str:
    """A fresh access token for `user`."""
    return str(AccessToken.for_user(user))


def blacklist(request: AuthenticatedRequest) -> None:
    """Put the token that authenticated `request` on the blacklist until it expires. Doing it twice is doing it once."""
    token = request.auth
    database()[BlacklistedToken._meta.db_table].update_one(
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
