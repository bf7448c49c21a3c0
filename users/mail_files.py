"""E-mail on one's own machine: each message becomes a file that a mail program opens."""

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone


class EmailBackend(BaseEmailBackend):
    """Writes to EMAIL_FILE_PATH. Django's own file backend would put all that one connection sends into one file."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write each message to a file named after the time, so that a listing is in order."""
        folder = Path(settings.EMAIL_FILE_PATH)  # type: ignore[misc]  # there only with EMAIL_PROVIDER=file
        folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            recipient = message.to[0].replace("/", "_")
            file = folder / f"{timezone.now():%Y%m%d-%H%M%S-%f}-{recipient}.eml"
            file.write_bytes(message.message().as_bytes())
        return len(email_messages)
