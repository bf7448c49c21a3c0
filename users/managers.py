"""How users are made."""

from typing import TYPE_CHECKING

from django.contrib.auth.base_user import BaseUserManager

if TYPE_CHECKING:
    from users.models import User


class UserManager(BaseUserManager["User"]):
    """Creates users with a normalised e-mail and a hashed password."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """`email` trimmed and lower-cased, all of it: nobody keeps two mailboxes that differ in case."""
        return (email or "").strip().lower()

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail, whatever its case: what the admin's log-in asks for."""
        return self.get(email=self.normalize_email(username))

    def create_user(self, *, email: str, name: str, password: str | None = None, **fields) -> "User":
        """Store a user. `password` is hashed; None makes one that cannot log in."""
        user = self.model(email=self.normalize_email(email), name=name, **fields)
        user.set_password(password)
        user.save(using=self._db, force_insert=True)
        return user

    def create_superuser(self, *, email: str, name: str, password: str | None = None, **fields) -> "User":
        """Store a member of staff with every permission."""
        return self.create_user(
            email=email, name=name, password=password, is_staff=True, is_superuser=True, **fields
        )
