"""create_staff_user, called in this process and run as a program."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from ledger_project import commands
from users.models import Session, User
from users.tests.browsing import browser

PASSWORD = "correct horse battery"
OTHER = "another long password"


def run(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, on this test's database, with `given` on standard input."""
    return subprocess.run(
        [sys.executable, "manage.py", "create_staff_user", *arguments],
        cwd=settings.BASE_DIR,
        env=os.environ | {"MONGODB_DATABASE": connection.settings_dict["NAME"]} | environment,
        capture_output=True,
        text=True,
        input=given,
        timeout=300,
        check=False,
    )


def ask(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("create_staff_user", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("create_staff_user", *arguments, stdout=io.StringIO())
    assert caught.value.returncode == 1
    return str(caught.value)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAFF_EMAIL", "Admin@Example.com")
    monkeypatch.setenv("STAFF_PASSWORD", PASSWORD)


def test_it_makes_a_superuser() -> None:
    answer = ask()
    user = User.objects.get()
    assert answer == {"user": str(user.pk), "email": "admin@example.com", "created": True, "password_reset": False}
    assert (user.is_staff, user.is_superuser, user.is_system) == (True, True, False)
    assert user.check_password(PASSWORD)


def test_twice_leaves_the_password_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setenv("STAFF_PASSWORD", OTHER)
    assert ask()["created"] is False
    call_command("create_staff_user", stdout=(out := io.StringIO()))
    assert out.getvalue() == "staff user admin@example.com: already there\n"
    assert User.objects.get().check_password(PASSWORD)


def test_the_password_is_reset_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setenv("STAFF_PASSWORD", OTHER)
    assert ask("--reset-password")["password_reset"] is True
    assert User.objects.get().check_password(OTHER)


def test_a_reset_ends_tokens_and_sessions(monkeypatch: pytest.MonkeyPatch, client_of: Any) -> None:
    ask()
    user = User.objects.get()
    client, session = client_of(user), browser(user)
    ask()
    assert (client.get("/api/auth/me").status_code, session.get("/admin/").status_code) == (200, 200)
    monkeypatch.setenv("STAFF_PASSWORD", OTHER)
    ask("--reset-password")
    assert (client.get("/api/auth/me").status_code, session.get("/admin/").status_code) == (401, 302)
    assert not Session.objects.filter(user=user).exists()


def test_a_weak_password_does_not_replace_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setenv("STAFF_PASSWORD", "12345678")
    refusal("--reset-password")
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("fields", [{}, {"is_system": True}, {"is_staff": True}])
def test_nobody_is_made_staff_who_was_there_before(new_user: Any, fields: dict[str, bool]) -> None:
    new_user(email="admin@example.com", password=OTHER, **fields)
    assert "not an active superuser" in refusal("--reset-password")
    user = User.objects.get()
    assert not user.is_superuser
    assert user.check_password(OTHER)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("STAFF_EMAIL", "nobody", "not an e-mail address"),
        ("STAFF_EMAIL", "", "set STAFF_EMAIL"),
        ("STAFF_PASSWORD", "short", "too short"),
    ],
)
def test_what_it_cannot_use_is_refused_and_nothing_stored(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert said in refusal()
    assert not User.objects.exists()


class TestThePrompt:
    @pytest.fixture(autouse=True)
    def _terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = io.StringIO()
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.delenv("STAFF_PASSWORD")

    def test_takes_a_password_that_is_typed_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands.getpass, "getpass", lambda prompt: PASSWORD)
        ask()
        assert User.objects.get().check_password(PASSWORD)

    def test_refuses_two_that_differ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        typed = iter([PASSWORD, OTHER])
        monkeypatch.setattr(commands.getpass, "getpass", lambda prompt: next(typed))
        assert refusal() == "the passwords differ"
        assert not User.objects.exists()


@pytest.mark.slow
def test_it_is_a_program_that_reads_the_password_from_standard_input() -> None:
    made = run("--password-stdin", given=PASSWORD + "\n")
    assert (made.returncode, made.stdout, made.stderr) == (0, "staff user admin@example.com: created\n", "")
    assert User.objects.get().check_password(PASSWORD)
    refused = run("--email", "nobody", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout) == {
        "error": {"code": "refused", "message": "'nobody' is not an e-mail address"},
    }
