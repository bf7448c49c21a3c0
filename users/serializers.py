"""The shapes of users in requests and answers."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from ledger_project.serializers import AnswerSerializer, ObjectIdField, RequestSerializer, TimestampField, YesOrNo


class NewPasswordField(serializers.CharField):
    """A password that is to be stored: 8 to 128 characters, and no common one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=8, max_length=128, trim_whitespace=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Refuse a common password. One that resembles the e-mail is accepted: the seed accepts it."""
        value = super().run_validation(data)
        try:
            validate_password(value)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages, code="weak_password") from None
        return value


def refresh_field() -> YesOrNo:
    """Whether the client asks for a refresh token, and a short access token with it."""
    return YesOrNo(default=False, help_text="`true`: answer with a refresh token, too, and with a short access token.")


class RegisterRequest(RequestSerializer):
    """`{name, email, password}`, and `refresh`."""

    missing_message = "name, email and password are required"

    name = serializers.CharField(min_length=1, max_length=150)
    email = serializers.EmailField(max_length=254)
    password = NewPasswordField()
    refresh = refresh_field()


class LoginRequest(RequestSerializer):
    """`{email, password}`, a code of the second factor for who has one, and `refresh`."""

    missing_message = "email and password are required"

    # However long: what nobody can have is as wrong as any other, and answered in the same way and time.
    email = serializers.CharField(min_length=1)
    password = serializers.CharField(min_length=1, trim_whitespace=False)
    otp = serializers.CharField(
        min_length=1,
        max_length=40,
        required=False,
        help_text="For who has a second factor: its code now, or a recovery code.",
    )
    refresh = refresh_field()


class RefreshRequest(RequestSerializer):
    """`{refreshToken}`."""

    missing_message = "refreshToken is required"

    refreshToken = serializers.CharField(min_length=1, max_length=2000)


class PasswordRequest(RequestSerializer):
    """`{currentPassword, newPassword}`, and `refresh`."""

    missing_message = "currentPassword and newPassword are required"

    currentPassword = serializers.CharField(min_length=1, max_length=128, trim_whitespace=False)
    newPassword = NewPasswordField()
    refresh = refresh_field()


class EmailRequest(RequestSerializer):
    """`{email}`."""

    missing_message = "email is required"

    email = serializers.EmailField(max_length=254)


class LinkRequest(RequestSerializer):
    """`{token}`: what stands behind the # of a link in an e-mail."""

    missing_message = "token is required"

    token = serializers.CharField(min_length=1, max_length=200)


class ResetRequest(LinkRequest):
    """`{token, newPassword}`."""

    missing_message = "token and newPassword are required"

    newPassword = NewPasswordField()


class UserAnswer(AnswerSerializer):
    """`{_id, email, name}`."""

    _id = ObjectIdField(source="pk")
    email = serializers.EmailField()
    name = serializers.CharField()


class SessionAnswer(AnswerSerializer):
    """`{user, token}`: what registration and log-in answer; and `refreshToken`, where one was asked for."""

    user = UserAnswer()
    token = serializers.CharField(help_text="Send it as `Authorization: Bearer <token>`.")
    refreshToken = serializers.CharField(
        required=False, help_text="Good for one exchange at `POST /api/auth/refresh`. Only with `refresh`."
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Whoever asked for no refresh token gets the seed's answer, byte for byte."""
        answer = super().to_representation({"refreshToken": None, **instance})
        return {name: value for name, value in answer.items() if value is not None}


class ApiSessionAnswer(AnswerSerializer):
    """A session of the caller's: where it was last used, and until when it lasts."""

    _id = ObjectIdField(source="pk")
    userAgent = serializers.CharField(source="user_agent")
    address = serializers.CharField(help_text="The network that it was last used from; empty when it is not known.")
    createdAt = TimestampField(source="created_at")
    lastUsedAt = TimestampField(source="used_at")
    expiresAt = TimestampField(source="expires_at", help_text="Unless it is refreshed before.")
    current = serializers.BooleanField(source="is_current", help_text="Whether this call was made in it.")


class SessionsAnswer(AnswerSerializer):
    """`{sessions}`, the last used first."""

    sessions = ApiSessionAnswer(many=True)


class MeAnswer(AnswerSerializer):
    """`{user}`."""

    user = UserAnswer()


class MessageAnswer(AnswerSerializer):
    """`{message}`."""

    message = serializers.CharField()
