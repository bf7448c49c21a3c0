"""Who uses the ledger, their tokens and sessions, the outbox of what they are told, the log of what staff do."""

from typing import Any, ClassVar, NoReturn

from auditlog.models import AbstractLogEntry
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group, PermissionsMixin
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from users.audit import AuditLogIsAppendOnly, AuditManager
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
    # Tokens carry it; those that carry another are refused.
    token_generation = models.IntegerField(default=0, editable=False)
    # The e-mail whose mailbox was shown to be the user's. Another one makes it worthless by itself.
    verified_email = models.EmailField(default="", blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()
    _stored_password: str | None = None

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        db_table = "users"
        # unique=True makes a partial index, which the planner does not use: this one serves the look-up.
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["email"], name="users_email")]

    def __str__(self) -> str:
        return self.email

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "User":
        """The user as stored, who remembers which password that was."""
        user = super().from_db(*args, **kwargs)
        user._stored_password = user.__dict__.get("password")
        return user

    def get_full_name(self) -> str:
        """What the admin calls whoever is in it."""
        return self.name

    def save(self, *args, **kwargs) -> None:
        """Save; refuses to turn a user into a system user or back."""
        self.email = UserManager.normalize_email(self.email)
        if not self._state.adding and not User.objects.filter(pk=self.pk, is_system=self.is_system).exists():
            raise ValidationError("is_system is set when a user is created and never changes")
        if not self._state.adding and kwargs.get("update_fields") is None:
            # These have conditional updates of their own: a form that was loaded before must not bring back what was.
            own = {"id", "token_generation", "verified_email"}
            if self.__dict__.get("password") == self._stored_password:
                own.add("password")
            kwargs["update_fields"] = {field.name for field in self._meta.concrete_fields} - own
        super().save(*args, **kwargs)

    @property
    def is_verified(self) -> bool:
        """Whether the e-mail is as sure as EMAIL_VERIFICATION_REQUIRED asks. Staff and system users are vouched for."""
        vouched_for = self.is_staff or self.is_system
        return not settings.EMAIL_VERIFICATION_REQUIRED or vouched_for or self.verified_email == self.email


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


class ApiSession(models.Model):
    """A log-in of the API that can be refreshed (ADR 0013). It is there, or it has ended, and its tokens with it.

    MongoDB deletes it when it was not refreshed for so long that its refresh token has expired (TTL index).
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, db_column="user", db_index=False)
    refresh_hash = models.CharField(max_length=64, help_text="SHA-256 of the one refresh token that is good now.")
    generation = models.IntegerField(help_text="Of the user's tokens, when it began: it ends with them.")
    second_factor = models.BooleanField(default=False, help_text="Whether it began with a second factor.")
    rotations = models.IntegerField(default=0)
    user_agent = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=50, blank=True, help_text="The network it was last used from.")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    is_current = False  # whether the caller is in it; told by who lists them

    class Meta:
        db_table = "api_sessions"
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["user", "-used_at"], name="sessions_of_user")]

    def __str__(self) -> str:
        return str(self.pk)


class Session(AbstractBaseSession):
    """A staff session of the admin. Django's own model would be looked up by a collection scan; this one by `_id`."""

    session_key = models.CharField(primary_key=True, db_column="_id", max_length=40)
    expire_date = models.DateTimeField()  # its index is the TTL index of migration 0002
    user = models.ForeignKey(User, on_delete=models.CASCADE, db_column="user", null=True, related_name="+")

    class Meta:
        db_table = "sessions"

    @classmethod
    def get_session_store_class(cls):
        """The store that keeps these rows."""
        from users.sessions import SessionStore

        return SessionStore


class Notification(models.Model):
    """One e-mail to be sent: a row of the outbox.

    A registration writes its welcome in its own transaction. A posting stores in its transaction only that there is
    something to tell (`notices_due`), and the worker writes the rows from that. So each row tells of what is stored.
    The word of a failure is the exception: nothing was stored, so its row is written by itself, if that can be done.
    """

    class Kind(models.TextChoices):
        WELCOME = "WELCOME"
        TRANSFER_SENT = "TRANSFER_SENT"
        TRANSFER_RECEIVED = "TRANSFER_RECEIVED"
        TRANSFER_FAILED = "TRANSFER_FAILED"
        MONEY_RETURNED = "MONEY_RETURNED"
        MONEY_TAKEN_BACK = "MONEY_TAKEN_BACK"
        PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
        PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105
        VERIFY_EMAIL = "VERIFY_EMAIL"
        LEDGER_FINDING = "LEDGER_FINDING"
        LEDGER_ANCHOR = "LEDGER_ANCHOR"

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


class AuditEntry(AbstractLogEntry):
    """One thing that a member of staff did. Added by audit.py and auditlog; nobody changes or deletes it.

    The server keeps to that as well: the application's role may `find` and `insert` here (transactions/roles.py).
    """

    append_only = True

    object_id = None  # ids are no integers here; object_pk has them
    content_type = models.ForeignKey(ContentType, on_delete=models.DO_NOTHING, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.DO_NOTHING, related_name="+", null=True)
    reason = models.CharField(max_length=500, blank=True)

    objects = AuditManager()

    class Meta:
        db_table = "audit_log"
        base_manager_name = "objects"
        default_permissions = ("view",)
        verbose_name_plural = "audit log"

    @property
    def did(self) -> str:
        """Create, update or delete; access, where a list was taken out."""
        return self.get_action_display()

    @property
    def kind(self) -> str:
        """What kind of thing it was done to."""
        return ContentType.objects.get_for_id(self.content_type_id).name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add it; refuses to change it."""
        if not self._state.adding:
            raise AuditLogIsAppendOnly("the audit log is append-only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        raise AuditLogIsAppendOnly("the audit log is append-only")


# What the admin's forms change. A password shows only that there is another one.
auditlog.register(
    User,
    include_fields=["email", "name", "is_active", "is_staff", "is_superuser", "is_system", "password"],
    mask_fields=["password"],
    mask_callable="users.audit.masked",
    m2m_fields={"groups", "user_permissions"},
)
auditlog.register(Group, m2m_fields={"permissions"})
