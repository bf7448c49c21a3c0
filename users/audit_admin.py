"""Staff's pages for the audit log: to look at."""

from collections.abc import Iterable
from typing import Any, ClassVar

from bson import ObjectId
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import display

from ledger_project.admin import ReadOnlyAdmin, link, moment
from ledger_project.filters import DaysFilter
from ledger_project.mongo import collection
from users.models import AuditEntry, User
from users.staff import named_id

admin.site.unregister(AuditEntry)


class WhenFilter(DaysFilter):
    """By day. An entry's id may be older than the entry (audit.record_once), so ids do not tell."""

    field = "timestamp"


class _ReferenceFilter(admin.SimpleListFilter):
    """By one of the objects that `parameter_name` refers to in the log, as an index lists them."""

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Every one that occurs."""
        keys = collection(AuditEntry).distinct(f"{self.parameter_name}_id")
        return sorted(((str(key), name) for key, name in self.named(keys).items()), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries of the chosen one."""
        if (chosen := self.value()) is None:
            return queryset
        key = ObjectId(chosen) if ObjectId.is_valid(chosen) else None
        return queryset.filter(**{str(self.parameter_name): key})

    def named(self, keys: Iterable[Any]) -> dict[Any, str]:
        """What each of `keys` is called."""
        raise NotImplementedError


class ActorFilter(_ReferenceFilter):
    """By who did it."""

    title = "who"
    parameter_name = "actor"

    def named(self, keys: Iterable[Any]) -> dict[Any, str]:
        """By their e-mail now."""
        users = User.objects.in_bulk([key for key in keys if key])
        return {key: str(users.get(key, key or "Nobody: a command, or the service")) for key in keys}


class KindFilter(_ReferenceFilter):
    """By the kind of what was changed."""

    title = "kind"
    parameter_name = "content_type"

    def named(self, keys: Iterable[Any]) -> dict[Any, str]:
        """By the name of the model."""
        return {key: ContentType.objects.get_for_id(key).name for key in keys if key}


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """What staff did. Nothing here can be changed or deleted."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "timestamp",
        "actor_id",
        "actor_email",
        "did",
        "kind",
        "object_pk",
        "object_repr",
        "changes",
        "reason",
        "remote_addr",
        "cid",
    )
    list_display = ("at", "who", "did", "what", "changed", "reason", "remote_addr")
    list_filter = ("action", KindFilter, ActorFilter, WhenFilter)
    search_help_text = "Id of what was changed, or e-mail or id of who did it"
    ordering = ("-pk",)
    fields = (
        ("at", "who"),
        ("did", "remote_addr"),
        ("what", "called"),
        "changed",
        "reason",
        "cid",
    )
    at = moment("timestamp", "when")

    def search(self, queryset: QuerySet[AuditEntry], term: str) -> QuerySet[AuditEntry]:
        """What was done to it, or by it."""
        key = named_id(term)
        return queryset.filter(Q(object_pk=str(key)) | Q(actor=key)) if key else queryset.none()

    @display(description="who")
    def who(self, entry: AuditEntry) -> str:
        """Their e-mail then."""
        return entry.actor_email or "-"

    @display(description="did", label={"create": "success", "update": "info", "delete": "danger", "access": "warning"})
    def did(self, entry: AuditEntry) -> str:
        """Create, update or delete; access, where a list or a statement was taken out."""
        return entry.did

    @display(description="what")
    def what(self, entry: AuditEntry) -> SafeString | str:
        """What was changed, with a link to it where it has a page."""
        kind = ContentType.objects.get_for_id(entry.content_type_id)
        model = kind.model_class()
        if model in admin.site._registry and entry.object_pk:
            return link(model, entry.object_pk, f"{kind.name} …{entry.object_pk[-8:]}")
        return f"{kind.name}: {entry.object_repr}"

    @display(description="called then")
    def called(self, entry: AuditEntry) -> str:
        """What it was called."""
        return entry.object_repr

    @display(description="before and after")
    def changed(self, entry: AuditEntry) -> SafeString:
        """Each field, before and after."""
        rows = ((name, *_before_and_after(change)) for name, change in (entry.changes or {}).items())
        return format_html_join(mark_safe("<br>"), "<b>{}</b>: {} → {}", rows)


def _before_and_after(change: Any) -> tuple[str, str]:
    """Of a change as auditlog stores it: a pair, or what was added to or taken from a relation."""
    if isinstance(change, dict):
        objects = ", ".join(change["objects"])
        return ("-", objects) if change["operation"] == "add" else (objects, "-")
    before, after = ("-" if value in ("None", "") else value for value in change)
    return before, after
