"""After a group of transactions: wake the worker that tells their parties."""

from typing import Any

from django.dispatch import receiver

from transactions.signals import transactions_completed
from transactions.tasks import wake_up


@receiver(transactions_completed)
def wake_for_notices(sender: Any, **kwargs: Any) -> None:
    """The word for the outbox is stored already; without the wake-up it would wait for the next sweep."""
    wake_up.ask()
