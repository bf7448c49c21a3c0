"""/api/auth/: register, log in, log out, who am I."""

from rest_framework import status, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from users.authentication import AuthenticatedRequest, LogoutAuthentication, TokenAuthentication, blacklist, issue_token
from users.models import User
from users.openapi import describe_auth
from users.registration import authenticate, register_user
from users.serializers import LoginRequest, MeAnswer, RegisterRequest, SessionAnswer


@describe_auth
class AuthViewSet(viewsets.ViewSet):
    """Sessions of API clients."""

    PUBLIC = frozenset({"register", "login"})

    def get_authenticators(self) -> list[BaseAuthentication]:
        """None where nobody is logged in yet; log-out also takes a token that was logged out before."""
        if self._is_public():
            return []
        return [LogoutAuthentication() if "logout" in self.action_map.values() else TokenAuthentication()]

    def get_permissions(self) -> list[BasePermission]:
        """Registration and log-in are open, whatever the method: a wrong one is told so, not asked for a token."""
        return [AllowAny() if self._is_public() else IsAuthenticated()]

    def _is_public(self) -> bool:
        return not self.PUBLIC.isdisjoint(self.action_map.values())

    @action(detail=False, methods=["post"])
    def register(self, request: Request) -> Response:
        """Register a user and log it in."""
        user = register_user(**RegisterRequest.read(request.data))
        return Response(_session(user), status=status.HTTP_201_CREATED)

    @action(detail=False, methods=["post"])
    def login(self, request: Request) -> Response:
        """Log in."""
        return Response(_session(authenticate(**LoginRequest.read(request.data))))

    @action(detail=False, methods=["post"])
    def logout(self, request: AuthenticatedRequest) -> Response:
        """Log out: this token is refused from now on."""
        blacklist(request)
        return Response({"message": "User logged out successfully"})

    @action(detail=False, methods=["get"])
    def me(self, request: AuthenticatedRequest) -> Response:
        """The user that the token belongs to."""
        return Response(MeAnswer.of({"user": request.user}))


def _session(user: User) -> dict:
    return SessionAnswer.of({"user": user, "token": issue_token(user)})
