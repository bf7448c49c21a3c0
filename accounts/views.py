"""/api/accounts/: open an account, list one's own, read one and its balance."""

from bson import ObjectId
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Account
from accounts.openapi import describe_accounts
from accounts.opening import AccountNotFound, open_account
from accounts.serializers import (
    AccountAnswer,
    AccountListQuery,
    AccountPage,
    BalanceAnswer,
    OpenAccountRequest,
)
from ledger_project.paging import page


@describe_accounts
class AccountViewSet(viewsets.ViewSet):
    """The caller's accounts. Those of others do not exist here."""

    lookup_value_regex = "[^/]+"

    def create(self, request: Request) -> Response:
        """Open an account."""
        account = open_account(user_id=request.user.pk, **OpenAccountRequest.read(request.data))
        return Response({"account": AccountAnswer.of(account)}, status=status.HTTP_201_CREATED)

    def list(self, request: Request) -> Response:
        """The caller's accounts, oldest first."""
        query = AccountListQuery.read(request.query_params)
        accounts = Account.objects.filter(user=request.user.pk).order_by("pk")
        if "cursor" in query:
            accounts = accounts.filter(pk__gt=query["cursor"])
        rows, next_cursor = page(accounts[: query["limit"] + 1], query["limit"], lambda account: account.pk)
        return Response(AccountPage.of({"accounts": rows, "nextCursor": next_cursor}))

    def retrieve(self, request: Request, pk: str) -> Response:
        """One account."""
        return Response({"account": AccountAnswer.of(own_account(request, pk))})

    @action(detail=False, url_path="balance/(?P<pk>[^/]+)")
    def balance(self, request: Request, pk: str) -> Response:
        """The balance, read from the account: the same cost at ten entries and at ten million."""
        return Response(BalanceAnswer.of(own_account(request, pk)))


def own_account(request: Request, account_id: str) -> Account:
    """The caller's account with this id. Raises AccountNotFound for a malformed id, an unknown one, or another's."""
    account = None
    if ObjectId.is_valid(account_id):
        account = Account.objects.filter(pk=ObjectId(account_id), user=request.user.pk).first()
    if account is None:
        raise AccountNotFound
    return account
