"""The shapes of users in requests and answers."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from ledger_project.serializers import AnswerSerializer, ObjectIdField, RequestSerializer


class RegisterRequest(RequestSerializer):
    """`{name, email, password}`."""

    missing_message = "name, email and password are required"

    name = serializers.CharField(max_length=150)
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(min_length=8, max_length=128, trim_whitespace=False)

    def validate_password(self, value: str) -> str:
        """Refuse a common password. One that resembles the e-mail is accepted: the seed accepts it."""
        try:
            validate_password(value)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages, code="weak_password") from None
        return value


class LoginRequest(RequestSerializer):
    """`{email, password}`."""

    missing_message = "email and password are required"

    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class UserAnswer(AnswerSerializer):
    """`{_id, email, name}`."""

    _id = ObjectIdField(source="pk")
    email = serializers.EmailField()
    name = serializers.CharField()


class SessionAnswer(AnswerSerializer):
    """`{user, token}`: what registration and log-in answer."""

    user = UserAnswer()
    token = serializers.CharField(help_text="Send it as `Authorization: Bearer <token>`.")


class MeAnswer(AnswerSerializer):
    """`{user}`."""

    user = UserAnswer()


class MessageAnswer(AnswerSerializer):
    """`{message}`."""

    message = serializers.CharField()
