"""The audit log: what staff did, to what, what it was before and after, why, when, and from which address.

Staff's requests are logged: the middleware opens a context for the admin's, the views of staff for theirs. Outside one
only what says so writes (`record_by_command`, `record_by_system`), and the API's other requests do not notice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, NoReturn

from auditlog import get_logentry_model
from auditlog.models import LogEntryManager
from auditlog.signals import pre_log
from bson import ObjectId
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from ledger_project.request_log import current_request_id

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)


class AuditLogIsAppendOnly(TypeError):
    """Something tried to change or delete what is in the audit log."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise AuditLogIsAppendOnly("the audit log is append-only")


class AuditQuerySet(models.QuerySet):
    """A queryset that reads, and adds."""

    update = delete = bulk_create = bulk_update = get_or_create = update_or_create = _refuse
    aupdate = adelete = abulk_create = abulk_update = aget_or_create = aupdate_or_create = _refuse
    _update = _raw_delete = _refuse


class AuditManager(LogEntryManager.from_queryset(AuditQuerySet)):  # type: ignore[misc]
    """Adds entries in the name of whoever is acting."""

    def log_m2m_changes(self, *args: Any, **kwargs: Any) -> Any:
        """As auditlog does, for staff's requests: it asks `only_staffs_requests` about everything but these."""
        return super().log_m2m_changes(*args, **kwargs) if _request.get() else None

    def create(self, **fields: Any) -> Any:
        """Add an entry."""
        return super().create(**_by_whom(), **fields)


class AuditMiddleware:
    """Opens the context for requests to the admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/admin/"):
            return self.get_response(request)
        with audited(request):
            return self.get_response(request)


@contextmanager
def audited(request: HttpRequest) -> Iterator[None]:
    """Log what staff do inside, in the name of the user of `request` and with its address."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def record(subject: models.Model, changes: dict[str, tuple[Any, Any]], *, reason: str = "") -> None:
    """Log a change of `subject` that did not go through the ORM's save: each field's value before and after.

    Outside a request of staff's nothing is logged.
    """
    if _request.get() is not None:
        _add(subject, changes, reason)


def record_once(key: ObjectId, subject: models.Model, changes: dict[str, tuple[Any, Any]], *, reason: str) -> None:
    """The same, under the id `key`: of any number of calls with it, at once or later, one adds an entry.

    Not inside a MongoDB transaction: the second one's duplicate would abort it.
    """
    with suppress(IntegrityError):
        if _request.get() is not None:
            _add(subject, changes, reason, id=key)


def record_by_command(subject: models.Model, changes: dict[str, tuple[Any, Any]], *, command: str) -> None:
    """Log what an operator did to `subject` by `command`. It names nobody: a command does not know its user."""
    _add(subject, changes, f"by the command {command}")


def record_by_system(subject: models.Model, changes: dict[str, tuple[Any, Any]], *, reason: str) -> None:
    """Log what the service itself did to `subject`. It names nobody; the reason says which part of it acted."""
    _add(subject, changes, reason[:500])


def record_of_many(model: type[models.Model], which: str, changes: dict[str, tuple[Any, Any]]) -> None:
    """Log a change of many rows at once, which are called `which`."""
    _add_of_many(model, which, changes, get_logentry_model().Action.UPDATE)


def record_export(model: type[models.Model], what: str) -> None:
    """Log that the list of `model` was taken out; `what` says as which file, and which of its rows."""
    _add_of_many(model, "the list", {"export": (None, what)}, get_logentry_model().Action.ACCESS)


def record_file(subject: models.Model, what: str) -> None:
    """Log that a file about `subject` was taken out; `what` says which."""
    if _request.get() is not None:
        _add(subject, {"file": (None, what)}, "", action=get_logentry_model().Action.ACCESS)


def _add(subject: models.Model, changes: dict[str, tuple[Any, Any]], reason: str, **fields: Any) -> None:
    entry = get_logentry_model()
    fields = {"action": entry.Action.UPDATE, "changes": _told(changes), "reason": reason, **fields}
    entry.objects.log_create(subject, **fields)


def _add_of_many(model: type[models.Model], which: str, changes: dict[str, tuple[Any, Any]], action: int) -> None:
    if _request.get() is None:
        return
    get_logentry_model().objects.create(
        content_type=ContentType.objects.get_for_model(model),
        object_pk="",
        object_repr=which,
        action=action,
        changes=_told(changes),
        cid=current_request_id(),
    )


def _told(changes: dict[str, tuple[Any, Any]]) -> dict[str, list[str]]:
    return {name: [str(before), str(after)] for name, (before, after) in changes.items()}


@receiver(pre_log)
def only_staffs_requests(sender: Any, **kwargs: Any) -> bool:
    """What auditlog asks before it logs a save."""
    return _request.get() is not None


def masked(password: str) -> str:
    """A hash that tells one password from another, and nothing about either."""
    return f"…{sha256(password.encode()).hexdigest()[:8]}"


def address(request: HttpRequest) -> str | None:
    """Where the request comes from. What stands before our own proxies' words in the header, anybody can write."""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(hops):
        with suppress(ValueError):
            return _spelled(hops[-settings.TRUSTED_PROXIES].strip())
    peer = request.META.get("REMOTE_ADDR") or None
    with suppress(ValueError):
        return peer and _spelled(peer)
    return peer


def _spelled(address: str) -> str:
    """`address` in its one spelling: a server that listens on IPv6 sees ::ffff:192.0.2.1 where 192.0.2.1 calls."""
    found = ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _by_whom() -> dict[str, Any]:
    request = _request.get()
    if request is None:
        return {}
    user = request.user if request.user.is_authenticated else None
    return {"actor": user, "actor_email": user and user.get_username(), "remote_addr": address(request)}
