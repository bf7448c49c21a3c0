"""What the staff's pages share: exact look-ups by index, no counts, nothing that walks a big collection for long."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, ClassVar

import pymongo
from bson import ObjectId
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.core.exceptions import EmptyResultSet, PermissionDenied
from django.core.paginator import Page, Paginator
from django.db import DatabaseError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from pymongo.errors import PyMongoError
from unfold import paginator
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from ledger_project import export
from ledger_project.mongo import database, from_document
from ledger_project.signals import list_exported

Names = list[str] | tuple[str, ...]

LAST_PAGE = 100
# A filter that matches next to nothing walks the index of a big collection until the server stops it.
LIST_SECONDS = 10
# An export is meant to walk far; and it takes a thread that answers requests.
EXPORT_SECONDS = 60
TOO_SLOW = "That filter takes too long here. Search for an id instead."
TOO_MANY = "XLSX holds up to {:,} rows here. Filter the list, or take CSV."


class InfinitePaginator(paginator.InfinitePaginator):
    """Previous and next, never a count; and an end, for MongoDB walks over all that a far page skips.

    It has the name of its parent because unfold's templates know it by that, and show a count with any other.
    """

    def page(self, number: int) -> Page:
        """One page of rows."""
        number = self.validate_number(number)
        rows = read(self.object_list, skip=(number - 1) * self.per_page, limit=self.per_page)
        return self._get_page(rows, number, self)

    @cached_property
    def count(self) -> int:
        """As many rows as may be leafed through. Whoever looks for an older one searches."""
        return LAST_PAGE * self.per_page


class NewestFirst(ChangeList):
    """A page of rows in the one order that an index serves, whatever the address asks for."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[str]:
        """The model admin's ordering and nothing else: another key would make the server sort the collection."""
        return list(self.model_admin.get_ordering(request))

    def apply_select_related(self, qs: QuerySet) -> QuerySet:
        """No joins: MongoDB would make them before it cuts the page out."""
        return qs

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, and what its rows refer to."""
        super().get_results(request)
        attach(self.result_list, self.model_admin.list_related)


class LedgerModelAdmin(ModelAdmin):
    """A model admin for a collection of any size. Subclasses say in `search` what the search box finds."""

    paginator: ClassVar[type] = InfinitePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_disable_select_all = True
    ordering: ClassVar[Any] = ("-pk",)
    sortable_by: ClassVar[Names | None] = ()
    search_fields: ClassVar[Names] = ("pk",)  # only so that there is a search box
    list_related: ClassVar[tuple[str, ...]] = ()
    page_related: ClassVar[tuple[str, ...]] = ()
    # What an export of the list tells of each row; without it, the list is not exported.
    export_columns: ClassVar[tuple[str, ...]] = ()
    list_before_template = "office/export.html"
    # Models whose lists can be searched by the id of a row of this one; the apps above add theirs.
    see_also: ClassVar[list[type[Model]]] = []

    def search(self, queryset: QuerySet, term: str) -> QuerySet:
        """The rows of `queryset` that `term` names exactly, found by an index."""
        raise NotImplementedError

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Django's own way is a regular expression over every document."""
        term = search_term.strip()
        return (self.search(queryset, term) if term else queryset), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """The filters on the page, no other question about a field: it could be a regular expression."""
        return lookup in {name for filtered in self.list_filter for name in _parameters(filtered)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The one list of this admin."""
        return NewestFirst

    def get_paginator(self, request: HttpRequest, queryset: QuerySet, per_page: int, *args: Any, **kwargs: Any) -> Any:
        """Only the history of one object is counted: it is short, and its page shows the number."""
        pages = Paginator if queryset.model is LogEntry else self.paginator
        return pages(queryset, per_page, *args, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The object, what it refers to, and which lists whoever asks may see of what belongs to it."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            attach([found], self.page_related)
            found.see_also = [model for model in self.see_also if self._may_see(request, model)]
        return found

    def _may_see(self, request: HttpRequest, model: type[Model]) -> bool:
        return self.admin_site.get_model_admin(model).has_view_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """The list, or word that the filter takes too long: the server stops looking, for transfers need it more."""
        exports = {"may_export": self.has_export_permission(request)}
        try:
            with pymongo.timeout(LIST_SECONDS):
                return super().changelist_view(request, exports | (extra_context or {}))
        except (DatabaseError, PyMongoError) as error:
            if not (_took_too_long(error) and request.method == "GET" and request.GET):
                raise
        self.message_user(request, TOO_SLOW, messages.WARNING)
        return HttpResponseRedirect(request.path)

    def get_urls(self) -> list[URLPattern]:
        """Django's, and the exports of the list."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        exporting = path("export/<str:format>/", self.admin_site.admin_view(self.export_view), name=name)
        return [exporting, *super().get_urls()]

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whoever may see the rows and has the permission `export_<model>`."""
        permission = f"{self.opts.app_label}.export_{self.opts.model_name}"
        return bool(self.export_columns) and self.has_view_permission(request) and request.user.has_perm(permission)  # type: ignore[union-attr]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:  # noqa: A002
        """The list as the address filters and searches it, all pages of it, as a file."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if format not in export.FORMATS:
            raise Http404
        try:
            with pymongo.timeout(EXPORT_SECONDS):
                queryset = self.get_changelist_instance(request).queryset
            list_exported.send(self.model, format=format, query=request.GET.urlencode())
            if format == "xlsx" and any(in_time(stream(queryset, skip=export.XLSX_ROWS, limit=1), EXPORT_SECONDS)):
                return self._not_exported(request, TOO_MANY.format(export.XLSX_ROWS))
            content = self._exported(queryset, format)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:index"))
        except (DatabaseError, PyMongoError) as error:
            if not _took_too_long(error):
                raise
            return self._not_exported(request, TOO_SLOW)
        name = f"{self.opts.model_name}-{timezone.now():%Y-%m-%d}.{format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Type": export.FORMATS[format]}
        if format == "csv":
            return StreamingHttpResponse(content, headers=headers)
        return FileResponse(content, headers=headers)

    def _exported(self, queryset: QuerySet, format: str) -> Any:  # noqa: A002
        """The file, of CSV at least its beginning: what the database cannot find in time shows before the answer."""
        rows, columns = in_time(stream(queryset), EXPORT_SECONDS), export.resource(self.export_columns)
        rows = chain(list(islice(rows, 1)), rows)
        return (export.csv_lines if format == "csv" else export.xlsx_file)(columns, rows)

    def _not_exported(self, request: HttpRequest, why: str) -> HttpResponseRedirect:
        """Back to the list, with word of why there is no file."""
        self.message_user(request, why, messages.WARNING)
        return HttpResponseRedirect(_address(self.model, "changelist"))

    def response_action(self, request: HttpRequest, queryset: QuerySet, *args: Any) -> HttpResponse | None:
        """Act on the rows that were ticked, never on all there are; what is no id is not looked for."""
        data = request.POST.copy()
        data.setlist(ACTION_CHECKBOX_NAME, list(filter(ObjectId.is_valid, data.getlist(ACTION_CHECKBOX_NAME))))
        data["select_across"] = "0"
        request.POST = data  # type: ignore[assignment]
        return super().response_action(request, queryset, *args)

    @display(description="See also")
    def related_lists(self, row: Any) -> SafeString | str:
        """Links to the lists of what belongs to `row`, as far as they may be seen."""
        links = (
            (_address(model, "changelist"), row.pk, capfirst(model._meta.verbose_name_plural)) for model in row.see_also
        )
        return format_html_join(" · ", '<a class="text-link" href="{}?q={}">{}</a>', links) or "-"


