"""Import an exported ledger into an empty database."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ledger_project.commands import Answer, LedgerCommand
from transactions.importing import import_ledger


class Command(LedgerCommand):
    """Either the whole ledger is there afterwards, or the database is marked as a part of one."""

    help = (
        "Import a file of `export_ledger` into a database in which `migrate` has run and nothing else. The file is "
        "verified before anything is written, the ledger after. When it breaks off, the database is marked, and "
        "nothing runs on it: drop it and start again."
    )
    example = "./manage.py import_ledger ledger-2026-11-22.gz"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("file", type=Path, help="what `export_ledger` wrote")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def answer(self, **options: Any) -> Answer:
        """Import."""
        hidden = options["json"] or options["quiet"] or None
        try:
            with tqdm(unit=" documents", unit_scale=True, disable=hidden, leave=False) as bar:
                report = import_ledger(options["file"], progress=bar.update)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from None
        data = {"accounts": report.accounts, "transactions": report.transactions, "entries": report.entries}
        said = f"imported {report.accounts} accounts, {report.transactions} transactions and {report.entries} entries"
        return Answer(data, [f"{said}; the ledger is whole"])
