"""How users are made."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.base_user import BaseUserManager
from django.core.exceptions import ValidationError
from django.db import models

if TYPE_CHECKING:
    from users.models import User


class UserQuerySet(models.QuerySet["User"]):
    """A queryset that cannot turn users into system users or back."""

    def update(self, **fields: Any) -> int:
        """Update, also many at once; refuses is_system."""
        if "is_system" in fields:
            raise ValidationError("is_system is set when a user is created and never changes")
        return super().update(**fields)


class UserManager(BaseUserManager["User"]):
    """Creates users with a normalised e-mail and a hashed password."""

    def get_queryset(self) -> UserQuerySet:
        """The guarded queryset."""
        return UserQuerySet(self.model, using=self._db)

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
        return self.create_user(email=email, name=name, password=password, is_staff=True, is_superuser=True, **fields)
