"""The processes of one host take turns at committing, by a file lock.

Two processes that commit groups at the same time meet on the same accounts, and MongoDB makes one of them start again.
While one commits the other gathers, so waiting costs little. The turn is a courtesy: correctness never depends on it,
and a process that was stopped while it had the turn holds nobody up for longer than PATIENCE_SECONDS.
"""

import fcntl
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.25
PAUSE_SECONDS = 0.0003  # between two looks at the lock


class HostTurn:
    """A context in which at most one process of this host is, as far as patience goes. For one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None
        self._process = 0
        self._have_turn = False
        self._had_to_wait = False

    def __enter__(self) -> None:
        file = self._open()
        if file is None:
            return
        if self._had_to_wait:  # others are here: whoever just had the turn lets them try first
            time.sleep(2 * PAUSE_SECONDS)
        self._have_turn, self._had_to_wait = _locked_in_time(file)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._have_turn and self._file is not None:
            self._have_turn = False
            with suppress(OSError):  # what was committed inside is not undone by a lock that fails
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _open(self) -> int | None:
        """The lock file, opened by this process itself: a lock that came through a fork would be the parent's, too."""
        if self._path is not None and self._process != os.getpid():
            self._process = os.getpid()
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                logger.warning("processes do not take turns, %s cannot be opened: %s", self._path, error.strerror)
                self._file = None
        return self._file


def _locked_in_time(file: int) -> tuple[bool, bool]:
    """Lock `file`, or give up when patience ends: whether it is locked, and whether that took waiting."""
    deadline, waited = time.monotonic() + PATIENCE_SECONDS, False
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            time.sleep(PAUSE_SECONDS)
        except OSError:  # no locks on this file system
            return False, False
        else:
            return True, waited
    return False, True
