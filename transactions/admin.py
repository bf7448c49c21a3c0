"""Staff's pages for transactions and entries: to look at. Corrections are new transactions, posted by the ledger."""

from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts.admin import AccountAdmin, CurrencyFilter
from accounts.models import Account
from ledger_project.admin import ReadOnlyAdmin, attach, breakable, link, moment, money, related_link
from ledger_project.errors import LedgerError
from ledger_project.filters import DaysFilter
from ledger_project.mongo import first_id
from ledger_project.reasons import ReasonForm, dialog, leave
from transactions import approval_admin, approvals, audit_admin, history, reversing  # noqa: F401  (importing registers)
from transactions.models import ApprovalRequest, Entry, Transaction
from transactions.posting import Reversal
from transactions.reversing import MAY_REVERSE
from users.admin import UserAdmin
from users.models import AuditEntry, Notification
from users.staff import acting, may, named_id

LATEST = 20
FEW_ACCOUNTS = 100


class PostedFilter(DaysFilter):
    """By day of posting, through the ids: they begin with the time that they were made at, and order the list."""

    def since(self, moment: datetime) -> dict[str, Any]:
        """From `moment` on."""
        return super().since(moment) | {"pk__gte": first_id(moment.timestamp())}

    def until(self, moment: datetime) -> dict[str, Any]:
        """Before `moment`."""
        return super().until(moment) | {"pk__lt": first_id(moment.timestamp() + history.ID_SLACK_SECONDS)}


class MovedCurrencyFilter(CurrencyFilter):
    """By currency, which no index has: each posting would pay for it.

    A currency that few accounts hold is rare among all that is posted, and is found through these accounts; one that
    many hold comes soon in any order.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """What moved in the chosen one."""
        if not self.value():
            return queryset
        accounts = Account.objects.filter(currency=self.value()).values_list("pk", flat=True)
        few = list(accounts[: FEW_ACCOUNTS + 1])
        by_party = {"parties__overlap": few} if len(few) <= FEW_ACCOUNTS else {}
        return queryset.filter(currency=self.value(), **by_party)


class _Shown:
    """Columns that transactions and entries share."""

    created = moment("created_at", "posted")

    @display(description="amount")
    def moved(self, row: Transaction | Entry) -> str:
        """The amount in major units, with its currency."""
        return money(row.amount, row.currency)


class _EntryColumns(_Shown):
    """Columns of an entry, on its own page, on that of its account and on that of its transaction."""

    @display(description="entry")
    def numbered(self, entry: Entry) -> SafeString:
        """Its number in the account, with a link."""
        return link(Entry, entry.pk, f"#{entry.sequence}")

    @display(description="direction", label={"DEBIT": "warning", "CREDIT": "success"})
    def side(self, entry: Entry) -> str:
        """Debit or credit, in colour."""
        return entry.direction

    @display(description="balance after")
    def left(self, entry: Entry) -> str:
        """The balance of the account once it was posted."""
        return money(entry.balance_after, entry.currency)

    @display(description="account")
    def on(self, entry: Entry) -> SafeString:
        """The account it is written on."""
        return related_link(entry, "account")

    @display(description="counter account")
    def against(self, entry: Entry) -> SafeString:
        """The account on the other side."""
        return related_link(entry, "counter_account")

    @display(description="transaction")
    def part_of(self, entry: Entry) -> SafeString:
        """The transaction it is one half of."""
        return related_link(entry, "transaction")


class _EntryFormSet(BaseInlineFormSet):
    def get_queryset(self) -> list[Entry]:  # type: ignore[override]
        """Django asks for it many times a page."""
        return self._entries

    @cached_property
    def _entries(self) -> list[Entry]:
        raise NotImplementedError


class LatestFormSet(_EntryFormSet):
    """The latest entries of an account, through the one index that has them in order."""

    @cached_property
    def _entries(self) -> list[Entry]:
        return history.entries(account=self.instance.pk, limit=LATEST)


class BothFormSet(_EntryFormSet):
    """The two entries of a transaction, debit first, found by their ids."""

    @cached_property
    def _entries(self) -> list[Entry]:
        ids = (self.instance.debit_entry, self.instance.credit_entry)
        found = Entry.objects.in_bulk(ids)
        entries = [found[key] for key in ids if key in found]
        attach(entries, ("account",))
        return entries


class _EntriesInline(_EntryColumns, TabularInline):
    model = Entry
    extra = 0
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody."""
        return False


