"""Staff's pages for accounts: look, freeze, unfreeze, close. Money is moved by transactions only."""

from collections.abc import Iterable
from typing import ClassVar

from bson import ObjectId
from django.contrib import admin, messages
from django.contrib.admin.options import InlineModelAdmin, ModelAdmin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.admin import ReadOnlyAdmin, breakable, moment, money, related_link
from ledger_project.errors import LedgerError
from ledger_project.mongo import database
from users.admin import UserAdmin, acting, named_ids

OFFERED: dict[str, tuple[str, ...]] = {
    Account.Status.ACTIVE: ("freeze_this", "close_this"),
    Account.Status.FROZEN: ("unfreeze_this", "close_this"),
    Account.Status.CLOSED: (),
}


def _dialog(title: str, description: str) -> dict[str, str]:
    return {"title": title, "description": description, "form_submit_text": title}


class CurrencyFilter(admin.SimpleListFilter):
    """One of the currencies that accounts hold, as an index lists them."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        """Every currency that there is an account in."""
        return [(code, code) for code in sorted(database()[Account._meta.db_table].distinct("currency"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        """Accounts of the chosen one."""
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
    fields = (
        ("held", "currency"),
        ("state", "kind"),
        ("owner", "name"),
        ("sequence", "may_overdraw"),
        ("created", "updated"),
        "head",
        "related_lists",
    )
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
        offered = OFFERED[account.status] if account else ()
        allowed = super().get_actions_detail(request, object_id)
        return [button for button in allowed if button.method.original_function_name in offered]

    @action(description="Freeze", permissions=["set_status"])
    def freeze(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Stop all movements, for now."""
        self._set_status(request, [account.pk for account in queryset], Account.Status.FROZEN)

    @action(description="Unfreeze", permissions=["set_status"])
    def unfreeze(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Let money move again."""
        self._set_status(request, [account.pk for account in queryset], Account.Status.ACTIVE)

    @action(description="Close for good", permissions=["set_status"])
    def close(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Close those that hold no money."""
        self._set_status(request, [account.pk for account in queryset], Account.Status.CLOSED)

    @action(
        description="Freeze account",
        permissions=["set_status"],
        icon="ac_unit",
        dialog=_dialog("Freeze account", "No money moves into or out of this account until it is unfrozen."),
    )
    def freeze_this(self, request: HttpRequest, form: object, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, object_id, Account.Status.FROZEN)

    @action(
        description="Unfreeze account",
        permissions=["set_status"],
        icon="play_arrow",
        dialog=_dialog("Unfreeze account", "Money can move into and out of this account again."),
    )
    def unfreeze_this(self, request: HttpRequest, form: object, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, object_id, Account.Status.ACTIVE)

    @action(
        description="Close account",
        permissions=["set_status"],
        icon="block",
        variant=ActionVariant.DANGER,
        dialog=_dialog("Close account", "This is final, and it needs a balance of zero."),
    )
    def close_this(self, request: HttpRequest, form: object, object_id: str) -> HttpResponse:
        """The same for the account whose page this is."""
        return self._set_status_of(request, object_id, Account.Status.CLOSED)

    def _set_status_of(self, request: HttpRequest, object_id: str, status: Account.Status) -> HttpResponse:
        """The dialog is sent by htmx, which would put a redirected page into the dialog: it has a header of its own."""
        self._set_status(request, filter(ObjectId.is_valid, [object_id]), status)
        page = reverse("admin:accounts_account_change", args=[object_id])
        return (
            HttpResponse(headers={"HX-Redirect": page})
            if request.headers.get("HX-Request")
            else HttpResponseRedirect(page)
        )

    def _set_status(self, request: HttpRequest, account_ids: Iterable[ObjectId | str], status: Account.Status) -> None:
        """Each on its own; a refusal is shown and stops nothing."""
        for account_id in account_ids:
            try:
                account = set_status(account_id=ObjectId(account_id), status=status)
            except LedgerError as refusal:
                self.message_user(request, f"{account_id}: {refusal.message}", messages.ERROR)
            else:
                self.log_change(request, account, f"Status set to {status}.")
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
