"""After a group of transactions: wake the sender of their notices."""

from typing import Any

from django.dispatch import receiver

from transactions.signals import transactions_completed
from users.tasks import wake_sender


@receiver(transactions_completed)
def wake_for_notices(sender: Any, **kwargs: Any) -> None:
    """The outbox rows are stored already; without the wake-up they would wait for the next sweep."""
    wake_sender()