class LatestEntries(_EntriesInline):
    """The end of an account's statement, on the account's page."""

    fk_name = "account"
    formset = LatestFormSet
    verbose_name_plural = f"Latest {LATEST} entries"
    fields = readonly_fields = ("numbered", "created", "side", "moved", "left", "against", "part_of")


class BothEntries(_EntriesInline):
    """Debit and credit, on the transaction's page."""

    fk_name = "transaction"
    formset = BothFormSet
    verbose_name_plural = "Entries"
    fields = readonly_fields = ("numbered", "side", "on", "moved", "left")


@admin.register(Transaction)
class TransactionAdmin(_Shown, ReadOnlyAdmin):
    """Movements of money."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "created_at",
        "kind",
        "status",
        "from_account_id",
        "to_account_id",
        "amount",
        "currency",
        "initiator_id",
        "idempotency_key",
        "reverses",
        "reversed_by",
        "reason",
    )
    list_display = ("created", "kind", "moved", "payer", "payee", "by", "state")
    list_filter = ("status", "kind", MovedCurrencyFilter, PostedFilter)
    list_related = ("initiator",)
    page_related = ("initiator", "from_account", "to_account")
    search_help_text = "Id of a transaction, an account or a user, e-mail, or idempotency key"
    inlines = (BothEntries,)
    fields = (
        ("moved", "state"),
        ("payer", "payee"),
        ("by", "kind"),
        ("created", "updated"),
        ("reversal_of", "undone_by"),
        "reason",
        "asked_back",
        "key",
        "asked",
        "told",
    )
    updated = moment("updated_at", "updated")
    actions_detail = ("reverse_this",)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The transaction, with the request to reverse it that is open, if there is one and it may be seen."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            may_see = acting(request).has_perm("transactions.view_approvalrequest")
            found.open_request = approvals.open_reversal_of(found.pk) if may_see else None
        return found

    def has_reverse_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may reverse transactions."""
        return may(acting(request), MAY_REVERSE)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """The button, where there is something to reverse."""
        transaction = self.get_object(request, object_id)
        reversible = transaction and transaction.kind != Transaction.Kind.REVERSAL and not transaction.reversed_by
        return super().get_actions_detail(request, object_id) if reversible else []

    @action(
        description="Reverse",
        permissions=["reverse"],
        icon="undo",
        variant=ActionVariant.DANGER,
        dialog=dialog(
            "Reverse transaction",
            "The whole amount goes back to where it came from, once. A large one waits for a colleague's approval.",
        ),
    )
    def reverse_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Reverse it, or ask for that."""
        key = ObjectId(object_id) if ObjectId.is_valid(object_id) else ObjectId()
        reversal = Reversal(acting(request).pk, key, form.cleaned_data["reason"])
        address = reverse("admin:transactions_transaction_change", args=[object_id])
        try:
            result = reversing.reverse(staff=acting(request), reversal=reversal)
        except LedgerError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            if isinstance(result, ApprovalRequest):
                self.message_user(request, "Nothing has moved: a colleague has to approve it.", messages.WARNING)
                address = reverse("admin:transactions_approvalrequest_change", args=[result.pk])
            else:
                self.message_user(request, f"Reversed by {result.transaction}.", messages.SUCCESS)
        return leave(request, address)

    def search(self, queryset: QuerySet[Transaction], term: str) -> QuerySet[Transaction]:
        """Its own id, an account or a user that it touches, or its key.

        The key comes last: a client could choose somebody else's id for one, to hide that one's transactions.
        """
        if key := named_id(term):
            found = queryset.filter(Q(pk=key) | Q(parties__contains=[key]))
            if found.exists():
                return found
        return queryset.filter(idempotency_key=term)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list:
        """Links and reason only where there are any."""
        shown = {
            ("reversal_of", "undone_by"): obj and (obj.reverses or obj.reversed_by),
            "reason": obj and obj.reason,
            "asked_back": obj and obj.open_request,
        }
        return [field for field in self.fields if shown.get(field, True)]

    @display(description="reverses")
    def reversal_of(self, transaction: Transaction) -> SafeString | None:
        """Of a reversal: its original."""
        return transaction.reverses and link(Transaction, transaction.reverses, transaction.reverses)

    @display(description="reversed by")
    def undone_by(self, transaction: Transaction) -> SafeString | None:
        """The reversal of one that was reversed."""
        return transaction.reversed_by and link(Transaction, transaction.reversed_by, transaction.reversed_by)

    @display(description="reversal requested")
    def asked_back(self, transaction: Any) -> SafeString:
        """The open request to reverse it."""
        request = transaction.open_request
        return link(ApprovalRequest, request.pk, request.get_status_display().capitalize())

    @display(description="from")
    def payer(self, transaction: Transaction) -> SafeString:
        """The account that is debited."""
        return related_link(transaction, "from_account", short=True)

    @display(description="to")
    def payee(self, transaction: Transaction) -> SafeString:
        """The account that is credited."""
        return related_link(transaction, "to_account", short=True)

    @display(description="idempotency key")
    def key(self, transaction: Transaction) -> SafeString:
        """The client's key for it, up to 255 characters."""
        return breakable(transaction.idempotency_key)

    @display(description="fingerprint")
    def asked(self, transaction: Transaction) -> SafeString:
        """What the request with that key asked for, as a hash."""
        return breakable(transaction.fingerprint)

    @display(description="notifications")
    def told(self, transaction: Transaction) -> SafeString | str:
        """Who was told of it, and whether the message has left."""
        notices = history.notices(transaction)
        attach(notices, ("user",))
        rows = (
            (link(Notification, notice.pk, notice.get_kind_display()), notice.user, notice.get_status_display().lower())
            for notice in notices
        )
        return format_html_join("", "<p>{} to {}, {}</p>", rows) or "-"

    @display(description="initiator")
    def by(self, transaction: Transaction) -> SafeString:
        """Who asked for it."""
        return related_link(transaction, "initiator")

    @display(description="status", label={"COMPLETED": "success", "REVERSED": "warning"})
    def state(self, transaction: Transaction) -> str:
        """Its status, in colour."""
        return transaction.status


