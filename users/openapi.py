"""The OpenAPI description of /api/auth/."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema_view

from ledger_project.errors import Unavailable
from ledger_project.hashing import TooManyLogins
from ledger_project.openapi import AUTHENTICATION, answer, body, operation, refusal, refusal_when
from ledger_project.throttles import LoginLocked, Throttled
from users.api_sessions import RefreshRefused, SessionNotFound
from users.links import LinkRefused
from users.passwords import WrongPassword
from users.registration import EmailTaken, WrongCredentials
from users.second_factor import OtpInvalid, OtpRequired
from users.serializers import (
    EmailRequest,
    LinkRequest,
    LoginRequest,
    MeAnswer,
    MessageAnswer,
    PasswordRequest,
    RefreshRequest,
    RegisterRequest,
    ResetRequest,
    SessionAnswer,
    SessionsAnswer,
)
from users.verification import EmailNotVerified

REGISTRATION = {"name": "Asha Rao", "email": "asha@example.com", "password": "mango-harbour-92"}
LOGIN = {"email": REGISTRATION["email"], "password": REGISTRATION["password"]}
USER = {"_id": "66f0c1a0a4e5d6f708192a2f", "email": "asha@example.com", "name": "Asha Rao"}
SESSION = {"user": USER, "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}
REFRESH = {"refreshToken": "eyJhbGciOiJIUzI1NiJ9.e30.cmVm"}
PASSWORDS = {"currentPassword": REGISTRATION["password"], "newPassword": "lantern-orchard-57"}
SECRET = "66f0c1a0a4e5d6f708192a2f-czh3k1-5d41402abc4b2a76b9719d911017c592"  # noqa: S105  (an example)
RESET = {"token": SECRET, "newPassword": PASSWORDS["newPassword"]}
EMAIL = {"email": REGISTRATION["email"]}
ON_ITS_WAY = {"message": "If somebody has this e-mail here, a message is on its way to them"}
DEVICE = {
    "_id": "66f0c1b2a4e5d6f708192a5e",
    "userAgent": "LedgerApp/2.1 (Android 15)",
    "address": "203.0.113.0/24",
    "createdAt": "2026-11-20T08:12:00.000Z",
    "lastUsedAt": "2026-11-22T09:30:00.123Z",
    "expiresAt": "2026-12-22T09:30:00.123Z",
    "current": True,
}


class BearerScheme(OpenApiAuthenticationExtension):
    """How TokenAuthentication and LogoutAuthentication look to a client: the same."""

    target_class = "users.authentication.TokenAuthentication"
    match_subclasses = True
    name = "bearerAuth"

    def get_security_definition(self, auto_schema) -> dict:
        """`Authorization: Bearer <token>`."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `token` that registration and log-in answer with.",
        }


