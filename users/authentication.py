"""Who is calling: DRF's side of access tokens. What a token is, and whether it still counts, is in tokens.py."""

import time
from functools import lru_cache
from types import MappingProxyType

from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from ledger_project.mongo import from_document
from users.models import User
from users.tokens import Claims, Token, TokenRefused, look_up
from users.verification import EmailNotVerified


class AuthenticatedRequest(Request):
    """A request that TokenAuthentication let in, as the views' types see it."""

    user: User
    auth: Claims


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <token>`: signed by us, not expired, not ended, its user there, active and verified."""

    accept_ended = False

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
        """The token's user. Raises AuthenticationFailed when it is gone or disabled, or the token or its session ended.

        Raises EmailNotVerified where that is a condition.
        """
        document, revoked = look_up(Token.read(validated_token))
        if document is None or not document["is_active"]:
            raise AuthenticationFailed(TokenRefused.message, code=TokenRefused.code)
        user = from_document(User, document)
        if self.accept_ended:
            return user
        if revoked:
            raise AuthenticationFailed(TokenRefused.message, code="token_revoked")
        if not user.is_verified:
            raise EmailNotVerified
        return user


@lru_cache(maxsize=10_000)
def _verified(raw_token: bytes) -> Claims:
    """The claims of a token that is signed by us. Raises TokenError.

    A signature stays what it is, so it is checked once a process: that was a fifth of a request's time. What may
    change, expiry, blacklist, session and user, is looked at every time.
    """
    return MappingProxyType(AccessToken(raw_token).payload)  # type: ignore[arg-type]


TOKENS = TokenAuthentication()


class LogoutAuthentication(TokenAuthentication):
    """The same, but a token that was logged out already may be logged out again."""

    accept_ended = True


def token_of(request: Request) -> Token:
    """The token of `request`, signed by us and not expired. Raises NotAuthenticated, AuthenticationFailed.

    Whether it still counts is for whoever carries the request out to ask: by `lookups` and `counting`.
    """
    header = TOKENS.get_header(request)
    raw_token = None if header is None else TOKENS.get_raw_token(header)
    if raw_token is None:
        raise NotAuthenticated
    return Token.read(TOKENS.get_validated_token(raw_token))
