"""The OpenAPI description of /api/auth/."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema_view

from ledger_project.openapi import AUTHENTICATION, answer, body, operation, refusal, refusal_when
from users.registration import EmailTaken, WrongCredentials
from users.serializers import (
    LoginRequest,
    MeAnswer,
    MessageAnswer,
    RegisterRequest,
    SessionAnswer,
)

REGISTRATION = {"name": "Asha Rao", "email": "asha@example.com", "password": "mango-harbour-92"}
LOGIN = {"email": REGISTRATION["email"], "password": REGISTRATION["password"]}
USER = {"_id": "66f0c1a0a4e5d6f708192a2f", "email": "asha@example.com", "name": "Asha Rao"}
SESSION = {"user": USER, "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}


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
            "A password has 8 to 128 characters and is not a common one. A welcome is sent by e-mail."
        ),
        request=body(RegisterRequest, registration=REGISTRATION),
        answers={201: answer(SessionAnswer, "Registered and logged in.", registered=SESSION)},
        refused=[
            refusal_when("missing_field", lambda: RegisterRequest.read(LOGIN)),
            refusal_when("invalid_email", lambda: RegisterRequest.read(REGISTRATION | {"email": "asha"})),
            refusal_when("short_password", lambda: RegisterRequest.read(REGISTRATION | {"password": "mango"})),
            refusal_when("common_password", lambda: RegisterRequest.read(REGISTRATION | {"password": "password1"})),
            refusal(EmailTaken),
        ],
    ),
    login=operation(
        "login",
        tag=AUTHENTICATION,
        summary="Log in and get a token",
        description="An unknown e-mail, a wrong password and a disabled user get the same answer in the same time.",
        request=body(LoginRequest, login=LOGIN),
        answers={200: answer(SessionAnswer, "Logged in.", logged_in=SESSION)},
        refused=[
            refusal_when("missing_field", lambda: LoginRequest.read({"email": "asha@example.com"})),
            refusal(WrongCredentials),
        ],
    ),
    logout=operation(
        "logout",
        tag=AUTHENTICATION,
        summary="Log out",
        description="The token is refused from now on. Logging out again with the same token is no error.",
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
)
