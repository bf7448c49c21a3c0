"""Taking turns: between processes, by a lock on a file, and never for ever."""

import fcntl
import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from transactions import turn
from transactions.turn import HostTurn


@pytest.fixture
def path(tmp_path):
    return tmp_path / "commit-turn"


def is_locked(path) -> bool:
    with path.open("w") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_lock_is_held_inside_and_free_afterwards(path):
    mine = HostTurn(path)
    for _ in range(2):
        with mine:
            assert is_locked(path)
        assert not is_locked(path)


def test_an_error_inside_gives_the_turn_back(path):
    with pytest.raises(LookupError), HostTurn(path):
        raise LookupError
    assert not is_locked(path)


def test_one_that_holds_on_to_its_turn_holds_nobody_up_for_long(path, monkeypatch):
    monkeypatch.setattr(turn, "PATIENCE_SECONDS", 0.02)
    with HostTurn(path), HostTurn(path) as second:
        assert second is None  # inside, without the lock
        assert is_locked(path)
    assert not is_locked(path)


def test_one_that_dies_in_its_turn_takes_no_lock_along(path):
    code = (
        "import os, pathlib, sys; from transactions.turn import HostTurn\n"
        "HostTurn(pathlib.Path(sys.argv[1])).__enter__(); os._exit(9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=300)
    assert dead.returncode == 9
    assert not is_locked(path)


@pytest.mark.parametrize("nowhere", [None, "/nonexistent/folder/file"])
def test_without_a_file_there_are_no_turns_and_no_error(nowhere, tmp_path):
    with HostTurn(nowhere and tmp_path / nowhere.lstrip("/")):
        pass


def test_two_processes_both_come_to_their_turns_and_nothing_is_lost(path):
    """Each writes its letter once a turn, and goes on until both have had a hundred."""
    code = (
        "import pathlib, sys; from transactions import turn; from transactions.turn import HostTurn\n"
        "turn.PATIENCE_SECONDS = 60\n"
        "mine, letters, turns = HostTurn(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]), 0\n"
        "while min(map(letters.read_text().count, 'ab')) < 100:\n"
        "    with mine: turns += letters.write_text(letters.read_text() + sys.argv[3]) > 0\n"
        "print(turns)\n"
    )
    letters = path.with_name("letters")
    letters.write_text("")
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(letters), letter], stdout=subprocess.PIPE)
        for letter in "ab"
    ]
    turns = [int(process.communicate(timeout=300)[0]) for process in both]
    assert [letters.read_text().count(letter) for letter in "ab"] == turns


def test_whoever_waits_hears_that_a_turn_has_ended(path, monkeypatch):
    monkeypatch.setattr(turn, "UNRUNG_SECONDS", 60)
    monkeypatch.setattr(turn, "PATIENCE_SECONDS", 60)
    first, second = HostTurn(path), HostTurn(path)
    listening, entered = threading.Event(), threading.Event()
    monkeypatch.setattr(second, "_listen", lambda: (listening.set(), HostTurn._listen(second)))

    def wait() -> None:
        with second:
            entered.set()

    with first:
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        assert listening.wait(10)
        assert not entered.is_set()
    assert entered.wait(10)
    waiter.join(10)


def test_a_bell_that_was_rung_for_nobody_does_no_harm(path):
    for _ in range(3):
        with HostTurn(path):
            pass
    with HostTurn(path):
        assert is_locked(path)


def test_a_bell_that_is_full_does_not_keep_a_turn(path):
    mine = HostTurn(path)
    with mine, suppress(BlockingIOError):
        while True:
            os.write(mine._bell, bytes(65536))
    assert not is_locked(path)
