"""The shapes of transfers, transactions and entries in requests and answers."""

from decimal import Decimal
from typing import Any

from bson import ObjectId
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ledger_project.money import MAX_AMOUNT_MINOR, InvalidAmount, parse_amount, to_major
from ledger_project.mongo import Document
from ledger_project.paging import CURSOR_HELP, PageQuery
from ledger_project.serializers import AnswerSerializer, MoneyField, ObjectIdField, RequestSerializer, TimestampField
from transactions.models import ApprovalRequest, Entry, Transaction
from transactions.posting import Reversal, Transfer
from transactions.refusals import InvalidAccounts, InvalidToAccount, KeysDiffer, TransactionNotFound


@extend_schema_field(
    {
        "anyOf": [
            {"type": "number", "minimum": 1e-28, "maximum": MAX_AMOUNT_MINOR},
            {
                "type": "string",
                "pattern": r"^(?=[0.]*[1-9])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
                "maxLength": 40,
            },
        ],
        "description": "In major units: a JSON number, or a string of one.",
        "examples": [500, "10.50"],
    }
)
class AmountField(serializers.Field):
    """Money in: a JSON number or a numeric string in major units; positive, finite, not absurd."""

    def to_internal_value(self, data: Any) -> Decimal:
        """The Decimal."""
        try:
            return parse_amount(data)
        except InvalidAmount as error:
            raise serializers.ValidationError(error.message, code=error.code) from None

    def to_representation(self, value: Decimal) -> Decimal:
        """The Decimal itself; jsonio prints it."""
        return value


@extend_schema_field(
    {
        "type": "string",
        "pattern": "^[0-9a-fA-F]{24}$",
        "description": "24 hex digits.",
        "examples": ["66f0c1b2a4e5d6f708192a3b"],
    }
)
class AccountIdField(ObjectIdField):
    """An account's id; None for whatever is no id, so that a missing field is told of before a malformed id."""

    default_error_messages = {"blank": "This field may not be blank."}

    def to_internal_value(self, data: Any) -> Any:
        """The ObjectId, or None."""
        if data == "":
            self.fail("blank")
        return ObjectId(data) if isinstance(data, str) and ObjectId.is_valid(data) else None


class InitialFundsRequest(RequestSerializer):
    """`{toAccount, amount, idempotencyKey}`."""

    missing_message = "toAccount, amount and idempotencyKey are required"

    toAccount = AccountIdField()
    amount = AmountField()
    idempotencyKey = serializers.CharField(min_length=1, max_length=255, trim_whitespace=False)

    @classmethod
    def command(cls, data: Any, *, initiator: ObjectId, header_key: str | None) -> Transfer:
        """The command in `data`. Raises ValidationError, InvalidToAccount for a malformed id, KeysDiffer."""
        read = cls.read(_with_key(data, header_key))
        if read["toAccount"] is None:
            raise InvalidToAccount
        return Transfer(
            initiator=initiator,
            from_account=None,
            to_account=read["toAccount"],
            amount=read["amount"],
            idempotency_key=read["idempotencyKey"],
        )


class TransferRequest(InitialFundsRequest):
    """`{fromAccount, toAccount, amount, idempotencyKey}`."""

    missing_message = "FromAccount, toAccount, amount and idempotencyKey are required"

    fromAccount = AccountIdField()

    @classmethod
    def command(cls, data: Any, *, initiator: ObjectId, header_key: str | None) -> Transfer:
        """The command in `data`. Raises ValidationError, InvalidAccounts for a malformed id, KeysDiffer."""
        read = cls.read(_with_key(data, header_key))
        if read["fromAccount"] is None or read["toAccount"] is None:
            raise InvalidAccounts
        return Transfer(
            initiator=initiator,
            from_account=read["fromAccount"],
            to_account=read["toAccount"],
            amount=read["amount"],
            idempotency_key=read["idempotencyKey"],
        )


class ReversalRequest(RequestSerializer):
    """`{reason, idempotencyKey?}`."""

    missing_message = "reason is required"

    reason = serializers.CharField(
        max_length=500, help_text="Kept with the reversal, for staff; customers do not see it."
    )
    idempotencyKey = serializers.CharField(
        min_length=1,
        max_length=255,
        trim_whitespace=False,
        required=False,
        help_text="Without one, the same reason for the same transaction is the same request.",
    )

    @classmethod
    def command(cls, data: Any, *, initiator: ObjectId, original: str, header_key: str | None) -> Reversal:
        """The command in `data`. Raises ValidationError, TransactionNotFound for a malformed id, KeysDiffer."""
        read = cls.read(_with_key(data, header_key))
        if not ObjectId.is_valid(original):
            raise TransactionNotFound
        return Reversal(initiator, ObjectId(original), read["reason"], read.get("idempotencyKey"))


def _with_key(data: Any, header_key: str | None) -> Any:
    """`data` with the key of the Idempotency-Key header. Raises KeysDiffer when the body names another."""
    if header_key is None or not isinstance(data, dict):
        return data
    if data.get("idempotencyKey") in (None, ""):
        return {**data, "idempotencyKey": header_key}
    if str(data["idempotencyKey"]) != header_key:
        raise KeysDiffer
    return data


