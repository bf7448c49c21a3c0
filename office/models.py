"""What the back office remembers of the ledger: roll-ups for the dashboard, and how verifications ended."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from django.db import models

from ledger_project.money import to_major
from transactions.meters import COLLECTION as ENGINE_HOURS
from transactions.models import Transaction


class HourlyMovement(models.Model):
    """How many transactions of one kind and currency were posted in an hour, and what they moved together.

    Reversals of initial funds are a kind for themselves here, for they take back what was issued.
    """

    FUNDS_REVERSAL = "FUNDS_REVERSAL"

    id = models.CharField(primary_key=True, db_column="_id", max_length=60)  # "INR|2026-11-22T09|TRANSFER"
    currency = models.CharField(max_length=3)
    hour = models.CharField(max_length=13)
    kind = models.CharField(
        max_length=20, choices=[*Transaction.Kind.choices, (FUNDS_REVERSAL, "Reversal of initial funds")]
    )
    transactions = models.BigIntegerField()
    # Not an Int64, for a sum past its range would silently become a binary float.
    volume_minor = models.DecimalField(max_digits=34, decimal_places=0)

    class Meta:
        db_table = "hourly_movements"

    def __str__(self) -> str:
        return self.pk

    @property
    def volume(self) -> Decimal:
        """The volume in major units, also of a row that was read past the ORM (a Decimal128 then)."""
        return to_major(int(Decimal(str(self.volume_minor))), self.currency)


class EngineHour(models.Model):
    """How the engine fared in an hour: written by transactions/meters.py, counts only ever added to."""

    hour = models.CharField(primary_key=True, db_column="_id", max_length=13)  # "2026-11-22T09"
    calls = models.BigIntegerField(default=0)
    groups = models.BigIntegerField(default=0)
    transfers = models.BigIntegerField(default=0)
    refusals = models.JSONField(default=dict)
    milliseconds = models.JSONField(default=dict)
    sizes = models.JSONField(default=dict)

    class Meta:
        db_table = ENGINE_HOURS

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> "EngineHour":
        """An hour out of its document, which lacks what did not happen in it: none of that."""
        found = dict(zip(field_names, values, strict=True))
        fields = cls._meta.concrete_fields
        known = [field.get_default() if found.get(field.attname) is None else found[field.attname] for field in fields]
        return super().from_db(db, [field.attname for field in fields], known, **options)

    def __str__(self) -> str:
        return self.hour


class Verification(models.Model):
    """How a verification of the whole ledger ended."""

    append_only = True

    began_at = models.DateTimeField()
    seconds = models.FloatField()
    whole = models.BooleanField()
    accounts = models.BigIntegerField()
    transactions = models.BigIntegerField()
    entries = models.BigIntegerField()
    findings = models.JSONField(default=list, help_text="The first findings: code, subject and message of each.")
    counts = models.JSONField(default=dict, help_text="How many there are of each code.")

    class Meta:
        db_table = "verifications"

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d %H:%M:%S} UTC"