class ReadOnlyAdmin(LedgerModelAdmin):
    """Staff may look, nobody may touch, superusers included."""

    change_form_template = "office/read_only.html"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


def read(queryset: QuerySet, *, skip: int, limit: int) -> list[Model]:
    """Up to `limit` rows of `queryset` after `skip` of them, in its order."""
    return list(stream(queryset, skip=skip, limit=limit))


def stream(queryset: QuerySet, *, skip: int = 0, limit: int = 0) -> Iterator[Model]:
    """The rows of `queryset` in its order, as they are asked for; all after `skip` where there is no `limit`.

    The ORM would have MongoDB compute the sort key before it sorts ($addFields). No index serves a computed key: the
    server would read and sort the collection for every page. So the condition is the ORM's, the rest a plain find.
    """
    options = queryset.model._meta
    compiler = queryset.order_by().query.get_compiler(queryset.db)
    compiler.pre_sql_setup()
    try:
        condition = compiler.build_query().match_mql
    except EmptyResultSet:
        return
    names = [(name.removeprefix("-"), -1 if name.startswith("-") else 1) for name in map(str, queryset.query.order_by)]
    order = [((options.pk if name == "pk" else options.get_field(name)).column, way) for name, way in names]
    # What a document lacks is null. Left out, it would be asked for anew, row by row.
    absent = {field.column: None for field in options.concrete_fields if field.null}
    for document in database()[options.db_table].find(condition, sort=order, skip=skip, limit=limit):
        yield from_document(queryset.model, absent | document)


