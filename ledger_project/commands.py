"""What every management command shares: help that explains, exit codes, one JSON object on request, no tracebacks."""

import getpass
import logging
import os
import re
import sys
import textwrap
from argparse import RawDescriptionHelpFormatter
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.core.validators import validate_email
from django.db import DatabaseError
from pymongo.errors import PyMongoError

from ledger_project import jsonio
from ledger_project.errors import LedgerError, Unavailable

UNREACHABLE = 2
MAX_PASSWORD_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: `data` for --json, `lines` for people; `failure` makes the exit code 1."""

    data: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    failure: str | None = None


class _HelpFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps the lines of the epilog as they are, and Django's own options last."""


class LedgerCommand(BaseCommand):
    """A command that returns an Answer from `answer`. Refusals and database errors become one line and an exit code."""

    example = ""
    exit_codes = {
        0: "done",
        1: "refused; the reason is on standard error",
        2: "the database cannot be reached, or the options cannot be read",
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with the example and the exit codes below the options."""
        codes = "\n".join(f"  {code}  {meaning}" for code, meaning in self.exit_codes.items())
        kwargs["epilog"] = f"example:\n  {self.example}\n\nexit codes:\n{codes}"
        parser = super().create_parser(prog_name, subcommand, formatter_class=_HelpFormatter, **kwargs)
        parser.description = textwrap.fill(self.help, width=80)
        parser.add_argument("--json", action="store_true", help="print exactly one JSON object on standard output")
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as a program: standard output is for the answer, so what is logged goes to standard error."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the answer; raise CommandError with its failure, or with what kept it from answering."""
        try:
            answer = self.answer(**options)
        except (LedgerError, PyMongoError, DatabaseError, CommandError) as error:
            failure, code = _explained(error)
            if options["json"]:
                self.stdout.write(jsonio.dumps({"error": {"code": code, "message": str(failure)}}).decode())
            raise failure from error
        lines = [jsonio.dumps(answer.data).decode()] if options["json"] else answer.lines
        for line in lines:
            self.stdout.write(line)
        if answer.failure:
            raise CommandError(answer.failure)

    def answer(self, **options: Any) -> Answer:
        """Do what the command is for. May raise LedgerError, PyMongoError, DatabaseError and CommandError."""
        raise NotImplementedError

    def tell(self, line: str, options: dict[str, Any]) -> None:
        """Say something before the answer: where people read it, but never between a program and its JSON."""
        (self.stderr if options["json"] else self.stdout).write(line)


def _explained(error: Exception) -> tuple[CommandError, str]:
    """The one line for `error` with its exit code, and a stable code for programs."""
    if isinstance(error, CommandError):
        return error, "refused"
    if isinstance(error, LedgerError):
        return CommandError(error.message, returncode=UNREACHABLE if isinstance(error, Unavailable) else 1), error.code
    cause = error.__cause__ if isinstance(error.__cause__, PyMongoError) else error
    first = re.split(r"[,(\n]", str(cause))[0].strip()  # what follows is the topology, over many lines
    line = f"the database cannot be reached: {type(cause).__name__}: {first}"
    return CommandError(line, returncode=UNREACHABLE), Unavailable.code


def add_password_options(parser: CommandParser) -> None:
    """Let a password come in on standard input. There is no option for the password itself: everybody sees those."""
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def read_password(variable: str, options: dict[str, Any]) -> str:
    """The password from standard input, environment or prompt. Raises CommandError: there is none, or it is weak."""
    if options["password_stdin"]:
        password = sys.stdin.readline().rstrip("\r\n")
    elif variable in os.environ:
        password = os.environ[variable]
    elif sys.stdin.isatty():
        password = _prompted()
    else:
        raise CommandError(f"no password: set {variable}, or use --password-stdin")
    return strong(password)


def _prompted() -> str:
    password = getpass.getpass("Password: ")
    if getpass.getpass("Password again: ") != password:
        raise CommandError("the passwords differ")
    return password


def strong(password: str) -> str:
    """`password`, if the API would take it as well. Raises CommandError."""
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if len(password) > MAX_PASSWORD_LENGTH:
        raise CommandError(f"the password is longer than {MAX_PASSWORD_LENGTH} characters")
    return password


def read_email(given: str | None, variable: str, default: str | None = None) -> str:
    """The e-mail given, the environment's, or `default`. Raises CommandError: there is none, or it is malformed."""
    email = (given or os.environ.get(variable) or default or "").strip().lower()
    if not email:
        raise CommandError(f"no e-mail: use --email or set {variable}")
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"{email!r} is not an e-mail address") from None
    return email
