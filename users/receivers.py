"""After a notice was queued: wake its sender. After what staff do without a form: a word in the audit log."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models import Model
from django.dispatch import receiver

from ledger_project.signals import list_exported
from users import audit
from users.models import User
from users.signals import notice_queued, user_registered
from users.tasks import wake_sender


@receiver([user_registered, notice_queued])
def wake_for_notice(sender: Any, **kwargs: Any) -> None:
    """The outbox row is stored already; without the wake-up it would wait for the next sweep."""
    wake_sender.ask()


@receiver(user_logged_in)
def log_log_in(sender: Any, user: User, **kwargs: Any) -> None:
    """Who came into the admin, when and from where."""
    audit.record(user, {"staff session": (None, "begun")})


@receiver(user_logged_out)
def log_log_out(sender: Any, user: User | None, **kwargs: Any) -> None:
    """Who left it."""
    if user is not None:
        audit.record(user, {"staff session": ("begun", "ended")})


@receiver(list_exported)
def log_export(sender: type[Model], format: str, query: str, **kwargs: Any) -> None:  # noqa: A002
    """Who took which list out, and what of it."""
    audit.record_export(sender, f"{format}: {query or 'all'}")
