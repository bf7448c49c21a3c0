"""Staff's lists of what the continuous audit found, and of the anchors."""

from typing import ClassVar

from bson import ObjectId
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from ledger_project.admin import ReadOnlyAdmin, breakable, moment, related_link
from transactions.models import Anchor, LedgerFinding


class OpenFilter(admin.SimpleListFilter):
    """Open or cleared, by an index."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Both."""
        return [("open", "Open"), ("cleared", "Cleared")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerFinding]) -> QuerySet[LedgerFinding]:
        """Those of the chosen one."""
        if self.value() is None:
            return queryset
        return queryset.filter(cleared_at__isnull=self.value() == "open")


@admin.register(LedgerFinding)
class LedgerFindingAdmin(ReadOnlyAdmin):
    """What must not be, and is. Only a full pass that does not see it again clears it."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "code",
        "account_id",
        "subject",
        "message",
        "found_at",
        "seen_at",
        "cleared_at",
    )
    list_display = ("code", "state", "of_account", "found", "cleared")
    list_filter = (OpenFilter,)
    search_help_text = "Id of a finding"
    fields = (("code", "state"), ("of_account", "subject"), "message", ("found", "seen", "cleared"))
    found, seen, cleared = moment("found_at", "found"), moment("seen_at", "last seen"), moment("cleared_at", "cleared")

    def search(self, queryset: QuerySet[LedgerFinding], term: str) -> QuerySet[LedgerFinding]:
        """By id."""
        return queryset.filter(pk=ObjectId(term)) if ObjectId.is_valid(term) else queryset.none()

    @display(description="state", label={"Open": "danger", "Cleared": "success"})
    def state(self, finding: LedgerFinding) -> str:
        """Whether it is open, in colour."""
        return "Cleared" if finding.cleared_at else "Open"

    @display(description="account")
    def of_account(self, finding: LedgerFinding) -> SafeString | str:
        """The account that it is about."""
        return related_link(finding, "account") if finding.account_id else "the whole ledger"


@admin.register(Anchor)
class AnchorAdmin(ReadOnlyAdmin):
    """The anchors, newest first."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "number",
        "taken_at",
        "accounts",
        "entries",
        "heads",
        "previous",
        "hash",
    )
    list_display = ("number", "taken", "accounts", "entries", "hash")
    search_help_text = "Hash of an anchor"
    fields = (("number", "taken"), ("accounts", "entries"), "of_it", "of_heads", "of_previous")
    taken = moment("taken_at", "taken")

    def search(self, queryset: QuerySet[Anchor], term: str) -> QuerySet[Anchor]:
        """By its hash."""
        return queryset.filter(hash=term.lower())

    @display(description="hash")
    def of_it(self, anchor: Anchor) -> SafeString:
        """Its hash."""
        return breakable(anchor.hash)

    @display(description="hash of the heads")
    def of_heads(self, anchor: Anchor) -> SafeString:
        """The hash over the heads."""
        return breakable(anchor.heads)

    @display(description="previous anchor")
    def of_previous(self, anchor: Anchor) -> SafeString:
        """The hash of the one before."""
        return breakable(anchor.previous)
