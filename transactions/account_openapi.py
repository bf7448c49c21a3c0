"""The OpenAPI description of what an account's owner reads of it: entries, statement, balances of the past."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_view

from accounts.opening import AccountNotFound
from ledger_project.openapi import ACCOUNTS, answer, operation, refusal, refusal_when
from transactions.account_history import StatementTooLong
from transactions.account_serializers import (
    FORMATS,
    BalanceAtAnswer,
    BalanceAtQuery,
    HistoryAnswer,
    HistoryQuery,
    StatementEnvelope,
    StatementQuery,
)
from transactions.examples import DEBIT, FROM, TIME
from transactions.serializers import EntryListQuery, EntryPage
from transactions.statement import StatementBroken

describe_entries = extend_schema_view(
    list=operation(
        "listEntries",
        tag=ACCOUNTS,
        summary="List an account's entries",
        description=(
            "The statement of one of the caller's accounts, newest first: every debit and credit with the balance "
            "after it. `nextCursor` is null on the last page."
        ),
        parameters=[EntryListQuery],
        answers={
            200: answer(
                EntryPage,
                "A page of entries.",
                entries={"entries": [DEBIT | {"kind": "TRANSFER"}], "nextCursor": "7"},
            ),
        },
        refused=[
            refusal_when("invalid_cursor", lambda: EntryListQuery.read({"cursor": "first"})),
            refusal(AccountNotFound),
            refusal(StatementBroken),
        ],
    ),
)

STATEMENT = {
    "account": FROM,
    "currency": "INR",
    "from": "2026-11-01T00:00:00.000Z",
    "to": "2026-12-01T00:00:00.000Z",
    "openingBalance": 1750.5,
    "credited": 0,
    "debited": 500,
    "closingBalance": 1250.5,
    "chainHead": DEBIT["hash"],
    "entries": [DEBIT],
}


def _file(kind: str, begins: str) -> OpenApiResponse:
    example = OpenApiExample(kind, value=begins, media_type=FORMATS[kind], response_only=True)
    return OpenApiResponse(OpenApiTypes.BINARY, "The statement as a file.", examples=[example])


describe_account_history = extend_schema_view(
    statement=operation(
        "getStatement",
        tag=ACCOUNTS,
        summary="Get an account's statement",
        description=(
            "The entries of a period, oldest first, between the opening and the closing balance that they explain. As "
            "JSON, or as a file to keep: CSV or PDF. Statements that follow one another share no entry and lose none."
        ),
        parameters=[StatementQuery],
        answers={
            (200, FORMATS["json"]): answer(StatementEnvelope, "The statement.", statement={"statement": STATEMENT}),
            (200, FORMATS["csv"]): _file("csv", f"account,{FROM}\r\nowner,Asha\r\ncurrency,INR\r\n"),
            (200, FORMATS["pdf"]): _file("pdf", "%PDF-1.4"),
        },
        refused=[
            refusal_when("not_a_day", lambda: StatementQuery.read({"from": "2026-02-30"})),
            refusal_when(
                "ends_before_it_begins", lambda: StatementQuery.read({"from": "2026-02-02", "to": "2026-02-01"})
            ),
            refusal(StatementTooLong),
            refusal(AccountNotFound),
            refusal(StatementBroken),
        ],
    ),
    balance=operation(
        "getBalanceAt",
        tag=ACCOUNTS,
        summary="Get an account's balance at a time",
        description="What the last entry before that time left.",
        parameters=[BalanceAtQuery],
        answers={
            200: answer(
                BalanceAtAnswer,
                "The balance.",
                balance={"accountId": FROM, "balance": 1250.5, "at": TIME, "sequence": 7},
            ),
        },
        refused=[
            refusal_when("not_a_time", lambda: BalanceAtQuery.read({"at": "yesterday"})),
            refusal(AccountNotFound),
            refusal(StatementBroken),
        ],
    ),
    history=operation(
        "getBalanceHistory",
        tag=ACCOUNTS,
        summary="Get an account's balance over time",
        description=(
            "For a chart: entries of the period, evenly by number, with the balance that each left; the last one is "
            "among them, and first comes the one before the period. Between two points it may have been anything."
        ),
        parameters=[HistoryQuery],
        answers={
            200: answer(
                HistoryAnswer,
                "Points, oldest first.",
                points={
                    "accountId": FROM,
                    "currency": "INR",
                    "points": [{"at": TIME, "balance": 1250.5, "sequence": 7}],
                },
            ),
        },
        refused=[
            refusal_when("too_many_points", lambda: HistoryQuery.read({"points": "10000"})),
            refusal(AccountNotFound),
            refusal(StatementBroken),
        ],
    ),
)
