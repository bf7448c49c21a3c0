"""After a registration: wake the sender of its welcome."""

from typing import Any

from django.dispatch import receiver

from users.signals import user_registered
from users.tasks import wake_sender


@receiver(user_registered)
def wake_for_welcome(sender: Any, **kwargs: Any) -> None:
    """The outbox row is stored already; without the wake-up it would wait for the next sweep."""
    wake_sender.ask()
