"""/api/accounts/:id/statement, …/balance?at= and …/history: an account as it was, for its owner."""

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from accounts.views import own_account
from ledger_project.jsonio import JSONRenderer
from ledger_project.money import to_major
from ledger_project.mongo import from_document
from transactions import account_history, statement_files
from transactions.account_openapi import describe_account_history
from transactions.account_serializers import (
    FORMATS,
    BalanceAtAnswer,
    BalanceAtQuery,
    HistoryAnswer,
    HistoryQuery,
    PeriodQuery,
    StatementAnswer,
    StatementQuery,
)
from transactions.models import Entry
from transactions.statement import Statement
from users.authentication import AuthenticatedRequest


class _CsvAccepted(JSONRenderer):
    """Lets in who accepts CSV only; a refusal is JSON all the same."""

    media_type = FORMATS["csv"]
    format = "csv"


class _PdfAccepted(JSONRenderer):
    """The same for PDF."""

    media_type = FORMATS["pdf"]
    format = "pdf"


@describe_account_history
class AccountHistoryViewSet(viewsets.ViewSet):
    """One of the caller's accounts, as it was."""

    def get_renderers(self) -> list[BaseRenderer]:
        """A statement is a file, too."""
        return [JSONRenderer(), *([_CsvAccepted(), _PdfAccepted()] if self.action == "statement" else ())]

    @action(detail=True)
    def statement(self, request: AuthenticatedRequest, account_id: str) -> HttpResponseBase:
        """The entries of a period between the balances that they explain."""
        query = StatementQuery.read(request.query_params)
        account = own_account(request, account_id)
        found = account_history.statement_of(account, **PeriodQuery.period(query, account.created_at))
        return statement_response(found, file_format=query["format"], owner=request.user.name)

    @action(detail=True)
    def balance(self, request: AuthenticatedRequest, account_id: str) -> Response:
        """The balance at a moment, from the entry that left it."""
        query = BalanceAtQuery.read(request.query_params)
        account = own_account(request, account_id)
        at = query.get("at") or timezone.now()
        link = account_history.link_at(account.pk, account_history.last_before(account, at))
        balance = to_major(link.balance_minor, account.currency)
        answer = {"accountId": account.pk, "balance": balance, "at": at, "sequence": link.sequence}
        return Response(BalanceAtAnswer.of(answer))

    @action(detail=True)
    def history(self, request: AuthenticatedRequest, account_id: str) -> Response:
        """A few of the balances that the account had, for a chart."""
        query = HistoryQuery.read(request.query_params)
        account = own_account(request, account_id)
        period = PeriodQuery.period(query, account.created_at)
        rows = account_history.points(account, **period, count=query["points"])
        points = [
            {
                "at": row["created_at"],
                "balance": to_major(row["balance_after_minor"], account.currency),
                "sequence": row["sequence"],
            }
            for row in rows
        ]
        answer = {"accountId": account.pk, "currency": account.currency, "points": points}
        return Response(HistoryAnswer.of(answer))


def statement_response(found: Statement, *, file_format: str, owner: str) -> HttpResponseBase:
    """`found` as JSON, or as a CSV or PDF file to keep."""
    if file_format == "json":
        return Response({"statement": _answer(found)}, content_type=FORMATS["json"])
    if file_format == "csv":
        content = statement_files.as_csv(found, owner=owner)
    else:
        content = statement_files.as_pdf(found, owner=owner, issuer=settings.SITE_NAME)
    name = f"statement-{found.account}-{found.since:%Y-%m-%d}-{found.until:%Y-%m-%d}.{file_format}"
    return HttpResponse(
        content,
        content_type=FORMATS[file_format],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def _answer(found: Statement) -> dict:
    return StatementAnswer.of(
        {
            "account": found.account,
            "currency": found.currency,
            "from": found.since,
            "to": found.until,
            "openingBalance": found.major(found.opening_minor),
            "credited": found.major(found.credited_minor),
            "debited": found.major(found.debited_minor),
            "closingBalance": found.major(found.closing_minor),
            "chainHead": found.chain_head,
            "entries": [from_document(Entry, entry) for entry in found.entries],
        }
    )