describe_auth = extend_schema_view(
    register=operation(
        "register",
        tag=AUTHENTICATION,
        summary="Register a new user",
        description=(
            "Creates the user and logs it in. The e-mail is trimmed, lower-cased and unique whatever its case. "
            "A password has 8 to 128 characters and is not a common one. A welcome is sent by e-mail. Where e-mails "
            "have to be confirmed, the link for it is sent, too, and the token is refused until that was done."
        ),
        request=body(RegisterRequest, registration=REGISTRATION, with_refresh=REGISTRATION | {"refresh": True}),
        answers={
            201: answer(SessionAnswer, "Registered and logged in.", registered=SESSION, with_refresh=SESSION | REFRESH)
        },
        refused=[
            refusal_when("missing_field", lambda: RegisterRequest.read(LOGIN)),
            refusal_when("invalid_email", lambda: RegisterRequest.read(REGISTRATION | {"email": "asha"})),
            refusal_when("short_password", lambda: RegisterRequest.read(REGISTRATION | {"password": "mango"})),
            refusal_when("common_password", lambda: RegisterRequest.read(REGISTRATION | {"password": "password1"})),
            refusal(EmailTaken),
            refusal(Unavailable),
            refusal(TooManyLogins),
        ],
    ),
    login=operation(
        "login",
        tag=AUTHENTICATION,
        summary="Log in and get a token",
        description=(
            "An unknown e-mail, a wrong password and a disabled user get the same answer in the same time. "
            "After some of them in a row for one e-mail, or from one address, no password is right for a while: "
            "429 `login_locked`. With `refresh` the token is a short one, and a refresh token comes with it. Who has a "
            "second factor sends its code as `otp`."
        ),
        request=body(LoginRequest, login=LOGIN, with_refresh=LOGIN | {"refresh": True}),
        answers={200: answer(SessionAnswer, "Logged in.", logged_in=SESSION, with_refresh=SESSION | REFRESH)},
        refused=[
            refusal_when("missing_field", lambda: LoginRequest.read({"email": "asha@example.com"})),
            refusal(WrongCredentials),
            refusal(OtpRequired),
            refusal(OtpInvalid),
            refusal(EmailNotVerified),
            refusal(Throttled),
            refusal(LoginLocked),
            refusal(Unavailable),
            refusal(TooManyLogins),
        ],
    ),
    refresh=operation(
        "refresh",
        tag=AUTHENTICATION,
        summary="Exchange a refresh token for fresh tokens",
        description=(
            "A refresh token is good once: of two calls at the same time one gets through. One that comes a second "
            "time ends its session, with all tokens of it, for somebody else may have it. So make one call at a time, "
            "and log in again when its answer is lost."
        ),
        request=body(RefreshRequest, refresh=REFRESH),
        answers={200: answer(SessionAnswer, "A fresh pair of tokens.", refreshed=SESSION | REFRESH)},
        refused=[refusal_when("missing_field", lambda: RefreshRequest.read({})), refusal(RefreshRefused)],
    ),
    logout=operation(
        "logout",
        tag=AUTHENTICATION,
        summary="Log out",
        description=(
            "The token is refused from now on, and so are its session's refresh token and all tokens of it. Logging "
            "out again with the same token is no error."
        ),
        auth=[{BearerScheme.name: []}],  # its own authentication class looks the same to a client
        answers={
            200: answer(MessageAnswer, "Logged out.", logged_out={"message": "User logged out successfully"}),
        },
    ),
    me=operation(
        "getCurrentUser",
        tag=AUTHENTICATION,
        summary="Read the current user",
        description="The user that the token belongs to.",
        answers={200: answer(MeAnswer, "The user.", user={"user": USER})},
    ),
    password=operation(
        "changePassword",
        tag=AUTHENTICATION,
        summary="Change one's password",
        description=(
            "Ends every token and session from before, this call's, too, and answers with fresh ones. Word of it is "
            "sent by e-mail."
        ),
        request=body(PasswordRequest, change=PASSWORDS, with_refresh=PASSWORDS | {"refresh": True}),
        answers={200: answer(SessionAnswer, "Changed.", changed=SESSION, with_refresh=SESSION | REFRESH)},
        refused=[
            refusal_when("missing_field", lambda: PasswordRequest.read({"newPassword": PASSWORDS["newPassword"]})),
            refusal_when("common_password", lambda: PasswordRequest.read(PASSWORDS | {"newPassword": "password1"})),
            refusal(WrongPassword),
            refusal(Throttled),
            refusal(LoginLocked),
            refusal(Unavailable),
            refusal(TooManyLogins),
        ],
    ),
    ask_for_reset=operation(
        "askForPasswordReset",
        tag=AUTHENTICATION,
        summary="Ask for a link to set a new password",
        description="It is sent by e-mail. The answer is the same, in the same time, whether the address is known.",
        request=body(EmailRequest, ask=EMAIL),
        answers={202: answer(MessageAnswer, "Perhaps it is sent.", asked=ON_ITS_WAY)},
        refused=[refusal_when("missing_field", lambda: EmailRequest.read({}))],
    ),
    reset=operation(
        "resetPassword",
        tag=AUTHENTICATION,
        summary="Set a new password by the link",
        description="`token` is what stands behind the # of the link. It works once. Every token and session ends.",
        request=body(ResetRequest, reset=RESET),
        answers={200: answer(MessageAnswer, "Set.", reset={"message": "Your new password is set"})},
        refused=[
            refusal_when("missing_field", lambda: ResetRequest.read({"token": SECRET})),
            refusal_when("common_password", lambda: ResetRequest.read(RESET | {"newPassword": "password1"})),
            refusal(LinkRefused),
            refusal(Unavailable),
            refusal(TooManyLogins),
        ],
    ),
    verify=operation(
        "verifyEmail",
        tag=AUTHENTICATION,
        summary="Confirm an e-mail by the link",
        description="`token` is what stands behind the # of the link. Doing it again is no error.",
        request=body(LinkRequest, verify={"token": SECRET}),
        answers={200: answer(MessageAnswer, "Confirmed.", verified={"message": "Your e-mail is confirmed"})},
        refused=[refusal_when("missing_field", lambda: LinkRequest.read({})), refusal(LinkRefused)],
    ),
    ask_for_verification=operation(
        "askForVerification",
        tag=AUTHENTICATION,
        summary="Ask for the link to confirm an e-mail",
        description="It is sent by e-mail. The answer is the same, in the same time, whether the address is known.",
        request=body(EmailRequest, ask=EMAIL),
        answers={202: answer(MessageAnswer, "Perhaps it is sent.", asked=ON_ITS_WAY)},
        refused=[refusal_when("missing_field", lambda: EmailRequest.read({}))],
    ),
)


describe_sessions = extend_schema_view(
    list=operation(
        "listSessions",
        tag=AUTHENTICATION,
        summary="List the devices that are logged in",
        description="Log-ins with a refresh token that have not ended, the last used first, a hundred at most.",
        answers={200: answer(SessionsAnswer, "The sessions.", sessions={"sessions": [DEVICE]})},
    ),
    destroy=operation(
        "endSession",
        tag=AUTHENTICATION,
        summary="Log out of one device",
        description="Ends one of the caller's sessions and all tokens of it.",
        answers={200: answer(MessageAnswer, "Done.", ended={"message": "Session ended"})},
        refused=[refusal(SessionNotFound)],
    ),
)

# No method that drf-spectacular knows by its name, so this one is not described with the others.
describe_destroy_all = operation(
    "endAllSessions",
    tag=AUTHENTICATION,
    summary="Log out of all devices",
    description="Ends every session and every token of the caller's, this one and those without a session, too.",
    answers={200: answer(MessageAnswer, "Done.", ended={"message": "Logged out of all devices"})},
)
