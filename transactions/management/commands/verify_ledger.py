"""Prove the ledger from its entries."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId
from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ledger_project.commands import UNREACHABLE, Answer, LedgerCommand
from ledger_project.jsonio import plain
from ledger_project.money import UnknownCurrency, to_major
from transactions.anchors import anchor_findings
from transactions.invariants import Finding, Total
from transactions.offline import verify_file
from transactions.verification import Report, extent, verify


class Command(LedgerCommand):
    """May run at any time, beside live traffic."""

    help = (
        "Verify that the ledger is whole: the balances of each currency sum to zero; every account's entries are "
        "numbered without a gap, chained by their hashes, and make its balance; no customer is below zero; every "
        "transaction has its two entries, equal and opposite; the unique indexes are there. Transfers may go on "
        "meanwhile. Every invariant that does not hold is printed with the id of what breaks it and the exact values, "
        "amounts in minor units."
    )
    example = "./manage.py verify_ledger --json"
    exit_codes = {
        0: "the ledger is whole, and contains the anchor if one was given",
        1: "it is not; or there is no such account",
        2: "the database cannot be reached or failed before the end, or the options cannot be read: nothing is proven",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--account", metavar="ID", help="verify just this account and its transactions")
        parser.add_argument(
            "--since", metavar="TIME", help="verify just what was posted from then on: 2026-11-22, or 2026-11-22T09:30Z"
        )
        parser.add_argument(
            "--anchor",
            metavar="HASH|FILE",
            help="verify as well that the ledger still contains this anchor: the hash that was mailed, or a file of "
            "`anchor_ledger`",
        )
        parser.add_argument(
            "--file", type=Path, help="verify an exported ledger instead, from its file alone: no database is asked"
        )
        parser.add_argument(
            "--limit-findings", type=int, default=100, metavar="N", help="print the first N only (default: %(default)s)"
        )
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def answer(self, **options: Any) -> Answer:
        """Verify, and tell."""
        if options["file"]:
            return _answer(_of_file(options["file"], options["limit_findings"]))
        account, since = _account_id(options["account"]), _moment(options["since"])
        hidden = options["json"] or options["quiet"] or None  # None: hidden when standard error is no terminal
        with tqdm(total=extent(account), unit=" documents", unit_scale=True, disable=hidden, leave=False) as bar:
            report = verify(account=account, since=since, keep=options["limit_findings"], progress=bar.update)
        if options["anchor"]:
            report.add(anchor_findings(options["anchor"]))
        return _answer(report)


def _of_file(file: Path, keep: int) -> Report:
    try:
        return verify_file(file, keep=keep)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", returncode=UNREACHABLE) from None


def _answer(report: Report) -> Answer:
    return Answer(_data(report), _lines(report), None if report.whole else _failure(report))


def _account_id(text: str | None) -> ObjectId | None:
    if text is not None and not ObjectId.is_valid(text):
        raise CommandError(f"{text!r} is not an account id: 24 hex digits are")
    return ObjectId(text) if text is not None else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise CommandError(f"{text!r} is not a time: 2026-11-22, or 2026-11-22T09:30Z") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None


def _data(report: Report) -> dict[str, Any]:
    return {
        "whole": report.whole,
        "accounts": report.accounts,
        "transactions": report.transactions,
        "entries": report.entries,
        "currencies": {
            currency: {"accounts": total.accounts, "issued_minor": total.issued_minor, "sum_minor": total.sum_minor}
            for currency, total in report.totals.items()
        },
        "counts": dict(report.counts),
        "findings": [
            {"code": finding.code.value, "subject": str(finding.subject), "message": finding.message}
            for finding in report.findings
        ],
        "seconds": round(report.seconds, 3),
    }


def _lines(report: Report) -> list[str]:
    return [
        f"verified {report.accounts} accounts, {report.transactions} transactions and {report.entries} entries "
        f"in {report.seconds:.1f} s",
        *(_total_line(currency, total) for currency, total in report.totals.items()),
        *map(_finding_line, report.findings),
        *_left_out(report),
        *(["The ledger is whole."] if report.whole else []),
    ]


def _total_line(currency: str, total: Total) -> str:
    issued, balance = _major(total.issued_minor, currency), _major(total.sum_minor, currency)
    return f"{currency}: {issued} issued; the balances of {total.accounts} accounts sum to {balance}"


def _major(amount_minor: int, currency: str) -> str:
    try:
        return plain(to_major(amount_minor, currency))
    except UnknownCurrency:  # a tampered account
        return f"{amount_minor} minor units"


def _finding_line(finding: Finding) -> str:
    return f"{finding.code}  {finding.subject}  {finding.message}"


def _left_out(report: Report) -> list[str]:
    left_out = report.counts.total() - len(report.findings)
    return [f"... and {left_out} more"] if left_out else []


def _failure(report: Report) -> str:
    counts = ", ".join(f"{code} {count}" for code, count in report.counts.most_common())
    return f"The ledger is not whole: {counts}"
