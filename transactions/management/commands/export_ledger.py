"""Export the ledger into a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ledger_project.commands import Answer, LedgerCommand
from transactions.exporting import export_ledger
from transactions.verification import extent


class Command(LedgerCommand):
    """May run at any time, beside live traffic."""

    help = (
        "Export the ledger as it is at one moment: accounts, transactions, entries, users with their password hashes, "
        "the audit log, what waits in the outbox, anchors. Not sessions, not the dashboard's roll-ups. The file is "
        "verified before it gets its name. Transfers may go on meanwhile. Keep it as you keep the database: secret."
    )
    example = "./manage.py export_ledger ledger-2026-11-22.gz"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("file", type=Path, help="the new file")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def answer(self, **options: Any) -> Answer:
        """Export."""
        hidden = options["json"] or options["quiet"] or None
        try:
            with tqdm(total=extent(), unit=" documents", unit_scale=True, disable=hidden, leave=False) as bar:
                made = export_ledger(options["file"], progress=bar.update)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from None
        report = made.report
        data = {"file": str(options["file"]), "sha256": made.digest, "documents": made.documents}
        said = f"exported {report.accounts} accounts, {report.transactions} transactions and {report.entries} entries"
        return Answer(data, [f"{said}; the file is verified: {made.digest}"])
