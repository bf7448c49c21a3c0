"""Many transfers in one request: the same rules, the same engine, an answer for each."""

from http import HTTPStatus
from typing import Any, ClassVar

from bson import ObjectId
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from ledger_project.errors import LedgerError, Unavailable
from ledger_project.problems import exception_handler, problem_of
from ledger_project.serializers import AnswerSerializer, RequestSerializer, YesOrNo
from ledger_project.throttles import charge_user
from transactions import ledger
from transactions.ledger import Outcome
from transactions.posting import Transfer
from transactions.refusals import BatchRefused
from transactions.serializers import InitialFundsRequest, TransactionAnswer, TransferRequest

MAX_TRANSFERS = 1000

# An item as it was read, and what it came to: a transaction, or why there is none.
Item = Transfer | LedgerError | ValidationError
ItemResult = Outcome | LedgerError | ValidationError


class UnreadItem(serializers.Field):
    """An item as it was sent: each is read by itself, so that one that is malformed spoils no other."""

    def to_internal_value(self, data: Any) -> Any:
        """As it is."""
        return data


@extend_schema_field(TransferRequest(many=True))
class Transfers(serializers.ListField):
    """Transfers, each with its own idempotency key."""


@extend_schema_field(InitialFundsRequest(many=True))
class Funds(serializers.ListField):
    """Initial funds, each with its own idempotency key."""


class TransferBatch(RequestSerializer):
    """`{atomic?, transfers: [{fromAccount, toAccount, amount, idempotencyKey}, …]}`."""

    missing_message = "transfers is required"
    item: ClassVar[type[InitialFundsRequest]] = TransferRequest

    atomic = YesOrNo(default=False, help_text="All of them or none; false by default.")
    transfers: serializers.ListField = Transfers(
        child=UnreadItem(allow_null=True), min_length=1, max_length=MAX_TRANSFERS
    )


class FundsBatch(TransferBatch):
    """`{atomic?, transfers: [{toAccount, amount, idempotencyKey}, …]}`."""

    item = InitialFundsRequest

    transfers = Funds(child=UnreadItem(allow_null=True), min_length=1, max_length=MAX_TRANSFERS)


class BatchItemAnswer(AnswerSerializer):
    """What became of one item: 201 or 200 with its transaction, or the status and the problem of its refusal."""

    status = serializers.IntegerField(help_text="The status that the item alone would have been answered with.")
    message = serializers.CharField()
    transaction = TransactionAnswer(required=False)
    error = serializers.DictField(required=False, help_text="A problem, as in problem+json.")


class BatchAnswer(AnswerSerializer):
    """`{results}`: one for each item, in its order."""

    results = BatchItemAnswer(many=True)


def post_batch(data: Any, *, initiator: ObjectId, batch: type[TransferBatch], message: str) -> Response:
    """Carry out the batch in `data` and answer it; `message` is that of an item that was posted.

    Not atomic: 200, and each item with its own status. Atomic: 201 (200 when all were posted before), or the problem of
    the first item that is refused, with its `index` in the batch; then nothing has moved. Raises ValidationError when
    the batch itself is malformed.
    """
    read = batch.read(data)
    charge_user(initiator, items=len(read["transfers"]))
    items = [_command(batch.item, item, initiator) for item in read["transfers"]]
    results = _post_all(items) if read["atomic"] else _post_each(items)
    if read["atomic"]:
        for index, result in enumerate(results):
            if not isinstance(result, Outcome | BatchRefused):
                return _refused_at(index, result)
    answered = {"results": [_item_answer(result, message) for result in results]}
    if all(isinstance(result, Outcome) and result.replayed for result in results):
        return Response(answered, headers={"Idempotent-Replay": "true"})
    return Response(answered, status=HTTPStatus.CREATED if read["atomic"] else HTTPStatus.OK)


def _command(item: type[InitialFundsRequest], data: Any, initiator: ObjectId) -> Item:
    """The command in one item, or what is wrong with it."""
    try:
        return item.command(data, initiator=initiator, header_key=None)
    except (LedgerError, ValidationError) as refusal:
        return refusal


def _post_each(items: list[Item]) -> list[ItemResult]:
    """Post those that are commands; the others keep their place and their refusal."""
    posted = iter(ledger.post_together([item for item in items if isinstance(item, Transfer)]))
    return [next(posted) if isinstance(item, Transfer) else item for item in items]


def _post_all(items: list[Item]) -> list[ItemResult]:
    """Post all or none: none when one of them is no command at all."""
    transfers = [item for item in items if isinstance(item, Transfer)]
    if len(transfers) < len(items):
        return [BatchRefused() if isinstance(item, Transfer) else item for item in items]
    return list(ledger.post_together(transfers, atomic=True))


def _item_answer(result: ItemResult, message: str) -> dict[str, Any]:
    if isinstance(result, Outcome):
        transaction = TransactionAnswer.of(result.document)
        if result.replayed:
            return {"status": 200, "message": "Transaction already processed", "transaction": transaction}
        return {"status": 201, "message": message, "transaction": transaction}
    problem = problem_of(result)
    return {"status": problem["status"], "message": problem["message"], "error": problem}


def _refused_at(index: int, refusal: LedgerError | ValidationError) -> Response:
    """The answer to an atomic batch: the problem of the first item that was refused, and where it stands.

    Where the database failed, no item is to blame.
    """
    answer = exception_handler(refusal, {})
    if not isinstance(refusal, Unavailable):
        answer.data["index"] = index
    return answer
