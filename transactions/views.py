"""/api/transactions/ and the entries of an account: post a transfer, issue initial funds, look back."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from django.http import Http404
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.views import own_account
from ledger_project.errors import LedgerError, Unavailable
from ledger_project.jsonio import BatchParser
from ledger_project.paging import page
from transactions import history, ledger
from transactions.account_openapi import describe_entries
from transactions.batch import FundsBatch, TransferBatch, post_batch
from transactions.ledger import Outcome
from transactions.models import ApprovalRequest
from transactions.openapi import describe_transactions
from transactions.refusals import NotStaff, NotSystemUser
from transactions.reversing import MAY_REVERSE, reverse
from transactions.serializers import (
    ApprovalRequestAnswer,
    EntryListQuery,
    EntryPage,
    InitialFundsRequest,
    ReversalAnswer,
    ReversalRequest,
    TransactionAnswer,
    TransactionDetail,
    TransactionListQuery,
    TransactionPage,
    TransferRequest,
)
from users.audit import audited
from users.authentication import TOKENS, AuthenticatedRequest, token_of
from users.second_factor import require_for_staff
from users.staff import may

COMPLETED = "Transaction completed successfully"
ISSUED = "Initial funds transaction completed successfully"
REVERSED = "Transaction reversed successfully"
WAITING = "Nothing has moved: another member of staff has to approve this reversal"
# Whoever asks again with the same key is told what became of it; a posted one is answered with its transaction.
STANDS: dict[str, str] = {
    ApprovalRequest.Status.APPROVED: "Approved; the reversal is about to be posted",
    ApprovalRequest.Status.REJECTED: "Nothing has moved: the reversal was rejected",
    ApprovalRequest.Status.REFUSED: "Nothing has moved: the reversal was approved, and refused by the ledger",
}


@describe_transactions
class TransactionViewSet(viewsets.ViewSet):
    """Transactions that touch the caller's accounts."""

    lookup_value_regex = "[^/]+"

    def perform_authentication(self, request: Request) -> None:
        """Who makes a transfer is looked up by the ledger, in the snapshot in which the money moves (ADR 0008)."""
        if self.action != "create":
            super().perform_authentication(request)

    def get_permissions(self) -> Sequence[Any]:
        """None for a transfer: they would ask who it is."""
        return [] if self.action == "create" else super().get_permissions()

    def create(self, request: Request) -> Response:
        """Move money from an account of the caller's to any other, once for each idempotency key."""
        token = token_of(request)
        try:
            transfer = TransferRequest.command(request.data, initiator=token.user, header_key=_header_key(request))
            return _answer(ledger.post(transfer, token=token), COMPLETED)
        except Unavailable:
            raise  # what became of it says more than what became of the token, and the database is asked no more
        except (APIException, LedgerError):
            TOKENS.authenticate(request)  # that the token does not count any more is said before all else
            raise

    @action(detail=False, methods=["post"], parser_classes=[BatchParser])
    def batch(self, request: AuthenticatedRequest) -> Response:
        """Up to 1,000 transfers: each by itself, or all or none."""
        return post_batch(request.data, initiator=request.user.pk, batch=TransferBatch, message=COMPLETED)

    @action(detail=False, methods=["post"], url_path="system/initial-funds")
    def initial_funds(self, request: AuthenticatedRequest) -> Response:
        """Issue money from the system user's equity account; for system users."""
        if not request.user.is_system:
            raise NotSystemUser
        transfer = InitialFundsRequest.command(request.data, initiator=request.user.pk, header_key=_header_key(request))
        return _answer(ledger.post(transfer), ISSUED)

    @action(detail=False, methods=["post"], url_path="system/initial-funds/batch", parser_classes=[BatchParser])
    def initial_funds_batch(self, request: AuthenticatedRequest) -> Response:
        """Initial funds for up to 1,000 accounts; for system users."""
        if not request.user.is_system:
            raise NotSystemUser
        return post_batch(request.data, initiator=request.user.pk, batch=FundsBatch, message=ISSUED)

    @action(detail=True, methods=["post"])
    def reverse(self, request: AuthenticatedRequest, pk: str) -> Response:
        """Move the money of a transaction back, once; for staff."""
        if not may(request.user, MAY_REVERSE):
            raise NotStaff
        require_for_staff(request.auth)
        reversal = ReversalRequest.command(
            request.data, initiator=request.user.pk, original=pk, header_key=_header_key(request)
        )
        with audited(request):
            result = reverse(staff=request.user, reversal=reversal)
        if isinstance(result, ApprovalRequest):
            waiting = {"message": STANDS.get(result.status, WAITING), "request": ApprovalRequestAnswer.of(result)}
            return Response(waiting, status=status.HTTP_202_ACCEPTED)
        return _answer(result, REVERSED, ReversalAnswer)

    def list(self, request: AuthenticatedRequest) -> Response:
        """Newest first, filtered."""
        query = TransactionListQuery.read(request.query_params)
        account = own_account(request, query["account"]).pk if "account" in query else None
        rows = history.transactions(party=account or request.user.pk, **_filters(query))
        shown, next_cursor = page(rows, query["limit"], lambda transaction: transaction["_id"])
        return Response(TransactionPage.of({"transactions": shown, "nextCursor": next_cursor}))

    def retrieve(self, request: AuthenticatedRequest, pk: str) -> Response:
        """One transaction with its two entries."""
        transaction = history.transaction(ObjectId(pk), party=request.user.pk) if ObjectId.is_valid(pk) else None
        if transaction is None:
            raise Http404
        return Response({"transaction": TransactionDetail.of(transaction)})


@describe_entries
class EntryViewSet(viewsets.ViewSet):
    """The entries of one of the caller's accounts: its statement."""

    def list(self, request: AuthenticatedRequest, account_id: str) -> Response:
        """Newest first."""
        query = EntryListQuery.read(request.query_params)
        account = own_account(request, account_id)
        rows = history.entries(account=account.pk, before=query.get("cursor"), limit=query["limit"] + 1)
        shown, next_cursor = page(rows, query["limit"], lambda entry: entry.sequence)
        return Response(EntryPage.of({"entries": history.with_kinds(shown), "nextCursor": next_cursor}))


def _header_key(request: Request) -> str | None:
    return request.headers.get("Idempotency-Key")


def _answer(outcome: Outcome, message: str, shape: type[TransactionAnswer] = TransactionAnswer) -> Response:
    """201 for a posting, 200 and Idempotent-Replay for one that was made before."""
    transaction = shape.of(outcome.document)
    if outcome.replayed:
        return Response(
            {"message": "Transaction already processed", "transaction": transaction},
            headers={"Idempotent-Replay": "true"},
        )
    return Response({"message": message, "transaction": transaction}, status=status.HTTP_201_CREATED)


def _filters(query: dict) -> dict:
    """The query in history.transactions' words; one row more than the page shows whether there is another."""
    names = {
        "cursor": "before",
        "status": "status",
        "createdAfter": "created_from",
        "createdBefore": "created_until",
        "minAmount": "min_amount",
        "maxAmount": "max_amount",
    }
    return {ours: query[theirs] for theirs, ours in names.items() if theirs in query} | {"limit": query["limit"] + 1}
