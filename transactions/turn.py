"""The processes of one host take turns at committing, by a file lock.

Two processes that commit groups at the same time meet on the same accounts, and MongoDB makes one of them start again.
While one commits the other gathers, so waiting costs little. The turn is a courtesy: correctness never depends on it,
and a process that was stopped while it had the turn holds nobody up for longer than PATIENCE_SECONDS.

A lock that is waited for cannot be given up, so nobody waits for it: whoever finds it taken listens for the bell, a
named pipe beside it that is rung whenever a turn ends, and tries again.
"""

import fcntl
import logging
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.25
UNRUNG_SECONDS = 0.01  # a process that dies in its turn rings no bell
COURTESY_SECONDS = 0.0005


class HostTurn:
    """A context in which at most one process of this host is, as far as patience goes. For one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._process = 0
        self._file: int | None = None
        self._bell = -1
        self._have_turn = False
        self._had_to_wait = False

    def __enter__(self) -> None:
        self._open()
        if self._file is None:
            return
        if self._had_to_wait:  # others are here: whoever just had the turn lets them try first
            time.sleep(COURTESY_SECONDS)
        self._have_turn, self._had_to_wait = self._locked_in_time(self._file)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._have_turn and self._file is not None:
            self._have_turn = False
            with suppress(OSError):  # what was committed inside is not undone by a lock that fails
                fcntl.flock(self._file, fcntl.LOCK_UN)
                os.write(self._bell, b".")

    def _open(self) -> None:
        """Open lock and bell in this process itself: a lock that came through a fork would be the parent's, too."""
        if self._path is None or self._process == os.getpid():
            return
        self._process, self._file = os.getpid(), None
        bell = self._path.with_name(f"{self._path.name}-bell")
        try:
            with suppress(FileExistsError):
                os.mkfifo(bell, 0o600)
            self._bell = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("processes do not take turns, %s cannot be opened: %s", self._path, error.strerror)

    def _locked_in_time(self, file: int) -> tuple[bool, bool]:
        """Lock `file`, or give up when patience ends: whether it is locked, and whether that took waiting."""
        deadline, waited = time.monotonic() + PATIENCE_SECONDS, False
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                self._listen()
            except OSError:  # no locks on this file system
                return False, False
            else:
                return True, waited
        return False, True

    def _listen(self) -> None:
        """Until the bell is rung, or for a while. What was rung when nobody listened is heard now, and does no harm."""
        bell = select.poll()
        bell.register(self._bell, select.POLLIN)
        if bell.poll(UNRUNG_SECONDS * 1000):
            with suppress(BlockingIOError):  # another process was faster
                os.read(self._bell, 4096)
