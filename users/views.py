"""/api/auth/: register, log in, refresh, log out; who and where am I; passwords, and whose an e-mail is."""

from rest_framework import status, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ledger_project.throttles import charge_mailbox, guess_of_password
from users import api_sessions, second_factor
from users.api_sessions import Device, Tokens
from users.authentication import AuthenticatedRequest, LogoutAuthentication, TokenAuthentication
from users.managers import UserManager
from users.models import User
from users.openapi import describe_auth, describe_destroy_all, describe_sessions
from users.passwords import WrongPassword, ask_for_reset, change_password, reset_password
from users.registration import WrongCredentials, authenticate, register_user
from users.serializers import (
    EmailRequest,
    LinkRequest,
    LoginRequest,
    MeAnswer,
    PasswordRequest,
    RefreshRequest,
    RegisterRequest,
    ResetRequest,
    SessionAnswer,
    SessionsAnswer,
)
from users.tokens import Token, end_token, issue_token, revoke_tokens, shows_second_factor
from users.verification import ask_for_verification, verify_email

ON_ITS_WAY = "If somebody has this e-mail here, a message is on its way to them"


@describe_auth
class AuthViewSet(viewsets.ViewSet):
    """Sessions of API clients."""

    PUBLIC = frozenset({"register", "login", "refresh", "ask_for_reset", "reset", "ask_for_verification", "verify"})

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
        asked = RegisterRequest.read(request.data)
        refresh = asked.pop("refresh")
        user = register_user(**asked)
        return Response(_logged_in(request, user, refresh=refresh), status=status.HTTP_201_CREATED)

    @action(detail=False, methods=["post"])
    def login(self, request: Request) -> Response:
        """Log in."""
        asked = LoginRequest.read(request.data)
        email = UserManager.normalize_email(asked["email"])
        with guess_of_password(email=email, request=request._request, wrong=WrongCredentials):
            user = authenticate(email=email, password=asked["password"])
        shown = second_factor.pass_with(user, asked.get("otp"))
        return Response(_logged_in(request, user, refresh=asked["refresh"], second_factor=shown))

    @action(detail=False, methods=["post"])
    def refresh(self, request: Request) -> Response:
        """Exchange a refresh token for a fresh pair of tokens."""
        raw = RefreshRequest.read(request.data)["refreshToken"]
        user, tokens = api_sessions.refresh(raw, device=Device.of(request))
        return Response(_session(user, tokens))

    @action(detail=False, methods=["post"])
    def logout(self, request: AuthenticatedRequest) -> Response:
        """Log out: this token, and the session that it belongs to, are refused from now on."""
        end_token(request.auth)
        return Response({"message": "User logged out successfully"})

    @action(detail=False, methods=["get"])
    def me(self, request: AuthenticatedRequest) -> Response:
        """The user that the token belongs to."""
        return Response(MeAnswer.of({"user": request.user}))

    @action(detail=False, methods=["post"])
    def password(self, request: AuthenticatedRequest) -> Response:
        """Change one's password, which ends everything else that was begun with the old one."""
        asked = PasswordRequest.read(request.data)
        with guess_of_password(email=request.user.email, request=request._request, wrong=WrongPassword):
            user = change_password(user=request.user, current=asked["currentPassword"], new=asked["newPassword"])
        shown = shows_second_factor(request.auth)
        return Response(_logged_in(request, user, refresh=asked["refresh"], second_factor=shown))

    @action(detail=False, methods=["post"], url_path="password-reset")
    def ask_for_reset(self, request: Request) -> Response:
        """Ask for a link that sets a new password."""
        ask_for_reset(_mailbox(request))
        return Response({"message": ON_ITS_WAY}, status=status.HTTP_202_ACCEPTED)

    @action(detail=False, methods=["post"], url_path="password-reset/confirm")
    def reset(self, request: Request) -> Response:
        """Set a new password by such a link."""
        asked = ResetRequest.read(request.data)
        reset_password(secret=asked["token"], new=asked["newPassword"])
        return Response({"message": "Your new password is set"})

    @action(detail=False, methods=["post"], url_path="verify-email")
    def verify(self, request: Request) -> Response:
        """Show that an e-mail is one's own."""
        verify_email(LinkRequest.read(request.data)["token"])
        return Response({"message": "Your e-mail is confirmed"})

    @action(detail=False, methods=["post"], url_path="verify-email/resend")
    def ask_for_verification(self, request: Request) -> Response:
        """Ask for the link that does so."""
        ask_for_verification(_mailbox(request))
        return Response({"message": ON_ITS_WAY}, status=status.HTTP_202_ACCEPTED)


@describe_sessions
class SessionViewSet(viewsets.ViewSet):
    """The devices on which the caller is logged in."""

    def list(self, request: AuthenticatedRequest) -> Response:
        """Those with a refresh token."""
        found = api_sessions.sessions_of(request.user, current=Token.read(request.auth).session)
        return Response(SessionsAnswer.of({"sessions": found}))

    def destroy(self, request: AuthenticatedRequest, pk: str) -> Response:
        """Log out of one."""
        api_sessions.end(user=request.user, session=pk)
        return Response({"message": "Session ended"})

    @describe_destroy_all
    def destroy_all(self, request: AuthenticatedRequest) -> Response:
        """Log out of all, tokens without a session included."""
        revoke_tokens(user=request.user, reason="Logged out of all devices")
        return Response({"message": "Logged out of all devices"})


def _mailbox(request: Request) -> str:
    """The e-mail that a link is asked for, once it may be written to."""
    email = UserManager.normalize_email(EmailRequest.read(request.data)["email"])
    charge_mailbox(email)
    return email


def _logged_in(request: Request, user: User, *, refresh: bool, second_factor: bool = False) -> dict:
    """What a log-in answers: with a session if the client asked to `refresh`, else as the seed does."""
    if refresh:
        return _session(user, api_sessions.begin(user=user, device=Device.of(request), second_factor=second_factor))
    return _session(user, Tokens(issue_token(user, second_factor=second_factor)))


def _session(user: User, tokens: Tokens) -> dict:
    return SessionAnswer.of({"user": user, "token": tokens.access, "refreshToken": tokens.refresh})
