"""Two people with money, for who tries the service on their own machine: one click, and a transfer can be made."""

import secrets
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.opening import account_of, open_account
from accounts.serializers import AccountAnswer
from ledger_project.commands import read_email
from ledger_project.public import PublicPage
from transactions.issuing import DEFAULT_EMAIL, EMAIL_VARIABLE, ensure_system_user, issue
from users.registration import register_user
from users.serializers import SessionAnswer
from users.tokens import issue_token

PEOPLE = (("Asha", Decimal(1000)), ("Ben", Decimal(250)))


class DemoPeople(PublicPage):
    """`POST /demo/`, where settings.DEMO says so: on one's own machine, never in production."""

    def post(self, request: Request) -> Response:
        """Create them, fund them, log them in."""
        if not settings.DEMO:
            raise Http404
        # A browser sends JSON to another site only if that site allows it, and we do not: only our own page gets here.
        if request.content_type != "application/json":
            raise UnsupportedMediaType(request.content_type or "")
        people = [create_demo_person(name=name, funds=funds) for name, funds in PEOPLE]
        return Response({"people": people}, status=status.HTTP_201_CREATED)


def create_demo_person(*, name: str, funds: Decimal) -> dict[str, Any]:
    """A new user with a token, a password, and an account that holds `funds` (major units) of the default currency."""
    password = secrets.token_urlsafe(12)
    email = f"{name.lower()}.{secrets.token_hex(4)}@demo.local"
    user = register_user(email=email, name=name, password=password)
    account = open_account(user_id=user.pk, name="Everyday")
    system, _ = ensure_system_user(email=read_email(None, EMAIL_VARIABLE, DEFAULT_EMAIL))
    issue(system=system.pk, currency=account.currency, amount=funds, keys={account.pk: f"demo:{account.pk}"})
    session = SessionAnswer.of({"user": user, "token": issue_token(user)})
    return session | {"password": password, "account": AccountAnswer.of(account_of(user.pk, account.pk))}
