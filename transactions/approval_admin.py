"""Staff's pages for approval requests: ask for funds, approve, reject. The rules are in approvals.py."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from bson import ObjectId
from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from ledger_project.admin import ReadOnlyAdmin, moment, money, related_link
from ledger_project.errors import LedgerError
from ledger_project.money import InvalidAmount, parse_amount
from ledger_project.reasons import ReasonForm, dialog, leave
from transactions import approvals
from transactions.models import ApprovalRequest
from users.staff import acting, named_id


class FundsForm(ReasonForm):
    """Which account is to get how much, and why. `request_id` is made with the form: sent twice, it asks once."""

    account = forms.CharField(max_length=24, widget=UnfoldAdminTextInputWidget, help_text="The id of an account.")
    amount = forms.CharField(
        max_length=30, widget=UnfoldAdminTextInputWidget, help_text="In major units of its currency: 500 or 99.50."
    )
    request_id = forms.CharField(initial=ObjectId, widget=forms.HiddenInput)
    field_order = ("account", "amount", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Empty, or with the account that the address names."""
        super().__init__(*args, **kwargs)
        self.fields["account"].initial = self.request.GET.get("account")

    def clean_account(self) -> ObjectId:
        """An id."""
        return _id(self.cleaned_data["account"])

    def clean_request_id(self) -> ObjectId:
        """An id."""
        return _id(self.cleaned_data["request_id"])

    def clean_amount(self) -> Decimal:
        """Positive, finite, not absurd; how many decimals it may have, the account says."""
        try:
            return parse_amount(self.cleaned_data["amount"])
        except InvalidAmount as error:
            raise forms.ValidationError(error.message) from None


def _id(text: str) -> ObjectId:
    if not ObjectId.is_valid(text):
        raise forms.ValidationError("Not an id: 24 hex digits are.")
    return ObjectId(text)


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """What waits for a decision, and what became of what was decided."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "kind",
        "status",
        "amount",
        "currency",
        "account_id",
        "original_id",
        "requested_by_id",
        "requested_at",
        "reason",
        "idempotency_key",
        "decided_by_id",
        "decided_at",
        "decision_reason",
        "transaction_id",
        "settled_at",
        "outcome",
    )
    list_display = ("asked_at", "kind", "moved", "by", "state", "decider", "reason")
    list_filter = ("status", "kind")
    list_related = page_related = ("requested_by", "decided_by")
    search_help_text = "Id of a request, an account, a transaction or whoever asked, or their e-mail"
    actions_list = ("request_funds",)
    actions_detail = ("approve_this", "reject_this")
    fields = (
        ("kind", "state"),
        ("moved", "about"),
        ("by", "asked_at"),
        "reason",
        ("decider", "decided"),
        "decision_reason",
        ("posted_as", "settled"),
        "outcome",
    )
    asked_at = moment("requested_at", "requested")
    decided = moment("decided_at", "decided")
    settled = moment("settled_at", "settled")

    def search(self, queryset: QuerySet[ApprovalRequest], term: str) -> QuerySet[ApprovalRequest]:
        """By whatever it names."""
        key = named_id(term)
        names = Q(pk=key) | Q(account=key) | Q(original=key) | Q(transaction=key) | Q(requested_by=key)
        return queryset.filter(names) if key else queryset.none()

    def has_request_funds_permission(self, request: HttpRequest) -> bool:
        """Whoever may ask for funds."""
        return acting(request).has_perm("transactions.request_funds")

    def has_decide_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may decide; approvals.py knows who may not decide on this one."""
        return acting(request).has_perm("transactions.decide_approvalrequest")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """The buttons, where there is something to decide and it was not asked for by whoever looks."""
        found = self.get_object(request, object_id)
        pending = found and found.status == ApprovalRequest.Status.PENDING
        return super().get_actions_detail(request, object_id) if pending and found.requested_by != request.user else []

    @action(
        description="Request funds",
        permissions=["request_funds"],
        icon="add_card",
        dialog=dialog("Request funds", "Nothing moves before a colleague has approved it.", FundsForm),
    )
    def request_funds(self, request: HttpRequest, form: FundsForm) -> HttpResponse:
        """Ask for money to be issued to an account."""
        given = form.cleaned_data
        try:
            made = approvals.request_funds(
                staff=acting(request),
                account_id=given["account"],
                amount=given["amount"],
                reason=given["reason"],
                request_id=given["request_id"],
            )
        except LedgerError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return leave(request, reverse("admin:transactions_approvalrequest_changelist"))
        self.message_user(request, "Requested. A colleague has to approve it.", messages.SUCCESS)
        return leave(request, _page(made.pk))

    @action(
        description="Approve",
        permissions=["decide"],
        icon="check",
        variant=ActionVariant.SUCCESS,
        dialog=dialog("Approve", "The money moves at once, and once."),
    )
    def approve_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Approve it, which posts it."""
        return self._decide(request, form, object_id, approvals.approve)

    @action(
        description="Reject",
        permissions=["decide"],
        icon="close",
        variant=ActionVariant.DANGER,
        dialog=dialog("Reject", "Nothing moves. It can be asked for again."),
    )
    def reject_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Turn it down."""
        return self._decide(request, form, object_id, approvals.reject)

    def _decide(
        self, request: HttpRequest, form: ReasonForm, object_id: str, decide: Callable[..., ApprovalRequest]
    ) -> HttpResponse:
        key = ObjectId(object_id) if ObjectId.is_valid(object_id) else ObjectId()
        reason = form.cleaned_data["reason"]
        try:
            done = decide(request_id=key, staff=acting(request), reason=reason)
        except LedgerError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            self.message_user(request, *TOLD[done.status])
        return leave(request, _page(object_id))

    @display(description="amount")
    def moved(self, row: ApprovalRequest) -> str:
        """The amount in major units, with its currency."""
        return money(row.amount, row.currency)

    @display(description="about")
    def about(self, row: ApprovalRequest) -> SafeString:
        """The account to be funded, or the transaction to be reversed."""
        return related_link(row, "account" if row.account_id else "original")

    @display(description="requested by")
    def by(self, row: ApprovalRequest) -> SafeString:
        """Who asked for it."""
        return related_link(row, "requested_by")

    @display(description="decided by", empty_value="-")
    def decider(self, row: ApprovalRequest) -> SafeString | None:
        """Who decided."""
        return related_link(row, "decided_by") if row.decided_by_id else None

    @display(description="posted as", empty_value="-")
    def posted_as(self, row: ApprovalRequest) -> SafeString | None:
        """The transaction that came of it."""
        return related_link(row, "transaction") if row.transaction_id else None

    @display(
        description="status",
        label={
            "PENDING": "info",
            "APPROVED": "info",
            "POSTED": "success",
            "REJECTED": "warning",
            "REFUSED": "danger",
        },
    )
    def state(self, row: ApprovalRequest) -> str:
        """Its status, in colour."""
        return row.status


TOLD: dict[str, tuple[Any, int]] = {
    ApprovalRequest.Status.POSTED: ("Approved and posted.", messages.SUCCESS),
    ApprovalRequest.Status.APPROVED: ("Approved. It could not be posted just now, and will be soon.", messages.WARNING),
    ApprovalRequest.Status.REFUSED: ("Approved, but the ledger refused it; the reason is below.", messages.ERROR),
    ApprovalRequest.Status.REJECTED: ("Rejected.", messages.SUCCESS),
}


def _page(key: Any) -> str:
    return reverse("admin:transactions_approvalrequest_change", args=[key])
