"""The OpenAPI description of /api/transactions/."""

from decimal import Decimal

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema_view

from accounts.opening import AccountNotFound
from ledger_project.errors import Unavailable
from ledger_project.money import to_minor
from ledger_project.openapi import (
    TRANSACTIONS,
    Schema,
    answer,
    body,
    operation,
    refusal,
    refusal_when,
)
from transactions import refusals
from transactions.approvals import ApprovalPending
from transactions.batch import BatchAnswer, FundsBatch, TransferBatch
from transactions.examples import APPROVAL_REQUEST, CREDIT, DEBIT, FUNDS, ISSUE, REVERSAL, TRANSACTION, TRANSFER
from transactions.serializers import (
    ApprovalRequestEnvelope,
    InitialFundsRequest,
    ReversalEnvelope,
    ReversalRequest,
    TransactionDetailEnvelope,
    TransactionEnvelope,
    TransactionListQuery,
    TransactionPage,
    TransferRequest,
)
from transactions.statement import StatementBroken
from users.second_factor import SecondFactorRequired

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="The same as `idempotencyKey` in the body, which may then be left out. If both come, they are equal.",
)
REPLAYED = OpenApiParameter(
    "Idempotent-Replay",
    {"type": "string", "const": "true"},
    OpenApiParameter.HEADER,
    response=[200],
    description="This request was carried out before: nothing moved now.",
)
ONCE = (
    "The same request with the same key is carried out once, however often it is sent; one that comes while the first "
    "is still running waits for its outcome. A key belongs to the user who sent it, and a refused request does not "
    "use it up."
)
EACH_OR_ALL = (
    "Without `atomic` each succeeds or fails by itself and has its own `status` in `results`. With `atomic: true` all "
    "are posted or none; the answer is then the problem of the first that is refused, with its `index` in the batch."
)
TRANSFER_TOO_MUCH = TRANSFER | {"amount": 1000, "idempotencyKey": "order-1043"}
POSTED_ITEM = {"status": 201, "message": "Transaction completed successfully", "transaction": TRANSACTION}
ISSUED_ITEM = {"status": 201, "message": "Initial funds transaction completed successfully", "transaction": ISSUE}
_TOO_MUCH = refusal(refusals.InsufficientFunds(Decimal(500), Decimal(1000))).value
REFUSED_ITEM = {"status": 400, "message": _TOO_MUCH["message"], "error": _TOO_MUCH}
# What a posting may meet besides a refusal. Only after the first of these is it unknown whether money has moved.
NOT_CONFIRMED = [
    refusal(raised)
    for raised in (refusals.OutcomeUnknown, refusals.NotPosted, refusals.Forbidden, refusals.TooBusy, Unavailable)
]

