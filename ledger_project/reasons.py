"""Actions of the admin that ask for a reason before they act: in a dialog for one object, on a page for many."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

MAX_REASON = 500


class ReasonForm(BaseDialogForm):
    """Why it is done."""

    reason = forms.CharField(
        max_length=MAX_REASON,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It is kept in the audit log.",
    )


def dialog(title: str, description: str, form_class: type[BaseDialogForm] = ReasonForm) -> dict[str, Any]:
    """The `dialog` of an unfold action."""
    return {"title": title, "description": description, "form_submit_text": title, "form_class": form_class}


def leave(request: HttpRequest, address: str) -> HttpResponse:
    """Go to `address` after a dialog: htmx would put a redirected page into the dialog, and has a header of its own."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def with_reason(
    model_admin: ModelAdmin,
    request: HttpRequest,
    queryset: QuerySet,
    *,
    title: str,
    description: str,
    act: Callable[[list[Any], str], None],
) -> HttpResponse | None:
    """Ask why on a page that names the chosen rows, and once that is answered `act` on them with the reason."""
    rows = list(queryset)
    form = ReasonForm(request=request, data=request.POST if "reason" in request.POST else None)
    if form.is_valid():
        act(rows, form.cleaned_data["reason"])
        return None
    shown = {
        "title": title,
        "description": description,
        "rows": rows,
        "form": form,
        "action": request.POST.get("action"),
        "checkbox": ACTION_CHECKBOX_NAME,
        "opts": model_admin.model._meta,
    }
    return TemplateResponse(request, "admin/ask_reason.html", model_admin.admin_site.each_context(request) | shown)
