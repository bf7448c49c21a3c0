"""What the ledger remembers: transactions, and the two entries of each. Written by ledger.py, read by everybody."""

from decimal import Decimal
from typing import Any, NoReturn

from bson import ObjectId
from django.conf import settings
from django.db import models
from django_mongodb_backend.fields import ArrayField, ObjectIdField

from accounts.models import Account
from ledger_project.money import to_major


class LedgerIsAppendOnly(TypeError):
    """The ORM was asked to write a ledger row. Corrections are new transactions, posted through ledger.py."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise LedgerIsAppendOnly("the ledger is append-only: post a transaction instead")


class LedgerQuerySet(models.QuerySet):
    """A queryset that only reads."""

    update = delete = create = bulk_create = bulk_update = get_or_create = update_or_create = _refuse
    acreate = abulk_create = abulk_update = aupdate = adelete = aget_or_create = aupdate_or_create = _refuse
    _update = _insert = _raw_delete = _refuse


class LedgerRow(models.Model):
    """A row that the ORM may read and never write."""

    objects = LedgerQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    save = save_base = delete = asave = adelete = _refuse


class Transaction(LedgerRow):
    """A movement of money between two accounts: one debit and one credit of `amount_minor`.

    Nothing of it changes but once: when it is reversed, `status`, `reversed_by` and `updated_at` say so.
    """

    class Status(models.TextChoices):
        COMPLETED = "COMPLETED"
        REVERSED = "REVERSED"

    class Kind(models.TextChoices):
        TRANSFER = "TRANSFER"
        INITIAL_FUNDS = "INITIAL_FUNDS"
        REVERSAL = "REVERSAL"

    # No index but those of migration 0002: these are the hottest collections.
    from_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_column="from_account", db_index=False
    )
    to_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_column="to_account", db_index=False
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status)
    kind = models.CharField(max_length=20, choices=Kind)
    initiator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_column="initiator", db_index=False
    )
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    debit_entry = ObjectIdField()
    credit_entry = ObjectIdField()
    # Both accounts and both owners: one index lists the transactions of a user and of an account.
    parties = ArrayField(ObjectIdField())
    # A reversal and its original name each other; other transactions have none of these three fields.
    reverses = ObjectIdField(null=True)
    reversed_by = ObjectIdField(null=True)
    reason = models.CharField(max_length=500, null=True)  # noqa: DJ001 - absent is what it is, not empty
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "transactions"
        permissions = [("reverse_transaction", "Can reverse transactions")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def amount(self) -> Decimal:
        """The amount in major units."""
        return to_major(self.amount_minor, self.currency)


class Entry(LedgerRow):
    """One side of a transaction, on one account, whose entries are numbered without gaps and chained by `hash`."""

    class Direction(models.TextChoices):
        DEBIT = "DEBIT"
        CREDIT = "CREDIT"

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_column="account", db_index=False
    )
    sequence = models.BigIntegerField()
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", db_column="transaction", db_index=False
    )
    counter_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_column="counter_account", db_index=False
    )
    direction = models.CharField(max_length=6, choices=Direction)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    balance_after_minor = models.BigIntegerField()
    created_at = models.DateTimeField()
    hash = models.CharField(max_length=64)

    is_own: bool  # set by history.transaction(): whether the account is the reader's

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "entries"
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.direction} {self.pk}"

    @property
    def amount(self) -> Decimal:
        """The amount in major units."""
        return to_major(self.amount_minor, self.currency)

    @property
    def balance_after(self) -> Decimal:
        """The balance of the account once this entry was posted, in major units."""
        return to_major(self.balance_after_minor, self.currency)


class NoticesDue(models.Model):
    """Transactions of one commit whose parties are still to be told; gone when their notices are written."""

    transactions = ArrayField(ObjectIdField())
    created_at = models.DateTimeField()

    class Meta:
        db_table = "notices_due"

    def __str__(self) -> str:
        return f"{len(self.transactions)} transactions"


class ApprovalRequest(LedgerRow):
    """What one member of staff asked for and another decides: funds, or a reversal above the limit (ADR 0010).

    Written by approvals.py only. Money moves between APPROVED and POSTED, once, whatever happens in between.
    """

    class Kind(models.TextChoices):
        FUNDS = "FUNDS"
        REVERSAL = "REVERSAL"

    class Status(models.TextChoices):
        PENDING = "PENDING"
        REJECTED = "REJECTED"
        APPROVED = "APPROVED", "Approved, to be posted"
        POSTED = "POSTED"
        REFUSED = "REFUSED", "Approved, refused by the ledger"

    kind = models.CharField(max_length=10, choices=Kind)
    status = models.CharField(max_length=10, choices=Status)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_column="account", db_index=False, null=True
    )
    original = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", db_column="original", db_index=False, null=True
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    # Whose the posting is: the system user that issues funds, or whoever asked for the reversal.
    initiator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_column="initiator", db_index=False
    )
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_column="requested_by", db_index=False
    )
    requested_at = models.DateTimeField()
    # The client's own; a request without one does not have the field.
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001
    decision_reason = models.CharField(max_length=500)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_column="decided_by",
        db_index=False,
        null=True,
    )
    decided_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True, help_text="Nobody else posts it before this time.")
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", db_column="transaction", db_index=False, null=True
    )
    outcome = models.CharField(max_length=500, help_text="Why the ledger refused it.")
    settled_at = models.DateTimeField(null=True)

    account_id: ObjectId | None
    decided_by_id: ObjectId | None
    transaction_id: ObjectId | None

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "approval_requests"
        default_permissions = ("view",)
        permissions = [("request_funds", "Can request funds"), ("decide_approvalrequest", "Can approve and reject")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def amount(self) -> Decimal:
        """The amount in major units."""
        return to_major(self.amount_minor, self.currency)