class AmountOfDocument(MoneyField):
    """The amount of a transaction's document, in major units."""

    def to_representation(self, value: Document) -> Decimal:
        """Exactly."""
        return to_major(value["amount_minor"], value["currency"])


class TransactionAnswer(AnswerSerializer):
    """A transaction."""

    # From its document: a batch answers a thousand, and a model instance for each costs more than the rest.
    _id = ObjectIdField()
    fromAccount = ObjectIdField(source="from_account")
    toAccount = ObjectIdField(source="to_account")
    amount = AmountOfDocument(source="*")
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=Transaction.Status.choices)
    idempotencyKey = serializers.CharField(source="idempotency_key")
    createdAt = TimestampField(source="created_at")
    updatedAt = TimestampField(source="updated_at")


class TransactionEnvelope(AnswerSerializer):
    """`{message, transaction}`: what a posting answers."""

    message = serializers.CharField()
    transaction = TransactionAnswer()


class ListedTransaction(TransactionAnswer):
    """A transaction of a page: whether it is a reversal is not to be asked for each."""

    kind = serializers.ChoiceField(choices=Transaction.Kind.choices)


class ReversalAnswer(ListedTransaction):
    """A reversal, as staff see it."""

    reverses = ObjectIdField(help_text="The transaction whose money it moved back.")
    reason = serializers.CharField()


class ReversalEnvelope(AnswerSerializer):
    """`{message, transaction}`: what a reversal answers."""

    message = serializers.CharField()
    transaction = ReversalAnswer()


class ApprovalRequestAnswer(AnswerSerializer):
    """What waits for a second member of staff."""

    _id = ObjectIdField(source="pk")
    kind = serializers.ChoiceField(choices=ApprovalRequest.Kind.choices)
    status = serializers.ChoiceField(choices=ApprovalRequest.Status.choices)
    original = ObjectIdField(source="original_id", help_text="The transaction to be reversed.")
    amount = MoneyField()
    currency = serializers.CharField()
    reason = serializers.CharField()
    requestedAt = TimestampField(source="requested_at")


class ApprovalRequestEnvelope(AnswerSerializer):
    """`{message, request}`: what a reversal above the limit answers."""

    message = serializers.CharField()
    request = ApprovalRequestAnswer()


class EntryAnswer(AnswerSerializer):
    """An entry of an account: one side of a transaction."""

    _id = ObjectIdField(source="pk")
    account = ObjectIdField(source="account_id")
    sequence = serializers.IntegerField(help_text="1 for the account's first entry, without gaps.")
    direction = serializers.ChoiceField(choices=Entry.Direction.choices)
    amount = MoneyField()
    currency = serializers.CharField()
    balanceAfter = MoneyField(source="balance_after")
    counterAccount = ObjectIdField(source="counter_account_id")
    transaction = ObjectIdField(source="transaction_id")
    createdAt = TimestampField(source="created_at")
    hash = serializers.CharField(help_text="SHA-256 over the hash before it and this entry's fields.")


class ListedEntry(EntryAnswer):
    """An entry of a page, and what kind of transaction it is a side of."""

    kind = serializers.ChoiceField(choices=Transaction.Kind.choices, help_text="Of its transaction.")


class EntryPage(AnswerSerializer):
    """`{entries, nextCursor}`: newest first."""

    entries = ListedEntry(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class PartyEntryAnswer(EntryAnswer):
    """An entry as either party of its transaction sees it: how another's account stands is null."""

    OWN = ("sequence", "balanceAfter", "hash")

    sequence = serializers.IntegerField(allow_null=True, help_text="Null on another's account.")
    balanceAfter = MoneyField(source="balance_after", allow_null=True, help_text="Null on another's account.")
    hash = serializers.CharField(allow_null=True, help_text="Null on another's account.")

    def to_representation(self, entry: Any) -> dict[str, Any]:
        """The entry, without what only the account's owner may see unless it is the caller's own."""
        shown = super().to_representation(entry)
        return shown if entry.is_own else shown | dict.fromkeys(self.OWN)


class TransactionDetail(ListedTransaction):
    """A transaction with its debit and its credit."""

    reverses = ObjectIdField(allow_null=True, help_text="Of a reversal: the transaction whose money it moved back.")
    reversedBy = ObjectIdField(source="reversed_by", allow_null=True, help_text="The reversal, if it was reversed.")
    entries = PartyEntryAnswer(many=True)


class TransactionDetailEnvelope(AnswerSerializer):
    """`{transaction}`."""

    transaction = TransactionDetail()


class TransactionPage(AnswerSerializer):
    """`{transactions, nextCursor}`: newest first."""

    transactions = ListedTransaction(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class EntryListQuery(PageQuery):
    """`?limit=&cursor=`; the cursor is a sequence number."""

    cursor = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, help_text=CURSOR_HELP)


class TransactionListQuery(PageQuery):
    """Filters and page of a list of transactions."""

    cursor = ObjectIdField(required=False, help_text=CURSOR_HELP)
    account = serializers.CharField(required=False, max_length=255, help_text="One of the caller's accounts.")
    status = serializers.ChoiceField(choices=Transaction.Status.choices, required=False)
    createdAfter = serializers.DateTimeField(required=False, help_text="At or after this time.")
    createdBefore = serializers.DateTimeField(required=False, help_text="Before this time.")
    minAmount = AmountField(required=False)
    maxAmount = AmountField(required=False)
