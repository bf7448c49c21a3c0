"""Staff's pages for accounts: look, freeze, unfreeze, close. Money is moved by transactions only."""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from bson import ObjectId
from django.contrib import admin, messages
from django.contrib.admin.options import InlineModelAdmin, ModelAdmin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts.models import Account
from accounts.opening import change_status
from ledger_project.admin import ReadOnlyAdmin, breakable, moment, money, related_link
from ledger_project.errors import LedgerError
from ledger_project.mongo import collection, run_transaction
from ledger_project.reasons import ReasonForm, dialog, leave, with_reason
from users.admin import UserAdmin
from users.staff import acting, named_ids

OFFERED: dict[str, tuple[str, ...]] = {
    Account.Status.ACTIVE: ("freeze_this", "close_this"),
    Account.Status.FROZEN: ("unfreeze_this", "close_this"),
    Account.Status.CLOSED: (),
}


class Change(NamedTuple):
    """A change of status, as staff read of it before they make it."""

    status: Account.Status
    title: str
    description: str


FREEZE = Change(Account.Status.FROZEN, "Freeze", "No money moves into or out of a frozen account until it is unfrozen.")
UNFREEZE = Change(Account.Status.ACTIVE, "Unfreeze", "Money can move into and out of it again.")
CLOSE = Change(Account.Status.CLOSED, "Close for good", "This is final, and it needs a balance of zero.")


def _set_and_record(account_id: ObjectId, status: Account.Status, reason: str) -> Account:
    """Change the status and log it, both or neither. Raises AccountNotFound, StatusRefused, SystemAccountStays."""
    return run_transaction(lambda unit: change_status(unit, account_id=account_id, status=status, reason=reason))


class CurrencyFilter(admin.SimpleListFilter):
    """One of the currencies that accounts hold, as an index lists them."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        """Every currency that there is an account in."""
        return [(code, code) for code in sorted(collection(Account).distinct("currency"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """The rows of the chosen one."""
        return queryset.filter(currency=self.value()) if self.value() else queryset


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Accounts of customers and of the system."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "user_id",
        "name",
        "kind",
        "status",
        "currency",
        "balance",
        "sequence",
        "chain_head",
        "created_at",
        "updated_at",
    )
    list_display = ("id", "owner", "name", "kind", "state", "held", "created")
    list_filter = ("status", CurrencyFilter, "kind")
    list_related = page_related = ("user",)
    search_help_text = "Account id, or id, e-mail or beginning of the name of its owner"
    change_form_outer_before_template = "office/account.html"
    actions = ("freeze", "unfreeze", "close")
    actions_detail = ("freeze_this", "unfreeze_this", "close_this")
    see_also: ClassVar[list[type[Model]]] = []
    inlines: tuple[type[InlineModelAdmin], ...] = ()
    fields = (("kind", "may_overdraw"), ("created", "updated"), "head", "related_lists")  # and what the panel says
    created = moment("created_at", "opened")
    updated = moment("updated_at", "updated")

    def search(self, queryset: QuerySet[Account], term: str) -> QuerySet[Account]:
        """Its own id, or its owner."""
        keys = named_ids(term)
        return queryset.filter(Q(pk__in=keys) | Q(user__in=keys))

    def has_set_status_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may change accounts: their status is all that can be changed."""
        return acting(request).has_perm("accounts.change_account")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """The buttons of an account's page: what can become of it from where it stands."""
        account = self.get_object(request, object_id)
        offered = set(OFFERED[account.status] if account else ())
        if account and account.kind != Account.Kind.CUSTOMER:
            offered.discard("close_this")
        allowed = super().get_actions_detail(request, object_id)
        return [button for button in allowed if button.method.original_function_name in offered]

    @action(description="Freeze", permissions=["set_status"])
    def freeze(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse | None:
        """Stop all movements, for now."""
        return self._ask(request, queryset, FREEZE)

    @action(description="Unfreeze", permissions=["set_status"])
    def unfreeze(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse | None:
        """Let money move again."""
        return self._ask(request, queryset, UNFREEZE)

    @action(description="Close for good", permissions=["set_status"])
    def close(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse | None:
        """Close those that hold no money."""
        return self._ask(request, queryset, CLOSE)

    @action(
        description="Freeze account",
        permissions=["set_status"],
        icon="ac_unit",
        dialog=dialog("Freeze account", FREEZE.description),
    )
    def freeze_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, form, object_id, FREEZE)

    @action(
        description="Unfreeze account",
        permissions=["set_status"],
        icon="play_arrow",
        dialog=dialog("Unfreeze account", UNFREEZE.description),
    )
    def unfreeze_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, form, object_id, UNFREEZE)

    @action(
        description="Close account",
        permissions=["set_status"],
        icon="block",
        variant=ActionVariant.DANGER,
        dialog=dialog("Close account", CLOSE.description),
    )
    def close_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, form, object_id, CLOSE)

    def _set_status_of(self, request: HttpRequest, form: ReasonForm, object_id: str, change: Change) -> HttpResponse:
        ids = map(ObjectId, filter(ObjectId.is_valid, [object_id]))
        self._set_status(request, ids, change.status, form.cleaned_data["reason"])
        return leave(request, reverse("admin:accounts_account_change", args=[object_id]))

    def _ask(self, request: HttpRequest, queryset: QuerySet[Account], change: Change) -> HttpResponse | None:
        """Ask why, for all of them together."""
        return with_reason(
            self,
            request,
            queryset,
            title=change.title,
            description=change.description,
            act=lambda accounts, why: self._set_status(request, [a.pk for a in accounts], change.status, why),
        )

    def _set_status(
        self, request: HttpRequest, account_ids: Iterable[ObjectId], status: Account.Status, reason: str
    ) -> None:
        """Each on its own; a refusal is shown and stops nothing."""
        for account_id in account_ids:
            try:
                account = _set_and_record(account_id, status, reason)
            except LedgerError as refusal:
                self.message_user(request, f"{account_id}: {refusal.message}", messages.ERROR)
            else:
                self.log_change(request, account, f"Status set to {status}: {reason}")
                self.message_user(request, f"{account} is now {status}.", messages.SUCCESS)

    @display(description="chain head")
    def head(self, account: Account) -> SafeString:
        """The hash of its last entry."""
        return breakable(account.chain_head)

    @display(description="owner")
    def owner(self, account: Account) -> SafeString:
        """Whose it is."""
        return related_link(account, "user")

    @display(description="balance")
    def held(self, account: Account) -> str:
        """The balance in major units, with its currency."""
        return money(account.balance, account.currency)

    @display(description="status", label={"ACTIVE": "success", "FROZEN": "info", "CLOSED": "warning"})
    def state(self, account: Account) -> str:
        """Its status, in colour."""
        return account.status


UserAdmin.see_also.append(Account)
