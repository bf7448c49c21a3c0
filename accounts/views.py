"""/api/accounts/: open an account, list one's own, read one and its balance."""

from bson import ObjectId
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.models import Account
from accounts.openapi import describe_accounts
from accounts.opening import AccountNotFound, account_of, accounts_of, open_account
from accounts.serializers import (
    AccountAnswer,
    AccountListQuery,
    AccountPage,
    BalanceAnswer,
    OpenAccountRequest,
)
from ledger_project.paging import page
from users.authentication import AuthenticatedRequest


@describe_accounts
class AccountViewSet(viewsets.ViewSet):
    """The caller's accounts. Those of others do not exist here."""

    lookup_value_regex = "[^/]+"

    def create(self, request: AuthenticatedRequest) -> Response:
        """Open an account."""
        account = open_account(user_id=request.user.pk, **OpenAccountRequest.read(request.data))
        return Response({"account": AccountAnswer.of(account)}, status=status.HTTP_201_CREATED)

    def list(self, request: AuthenticatedRequest) -> Response:
        """The caller's accounts, oldest first."""
        query = AccountListQuery.read(request.query_params)
        rows = accounts_of(request.user.pk, after=query.get("cursor"), limit=query["limit"] + 1)
        shown, next_cursor = page(rows, query["limit"], lambda account: account.pk)
        return Response(AccountPage.of({"accounts": shown, "nextCursor": next_cursor}))

    def retrieve(self, request: AuthenticatedRequest, pk: str) -> Response:
        """One account."""
        return Response({"account": AccountAnswer.of(own_account(request, pk))})

    @action(detail=False, url_path="balance/(?P<pk>[^/]+)")
    def balance(self, request: AuthenticatedRequest, pk: str) -> Response:
        """The balance, read from the account: the same cost at ten entries and at ten million."""
        return Response(BalanceAnswer.of(own_account(request, pk)))


def own_account(request: AuthenticatedRequest, account_id: str) -> Account:
    """The caller's account with this id. Raises AccountNotFound for a malformed id, an unknown one, or another's."""
    if not ObjectId.is_valid(account_id):
        raise AccountNotFound
    return account_of(request.user.pk, ObjectId(account_id))
