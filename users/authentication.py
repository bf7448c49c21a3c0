"""Who is calling: access tokens, checked with one MongoDB round trip."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken, Token

from ledger_project.mongo import database, from_document
from users.models import BlacklistedToken, User


class AuthenticatedRequest(Request):
    """A request that TokenAuthentication let in, as the views' types see it."""

    user: User
    auth: Token


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <token>`: signed by us, not expired, not logged out, its user there and active."""

    accept_blacklisted = False

    def get_validated_token(self, raw_token: bytes) -> Token:
        """The token, or AuthenticationFailed in our words (simplejwt's answer lists its classes)."""
        try:
            return super().get_validated_token(raw_token)
        except AuthenticationFailed:
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_invalid") from None

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        """The token's user. Raises AuthenticationFailed when it is gone or disabled, or the token was logged out."""
        found = _user_and_blacklist(validated_token)
        if found is None or not found["is_active"]:
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_invalid")
        if found.pop("revoked") and not self.accept_blacklisted:
            raise AuthenticationFailed("Unauthorized access, token is invalid", code="token_revoked")
        return from_document(User, found)


class LogoutAuthentication(TokenAuthentication):
    """The same, but a token that was logged out already may be logged out again."""

    accept_blacklisted = True


def _user_and_blacklist(token: Token) -> dict[str, Any] | None:
    """The token's user with `revoked`, the blacklist rows of the token: one round trip, two look-ups by _id."""
    try:
        user_id = ObjectId(token["sub"])
        jti = str(token["jti"])
    except (KeyError, InvalidId, TypeError):
        return None
    pipeline: list[dict[str, Any]] = [
        {"$match": {"_id": user_id}},
        {
            "$lookup": {
                "from": BlacklistedToken._meta.db_table,
                "pipeline": [{"$match": {"_id": jti}}, {"$project": {"_id": 1}}],
                "as": "revoked",
            }
        },
    ]
    return next(iter(database()[User._meta.db_table].aggregate(pipeline)), None)


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