@admin.register(Entry)
class EntryAdmin(_EntryColumns, ReadOnlyAdmin):
    """Both sides of every transaction, each with the balance that it left."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "created_at",
        "account_id",
        "sequence",
        "direction",
        "amount",
        "currency",
        "balance_after",
        "counter_account_id",
        "transaction_id",
        "hash",
    )
    list_display = ("created", "on", "sequence", "side", "moved", "left", "part_of")
    list_filter = ("direction", PostedFilter)
    page_related = ("account", "counter_account", "transaction")
    search_help_text = "Id of an account, a transaction or an entry"
    fields = (
        ("moved", "side"),
        ("left", "sequence"),
        ("on", "against"),
        ("part_of", "created"),
        "chained",
    )

    @display(description="hash")
    def chained(self, entry: Entry) -> SafeString:
        """Its link in the account's chain."""
        return breakable(entry.hash)

    def search(self, queryset: QuerySet[Entry], term: str) -> QuerySet[Entry]:
        """An account's, newest first; else its own id, or both of a transaction."""
        if not ObjectId.is_valid(term):
            return queryset.none()
        key = ObjectId(term)
        if Account.objects.filter(pk=key).exists():
            return queryset.filter(account=key).order_by("-sequence")  # the order of its index; its ids would be sorted
        both = Transaction.objects.filter(pk=key).values_list("debit_entry", "credit_entry")
        return queryset.filter(pk__in=[key, *(entry for pair in both for entry in pair)])


UserAdmin.see_also.append(Transaction)
AccountAdmin.see_also += [Transaction, Entry, ApprovalRequest, AuditEntry]
AccountAdmin.inlines = (*AccountAdmin.inlines, LatestEntries)
