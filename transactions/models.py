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

    append_only = False  # whether not even ledger.py changes a row: the application then has no right to

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

    append_only = True

    transaction_id: ObjectId
    is_own: bool  # set by history.transaction(): whether the account is the reader's
    kind: str  # set by history.with_kinds(): that of its transaction

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


class AccountProof(LedgerRow):
    """How far the continuous audit has proven an account, whose id is its own. Written by continuous_audit.py."""

    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    balance_minor = models.BigIntegerField()
    began_at = models.DateTimeField(help_text="When the last full pass began.")
    is_complete = models.BooleanField(help_text="Whether that pass has ended.")
    proven_at = models.DateTimeField(help_text="When the last full pass that ended began.")

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "account_proofs"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.pk} up to {self.sequence}"


class LedgerFinding(LedgerRow):
    """What the continuous audit found, once for each: open until a full pass does not see it any more."""

    key = models.CharField(max_length=500)
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, related_name="+", db_column="account", db_index=False, null=True
    )
    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    message = models.CharField(max_length=1000)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)

    account_id: ObjectId | None

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "findings"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.code} {self.subject}"


class Anchor(LedgerRow):
    """The heads of all chains at one moment, under one hash, each anchor chained to the one before (anchors.py)."""

    append_only = True

    number = models.BigIntegerField()
    taken_at = models.DateTimeField()
    accounts = models.BigIntegerField()
    entries = models.BigIntegerField()
    heads = models.CharField(max_length=64, help_text="SHA-256 over the heads, in the order of the accounts' ids.")
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "anchors"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"anchor {self.number}"


class AnchorPage(LedgerRow):
    """Some of the heads under an anchor, packed by anchors.py."""

    append_only = True

    anchor = ObjectIdField()
    number = models.BigIntegerField()
    heads = models.BinaryField()

    class Meta(LedgerRow.Meta):
        abstract = False
        db_table = "anchor_pages"
        default_permissions = ()

    def __str__(self) -> str:
        return f"page {self.number} of {self.anchor}"


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
