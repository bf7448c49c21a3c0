"""Staff's pages that belong to no list: one's own password, the statement of any account."""

from bson import ObjectId
from django.contrib import admin, messages
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.jsonio import timestamp
from transactions import account_history
from transactions.account_serializers import PeriodQuery, StatementQuery
from transactions.account_views import statement_response
from users import audit
from users.admin import OwnPasswordForm


class FileQuery(StatementQuery):
    """`?from=&to=&format=`, for a file to keep: there is no JSON here."""

    format = serializers.ChoiceField(("csv", "pdf"))


def own_password(request: HttpRequest) -> HttpResponseBase:
    """The admin's page for one's own password, with our form: unfold's site takes no other than its own."""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return view(request)


def statement_file(request: HttpRequest, account_id: str) -> HttpResponseBase:
    """The statement of an account for a period, CSV or PDF, once the audit log has it; a refusal shows on its page."""
    user = request.user
    if not (user.has_perm("accounts.view_account") and user.has_perm("transactions.view_entry")):  # type: ignore[union-attr]
        raise PermissionDenied
    account = Account.objects.filter(pk=ObjectId(account_id)).first() if ObjectId.is_valid(account_id) else None
    if account is None:
        raise Http404
    try:
        query = FileQuery.read({name: value for name, value in request.GET.items() if value})
        found = account_history.statement_of(account, **PeriodQuery.period(query, account.created_at))
    except ValidationError:
        return _told(request, account, "Choose a period that ends after it begins, and CSV or PDF.")
    except LedgerError as refusal:
        return _told(request, account, refusal.message)
    period = f"{timestamp(found.since)} to {timestamp(found.until)}"
    audit.record_file(account, f"statement as {query['format']}, {period}")
    return statement_response(found, file_format=query["format"], owner=account.user.name)


def _told(request: HttpRequest, account: Account, message: str) -> HttpResponseRedirect:
    messages.error(request, message)
    return HttpResponseRedirect(reverse("admin:accounts_account_change", args=[account.pk]))
