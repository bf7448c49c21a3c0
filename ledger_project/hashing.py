"""Passwords are hashed a few at a time: hashing is slow by design, and transfers need the processor, too."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Semaphore
from typing import Any

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher

from ledger_project.errors import Unavailable

AT_ONCE = 2
WAITING = 6


class TooManyLogins(Unavailable):
    """As many passwords as this process hashes, and lets wait for it, are being hashed."""

    code = "too_many_logins"
    message = "Too many people are logging in at this moment. Try again in a moment."


class BoundedBCrypt(BCryptSHA256PasswordHasher):
    """Django's hasher, two at once in a process and six waiting. What comes then is refused with TooManyLogins.

    So a flood of log-ins holds eight of a process's threads, and the others go on with transfers.
    """

    def encode(self, password: str, salt: Any) -> str:  # bytes; the stubs of its base say str
        """The hash; checking a password comes here, too."""
        with _a_place():
            return super().encode(password, salt)


_places = BoundedSemaphore(AT_ONCE + WAITING)
_hashing = Semaphore(AT_ONCE)


@contextmanager
def _a_place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise TooManyLogins
    try:
        with _hashing:
            yield
    finally:
        _places.release()
