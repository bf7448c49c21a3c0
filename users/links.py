"""Links in e-mail that show that their reader has the mailbox: signed when a message is sent, and kept nowhere.

What is signed holds what the link is to change, so that it is void once that has happened.
"""

from bson import ObjectId
from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db.models import Model

from ledger_project.errors import LedgerError
from users.models import User


class LinkRefused(LedgerError):
    """It is none of ours, has expired, or was used."""

    code = "link_invalid"
    message = "This link is not valid any more. Ask for a new one."


class Link(PasswordResetTokenGenerator):
    """A link to one of our pages, good for PASSWORD_RESET_TIMEOUT seconds, while these fields of the user stay."""

    def __init__(self, page: str, *fields: str) -> None:
        super().__init__()
        self.key_salt = f"users.links.{page}"
        self._page, self._fields = page, fields

    def _make_hash_value(self, user: Model, timestamp: int) -> str:
        return "|".join(map(str, (user.pk, timestamp, *(getattr(user, name) for name in self._fields))))

    def address(self, secret: str) -> str:
        """Where it leads. The secret is behind the #, which a browser sends to nobody."""
        return f"{settings.PUBLIC_URL}/{self._page}/#{secret}"

    def secret_of(self, user: User) -> str:
        """A fresh secret for the user."""
        return f"{user.pk}-{self.make_token(user)}"

    def reader(self, secret: str) -> User:
        """The active user that `secret` was made for. Raises LinkRefused."""
        key, _, token = secret.partition("-")
        user = User.objects.filter(pk=key, is_active=True).first() if ObjectId.is_valid(key) else None
        if user is None or not self.check_token(user, token):
            raise LinkRefused
        return user


RESET_PASSWORD = Link("reset-password", "email", "password", "token_generation")
VERIFY_EMAIL = Link("verify-email", "email")
