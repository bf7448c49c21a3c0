"""The shapes of accounts in requests and answers."""

from rest_framework import serializers

from accounts.models import Account
from ledger_project.paging import CURSOR_HELP, PageQuery
from ledger_project.serializers import AnswerSerializer, MoneyField, ObjectIdField, RequestSerializer, TimestampField


class OpenAccountRequest(RequestSerializer):
    """`{currency?, name?}`: both may be left out, and so may the body."""

    currency = serializers.CharField(min_length=3, max_length=3, required=False, help_text="ISO 4217; INR by default.")
    name = serializers.CharField(max_length=100, required=False, allow_blank=True)


class AccountListQuery(PageQuery):
    """`?limit=&cursor=`; without a limit up to 1,000, for the seed's clients know no pages."""

    limit = serializers.IntegerField(min_value=1, max_value=1000, default=1000)
    cursor = ObjectIdField(required=False, help_text=CURSOR_HELP)


class AccountAnswer(AnswerSerializer):
    """An account as its owner sees it."""

    _id = ObjectIdField(source="pk")
    user = ObjectIdField(source="user_id")
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Account.Status.choices)
    currency = serializers.CharField()
    balance = MoneyField()
    createdAt = TimestampField(source="created_at")
    updatedAt = TimestampField(source="updated_at")


class AccountEnvelope(AnswerSerializer):
    """`{account}`."""

    account = AccountAnswer()


class AccountPage(AnswerSerializer):
    """`{accounts, nextCursor}`: oldest first."""

    accounts = AccountAnswer(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class BalanceAnswer(AnswerSerializer):
    """`{accountId, balance}`."""

    accountId = ObjectIdField(source="pk")
    balance = MoneyField()
