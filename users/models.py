"""Who uses the ledger, which tokens and staff sessions are theirs, and the outbox of what they are to be told."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from users.managers import UserManager


class User(AbstractBaseUser, PermissionsMixin):
    """A client of the API, a member of staff, or a system user: one that may issue initial funds."""

    email = models.EmailField(unique=True, help_text="Trimmed and lower-cased; unique whatever its case.")
    name = models.CharField(max_length=150)
    is_staff = models.BooleanField(default=False, help_text="May enter the admin.")
    is_active = models.BooleanField(default=True, help_text="Switch off to end every token and session at once.")
    is_system = models.BooleanField(
        default=False, editable=False, help_text="May issue initial funds. Set at creation, then never changed."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        db_table = "users"
        # unique=True makes a partial index, which the planner does not use: this one serves the look-up.
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["email"], name="users_email")]

    def __str__(self) -> str:
        return self.email

    def save(self, *args, **kwargs) -> None:
        """Save; refuses to turn a user into a system user or back."""
        self.email = UserManager.normalize_email(self.email)
        if not self._state.adding and not User.objects.filter(pk=self.pk, is_system=self.is_system).exists():
            raise ValidationError("is_system is set when a user is created and never changes")
        super().save(*args, **kwargs)


class BlacklistedToken(models.Model):
    """A token that was logged out. MongoDB deletes the row when the token itself has expired (TTL index)."""

    jti = models.CharField(primary_key=True, db_column="_id", max_length=64)
    user = models.ForeignKey(User, on_delete=models.CASCADE, db_column="user")
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "blacklisted_tokens"

    def __str__(self) -> str:
        return self.jti


class Session(AbstractBaseSession):
    """A staff session of the admin. Django's own model would be looked up by a collection scan; this one by `_id`."""

    session_key = models.CharField(primary_key=True, db_column="_id", max_length=40)
    expire_date = models.DateTimeField()  # its index is the TTL index of migration 0002

    class Meta:
        db_table = "sessions"

    @classmethod
    def get_session_store_class(cls):
        """The store that keeps these rows."""
        from users.sessions import SessionStore

        return SessionStore


class Notification(models.Model):
    """One e-mail to be sent: a row of the outbox, written in the same transaction as what it tells of."""

    class Kind(models.TextChoices):
        WELCOME = "WELCOME"
        TRANSFER_SENT = "TRANSFER_SENT"
        TRANSFER_RECEIVED = "TRANSFER_RECEIVED"
        TRANSFER_FAILED = "TRANSFER_FAILED"
        MONEY_RETURNED = "MONEY_RETURNED"
        MONEY_TAKEN_BACK = "MONEY_TAKEN_BACK"

    class Status(models.TextChoices):
        PENDING = "PENDING"
        SENT = "SENT"
        FAILED = "FAILED"

    user = models.ForeignKey(User, on_delete=models.CASCADE, db_column="user")
    kind = models.CharField(max_length=20, choices=Kind)
    payload = models.JSONField(default=dict, help_text="What the template shows besides the user.")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField(help_text="When it may be tried next; a worker that claims it pushes this ahead.")
    last_error = models.CharField(max_length=200, blank=True, help_text="The class of the last failure.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "notifications"

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