def in_time(rows: Iterator[Model], seconds: float) -> Iterator[Model]:
    """`rows`, which the database has to find within `seconds`.

    The time runs only while some are fetched: nobody is cut off because they download slowly.
    """
    while True:
        with pymongo.timeout(seconds):
            portion = list(islice(rows, export.ROWS_AT_ONCE))
        if not portion:
            return
        yield from portion


def attach(rows: Sequence[Model], names: Iterable[str]) -> None:
    """Load the related objects `names` of all `rows`, one look-up by id for each name."""
    for name in names if rows else ():
        field = _reference(rows[0], name)
        found = field.related_model._base_manager.in_bulk({getattr(row, field.attname) for row in rows})
        for row in rows:
            if (related := found.get(getattr(row, field.attname))) is not None:
                setattr(row, name, related)


def related_link(row: Model, name: str, *, short: bool = False) -> SafeString:
    """A link to the page of what `name` of `row` refers to; called by its id, or the end of that, unless attached."""
    field = _reference(row, name)
    key = getattr(row, field.attname)
    called = f"…{str(key)[-8:]}" if short else key
    return link(field.related_model, key, row._state.fields_cache.get(name, called))


def link(model: type[Model], key: Any, text: Any) -> SafeString:
    """A link to the page of one object."""
    return format_html('<a class="text-link" href="{}">{}</a>', _address(model, "change", key), text)


def moment(name: str, label: str) -> Callable[[ModelAdmin, Model], SafeString | None]:
    """A column with the time `name` of a row, to the second."""

    @display(description=f"{label} (UTC)", empty_value="-")
    def column(self: ModelAdmin, row: Model) -> SafeString | None:
        time = getattr(row, name)
        return time and format_html('<span class="whitespace-nowrap">{}</span>', f"{time:%Y-%m-%d %H:%M:%S}")

    return column


def breakable(text: str) -> SafeString:
    """A long word, such as a hash, that a narrow screen may break."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((text[at : at + 8],) for at in range(0, len(text), 8)))


def money(amount: Decimal, currency: str) -> str:
    """`amount` in major units, as people read it: 1,234.50 INR."""
    return f"{amount:,f}\N{NO-BREAK SPACE}{currency}"


def _parameters(filtered: Any) -> Sequence[str]:
    """What an address may ask of one of the filters in `list_filter`."""
    if isinstance(filtered, str):
        return [f"{filtered}__exact"]
    return getattr(filtered, "parameter_names", None) or [filtered.parameter_name]


def _took_too_long(error: Exception) -> bool:
    """Whether the time was up: the driver says so, for rows, or Django with the driver behind it, for all else."""
    cause = error if isinstance(error, PyMongoError) else error.__cause__
    return isinstance(cause, PyMongoError) and cause.timeout


def _reference(row: Model, name: str) -> ForeignKey:
    field = row._meta.get_field(name)
    assert isinstance(field, ForeignKey)
    return field


def _address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)
