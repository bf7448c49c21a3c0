"""The OpenAPI description of /api/accounts/."""

from drf_spectacular.utils import extend_schema_view

from accounts.opening import AccountNotFound
from accounts.serializers import (
    AccountEnvelope,
    AccountListQuery,
    AccountPage,
    BalanceAnswer,
    OpenAccountRequest,
)
from ledger_project.money import UnknownCurrency
from ledger_project.openapi import ACCOUNTS, answer, body, operation, refusal, refusal_when

ACCOUNT = {
    "_id": "66f0c1b2a4e5d6f708192a3b",
    "user": "66f0c1a0a4e5d6f708192a2f",
    "name": "Savings",
    "status": "ACTIVE",
    "currency": "INR",
    "balance": 0,
    "createdAt": "2026-11-22T09:30:00.123Z",
    "updatedAt": "2026-11-22T09:30:00.123Z",
}

describe_accounts = extend_schema_view(
    create=operation(
        "openAccount",
        tag=ACCOUNTS,
        summary="Open an account",
        description="At zero, ACTIVE, in INR unless another currency is named. The body may be empty.",
        request=body(OpenAccountRequest, named={"name": "Savings"}, plain={}, in_euro={"currency": "EUR"}),
        answers={201: answer(AccountEnvelope, "Opened.", opened={"account": ACCOUNT})},
        refused=[
            refusal(UnknownCurrency),
            refusal_when("invalid_currency", lambda: OpenAccountRequest.read({"currency": "RUPEE"})),
        ],
    ),
    list=operation(
        "listAccounts",
        tag=ACCOUNTS,
        summary="List your accounts",
        description="The caller's own, oldest first. `nextCursor` is null on the last page.",
        parameters=[AccountListQuery],
        answers={200: answer(AccountPage, "A page of accounts.", accounts={"accounts": [ACCOUNT], "nextCursor": None})},
        refused=[refusal_when("invalid_limit", lambda: AccountListQuery.read({"limit": "0"}))],
    ),
    retrieve=operation(
        "getAccount",
        tag=ACCOUNTS,
        summary="Read an account",
        description="One of the caller's accounts. Those of others do not exist here.",
        answers={200: answer(AccountEnvelope, "The account.", account={"account": ACCOUNT})},
        refused=[refusal(AccountNotFound)],
    ),
    balance=operation(
        "getBalance",
        tag=ACCOUNTS,
        summary="Get an account's balance",
        description="In major units of the account's currency, exactly.",
        answers={
            200: answer(BalanceAnswer, "The balance.", balance={"accountId": ACCOUNT["_id"], "balance": 1000}),
        },
        refused=[refusal(AccountNotFound)],
    ),
)