describe_transactions = extend_schema_view(
    create=operation(
        "createTransfer",
        tag=TRANSACTIONS,
        summary="Transfer funds",
        description=f"Moves money from an account of the caller's to any other of the same currency. {ONCE}",
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        request=body(TransferRequest, transfer=TRANSFER, numeric_string=TRANSFER | {"amount": "500.00"}),
        answers={
            201: answer(
                TransactionEnvelope,
                "Posted, and on the journals of a majority of the servers.",
                posted={"message": "Transaction completed successfully", "transaction": TRANSACTION},
            ),
            200: answer(
                TransactionEnvelope,
                "Posted by an earlier request with this key; nothing moved now.",
                replayed={"message": "Transaction already processed", "transaction": TRANSACTION},
            ),
        },
        refused=[
            refusal_when("missing_field", lambda: TransferRequest.read({"amount": 500})),
            refusal_when("invalid_amount", lambda: TransferRequest.read(TRANSFER | {"amount": -5})),
            refusal_when("amount_out_of_range", lambda: TransferRequest.read(TRANSFER | {"amount": 10**16})),
            refusal_when("too_many_decimals", lambda: to_minor(Decimal("0.001"), "INR")),
            refusal(refusals.InvalidAccounts),
            refusal(refusals.SameAccount),
            refusal(refusals.CurrencyMismatch),
            refusal(refusals.AccountNotActive),
            refusal(refusals.InsufficientFunds(Decimal(500), Decimal(1000))),
            refusal(refusals.BalanceOutOfRange),
            refusal(refusals.KeysDiffer),
            refusal(refusals.IdempotencyKeyReused),
            *NOT_CONFIRMED,
        ],
    ),
    initial_funds=operation(
        "issueInitialFunds",
        tag=TRANSACTIONS,
        summary="Add initial funds (system users)",
        description=(
            "Issues money from the system user's equity account, which goes below zero by as much: "
            f"all balances of a currency always sum to zero. {ONCE}"
        ),
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        request=body(InitialFundsRequest, funds=FUNDS),
        answers={
            201: answer(
                TransactionEnvelope,
                "Issued, and on the journals of a majority of the servers.",
                issued={"message": "Initial funds transaction completed successfully", "transaction": ISSUE},
            ),
            200: answer(
                TransactionEnvelope,
                "Issued by an earlier request with this key; nothing moved now.",
                replayed={"message": "Transaction already processed", "transaction": ISSUE},
            ),
        },
        refused=[
            refusal_when("missing_field", lambda: InitialFundsRequest.read({"amount": 10000})),
            refusal_when("invalid_amount", lambda: InitialFundsRequest.read(FUNDS | {"amount": 0})),
            refusal_when("amount_out_of_range", lambda: InitialFundsRequest.read(FUNDS | {"amount": 10**16})),
            refusal_when("too_many_decimals", lambda: to_minor(Decimal("0.001"), "INR")),
            refusal(refusals.InvalidToAccount),
            refusal(refusals.SystemAccountNotFound),
            refusal(refusals.SameAccount),
            refusal(refusals.AccountNotActive),
            refusal(refusals.BalanceOutOfRange),
            refusal(refusals.KeysDiffer),
            refusal(refusals.NotSystemUser),
            refusal(refusals.IdempotencyKeyReused),
            *NOT_CONFIRMED,
        ],
    ),
    batch=operation(
        "createTransferBatch",
        tag=TRANSACTIONS,
        summary="Transfer funds, many at once",
        description=f"Up to 1,000 transfers, carried out in their order. {EACH_OR_ALL} {ONCE}",
        parameters=[REPLAYED],
        request=body(TransferBatch, transfers={"atomic": False, "transfers": [TRANSFER, TRANSFER_TOO_MUCH]}),
        answers={
            200: answer(
                BatchAnswer,
                "Not atomic: each item has its own status. Atomic: all were posted by an earlier request.",
                results={"results": [POSTED_ITEM, REFUSED_ITEM]},
            ),
            201: answer(BatchAnswer, "Atomic: all were posted.", posted={"results": [POSTED_ITEM]}),
        },
        refused=[
            refusal_when("missing_field", lambda: TransferBatch.read({})),
            refusal_when("no_transfers", lambda: TransferBatch.read({"transfers": []})),
            refusal(refusals.InvalidAccounts),
            refusal(refusals.SameAccount),
            refusal(refusals.CurrencyMismatch),
            refusal(refusals.AccountNotActive),
            refusal(refusals.InsufficientFunds(Decimal(500), Decimal(1000))),
            refusal(refusals.IdempotencyKeyReused),
            *NOT_CONFIRMED,
        ],
    ),
    initial_funds_batch=operation(
        "issueInitialFundsBatch",
        tag=TRANSACTIONS,
        summary="Add initial funds, many at once (system users)",
        description=f"Issues money to up to 1,000 accounts. {EACH_OR_ALL} {ONCE}",
        parameters=[REPLAYED],
        request=body(FundsBatch, funds={"atomic": True, "transfers": [FUNDS]}),
        answers={
            200: answer(
                BatchAnswer,
                "Not atomic: each item has its own status. Atomic: all were issued by an earlier request.",
                results={"results": [ISSUED_ITEM]},
            ),
            201: answer(BatchAnswer, "Atomic: all were issued.", issued={"results": [ISSUED_ITEM]}),
        },
        refused=[
            refusal_when("missing_field", lambda: FundsBatch.read({})),
            refusal(refusals.InvalidToAccount),
            refusal(refusals.SystemAccountNotFound),
            refusal(refusals.AccountNotActive),
            refusal(refusals.NotSystemUser),
            refusal(refusals.IdempotencyKeyReused),
            *NOT_CONFIRMED,
        ],
    ),
    reverse=operation(
        "reverseTransaction",
        tag=TRANSACTIONS,
        summary="Reverse a transaction (staff)",
        description=(
            "Posts a transaction of the same amount the other way round, and marks the original REVERSED; each names "
            "the other. A transaction is reversed once and as a whole. Both accounts must be ACTIVE, and the receiver "
            "must still have the money. Above a limit of the operator's the answer is 202: nothing has moved, and "
            f"another member of staff has to approve it. Needs the permission to reverse transactions. {ONCE}"
        ),
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        request=body(
            ReversalRequest,
            reversal={"reason": "Paid twice, case 5512", "idempotencyKey": "case-5512"},
            without_a_key={"reason": "Paid twice, case 5512"},
        ),
        answers={
            201: answer(
                ReversalEnvelope,
                "Reversed, and on the journals of a majority of the servers.",
                reversed={"message": "Transaction reversed successfully", "transaction": REVERSAL},
            ),
            200: answer(
                ReversalEnvelope,
                "Reversed by an earlier request like this one; nothing moved now.",
                replayed={"message": "Transaction already processed", "transaction": REVERSAL},
            ),
            202: answer(
                ApprovalRequestEnvelope,
                "Above the limit: it waits for another member of staff. With the same key again: how it stands then.",
                waiting={
                    "message": "Nothing has moved: another member of staff has to approve this reversal",
                    "request": APPROVAL_REQUEST,
                },
            ),
        },
        refused=[
            refusal_when("missing_reason", lambda: ReversalRequest.read({})),
            refusal(refusals.AccountNotActive),
            refusal(refusals.InsufficientFunds(Decimal(500), Decimal(1000))),
            refusal(refusals.BalanceOutOfRange),
            refusal(refusals.KeysDiffer),
            refusal(refusals.NotStaff),
            refusal(SecondFactorRequired),
            refusal(refusals.TransactionNotFound),
            refusal(refusals.AlreadyReversed),
            refusal(refusals.ReversalIsFinal),
            refusal(ApprovalPending),
            refusal(refusals.IdempotencyKeyReused),
            *NOT_CONFIRMED,
        ],
    ),
    list=operation(
        "listTransactions",
        tag=TRANSACTIONS,
        summary="List your transactions",
        description="Those that touch the caller's accounts, newest first. `nextCursor` is null on the last page.",
        parameters=[TransactionListQuery],
        answers={
            200: answer(
                TransactionPage,
                "A page of transactions.",
                transactions={"transactions": [TRANSACTION | {"kind": "TRANSFER"}], "nextCursor": TRANSACTION["_id"]},
            )
        },
        refused=[
            refusal_when("invalid_filter", lambda: TransactionListQuery.read({"status": "LOST", "limit": "0"})),
            refusal(AccountNotFound),
        ],
    ),
    retrieve=operation(
        "getTransaction",
        tag=TRANSACTIONS,
        summary="Read a transaction",
        description="With its two entries, the debit first. It touches one of the caller's accounts, or is not found.",
        answers={
            200: answer(
                TransactionDetailEnvelope,
                "The transaction.",
                transaction={
                    "transaction": TRANSACTION
                    | {"kind": "TRANSFER", "reverses": None, "reversedBy": None, "entries": [DEBIT, CREDIT]}
                },
            )
        },
        refused=[refusal(Http404), refusal(StatementBroken)],
    ),
)


def key_may_come_in_the_header(result: Schema, **_: object) -> Schema:
    """A hook of drf-spectacular: the body needs no idempotencyKey when the header has it."""
    for serializer in (TransferRequest, InitialFundsRequest):
        result["components"]["schemas"][serializer.__name__]["required"].remove("idempotencyKey")
    return result
