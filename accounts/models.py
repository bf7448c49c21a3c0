"""Accounts: what holds money. Only transactions/ledger.py writes a balance, with the entries that explain it."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from ledger_project.money import to_major

MONEY_FIELDS = frozenset(
    {"balance_minor", "sequence", "chain_head", "may_overdraw", "currency", "kind", "user", "user_id"}
)
# The chain of an account that has no entry yet starts here.
GENESIS = "0" * 64


class MoneyIsPosted(TypeError):
    """The ORM was asked to write what only a posting may change."""


class AccountQuerySet(models.QuerySet["Account"]):
    """A queryset that cannot write money."""

    def update(self, **fields: Any) -> int:
        """Update; refuses the fields that only a posting, or the opening of the account, may set."""
        if refused := MONEY_FIELDS & fields.keys():
            raise MoneyIsPosted(f"{', '.join(sorted(refused))} cannot be set: post a transaction instead")
        return super().update(**fields)

    def bulk_update(self, objs, fields, batch_size=None) -> int:
        """Update many; the same refusal."""
        if refused := MONEY_FIELDS & set(fields):
            raise MoneyIsPosted(f"{', '.join(sorted(refused))} cannot be set: post a transaction instead")
        return super().bulk_update(objs, fields, batch_size)

    def _update(self, values: Any) -> int:
        """What every save of an existing row ends in; the same refusal."""
        if MONEY_FIELDS & {field.name for field, _, _ in values}:
            raise MoneyIsPosted("save an existing account with update_fields that hold no money")
        return super()._update(values)  # type: ignore[misc]

    def _insert(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        """What every save of a new row ends in; refuses one with money in it: it would come from nowhere."""
        if any(account.balance_minor or account.sequence or account.chain_head != GENESIS for account in objs):
            raise MoneyIsPosted("an account opens empty: post a transaction to put money in it")
        return super()._insert(objs, *args, **kwargs)  # type: ignore[misc]

    _update.queryset_only = _insert.queryset_only = False  # type: ignore[attr-defined]


class Account(models.Model):
    """Money of one currency that belongs to one user. `balance_minor` counts the currency's minor unit, as an Int64."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        FROZEN = "FROZEN"
        CLOSED = "CLOSED"

    class Kind(models.TextChoices):
        CUSTOMER = "CUSTOMER"
        EQUITY = "EQUITY", "Equity (money enters the ledger here)"
        TREASURY = "TREASURY", "Treasury (the operator's own money)"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_column="user", db_index=False)
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CUSTOMER)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    currency = models.CharField(max_length=3)
    may_overdraw = models.BooleanField(default=False, help_text="An equity account goes below zero.")
    balance_minor = models.BigIntegerField(default=0)
    sequence = models.BigIntegerField(default=0, help_text="The number of its entries.")
    chain_head = models.CharField(max_length=64, default=GENESIS, help_text="The hash of its last entry.")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = AccountQuerySet.as_manager()

    class Meta:
        db_table = "accounts"
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"{self.name or self.kind.title()} {self.currency} {self.pk}"

    @property
    def balance(self) -> Decimal:
        """The balance in major units."""
        return to_major(self.balance_minor, self.currency)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert, or update the named fields; a whole-row update would write a stale balance over a fresh one."""
        if not self._state.adding:
            fields = kwargs.get("update_fields")
            if fields is None or MONEY_FIELDS & set(fields):
                raise MoneyIsPosted("save an existing account with update_fields that hold no money")
        super().save(*args, **kwargs)
