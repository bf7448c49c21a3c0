"""Take an anchor of the ledger now."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ledger_project.commands import Answer, LedgerCommand
from ledger_project.jsonio import timestamp
from transactions.anchors import take_anchor, write_file


class Command(LedgerCommand):
    """Besides the one that beat has taken every day."""

    help = (
        "Take an anchor: the heads of all accounts' chains at one moment, under one hash, which is kept in the ledger "
        "and mailed to whoever may see findings. `verify_ledger --anchor HASH` proves later that the ledger still "
        "contains it. With --file all heads are written to a file, too, which tells which accounts differ even when "
        "the anchors were taken out of the database."
    )
    example = "./manage.py anchor_ledger --file anchor-2026-11-22"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--file", type=Path, help="write the anchor with all heads to this new file")

    def answer(self, **options: Any) -> Answer:
        """Take it."""
        anchor = take_anchor()
        if options["file"]:
            try:
                write_file(anchor, options["file"])
            except OSError as error:
                raise CommandError(f"the anchor was taken, {anchor.hash}; its file was not: {error.strerror}") from None
        data = {
            "number": anchor.number,
            "hash": anchor.hash,
            "previous": anchor.previous,
            "accounts": anchor.accounts,
            "entries": anchor.entries,
            "taken_at": timestamp(anchor.taken_at),
        }
        said = f"anchor {anchor.number} over {anchor.accounts} accounts and {anchor.entries} entries: {anchor.hash}"
        return Answer(data, [said])
