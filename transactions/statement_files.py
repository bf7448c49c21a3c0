"""A statement as a file: CSV for programs, PDF for people."""

import csv
import io
from datetime import datetime
from decimal import Decimal

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from ledger_project.export import harmless
from ledger_project.jsonio import plain, timestamp
from ledger_project.mongo import Document
from transactions.models import Entry
from transactions.statement import Statement
from transactions.statement_letters import set_in

INK, QUIET, LINE, ACCENT = (HexColor(colour) for colour in ("#111827", "#6b7280", "#e5e7eb", "#14573a"))
WIDTH, HEIGHT = A4
LEFT, RIGHT, TOP, BOTTOM = 18 * mm, WIDTH - 18 * mm, HEIGHT - 18 * mm, 20 * mm
ROW = 5.2 * mm
# The right edges of the columns of amounts; the others start at the left.
DEBIT, CREDIT, BALANCE = RIGHT - 58 * mm, RIGHT - 30 * mm, RIGHT


def as_csv(statement: Statement, *, owner: str) -> bytes:
    """The statement as rows: what it is, the opening balance, the entries, the closing balance, the chain head."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerows(
        [
            ("account", statement.account),
            ("owner", harmless(owner)),
            ("currency", statement.currency),
            ("from", timestamp(statement.since)),
            ("to", timestamp(statement.until)),
            ("opening balance", plain(statement.major(statement.opening_minor))),
            (),
            ("sequence", "time", "direction", "amount", "balance after", "counter account", "transaction", "hash"),
        ]
    )
    rows.writerows(_csv_row(statement, entry) for entry in statement.entries)
    rows.writerows(
        [
            (),
            ("credited", plain(statement.major(statement.credited_minor))),
            ("debited", plain(statement.major(statement.debited_minor))),
            ("closing balance", plain(statement.major(statement.closing_minor))),
            ("chain head", statement.chain_head),
        ]
    )
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def _csv_row(statement: Statement, entry: Document) -> tuple:
    return (
        entry["sequence"],
        timestamp(entry["created_at"]),
        entry["direction"],
        plain(statement.major(entry["amount_minor"])),
        plain(statement.major(entry["balance_after_minor"])),
        entry["counter_account"],
        entry["transaction"],
        entry["hash"],
    )


def as_pdf(statement: Statement, *, owner: str, issuer: str) -> bytes:
    """The statement on A4 pages."""
    file = io.BytesIO()
    return _Pages(statement, owner=owner, issuer=issuer, canvas=Canvas(file, pagesize=A4)).drawn_into(file)


class _Pages:
    """Draws a statement from top to bottom, on as many pages as it takes."""

    def __init__(self, statement: Statement, *, owner: str, issuer: str, canvas: Canvas) -> None:
        self.statement, self.owner, self.issuer, self.canvas = statement, owner, issuer, canvas
        self.y = TOP
        canvas.setTitle(f"Statement of account {statement.account}")
        canvas.setAuthor(issuer)

    def drawn_into(self, file: io.BytesIO) -> bytes:
        self._heading()
        self._summary()
        self._columns()
        for entry in self.statement.entries:
            self._entry(entry)
        self._end()
        self._foot()
        self.canvas.save()
        return file.getvalue()

    def _heading(self) -> None:
        self._text(LEFT, self.issuer, font="Helvetica-Bold", size=11, colour=ACCENT)
        self._text(RIGHT, "Account statement", font="Helvetica-Bold", size=11, right=True)
        self.y -= 12 * mm
        said = self.statement
        for label, value in (
            ("Owner", self.owner),
            ("Account", f"{said.account}  ·  {said.currency}"),
            ("Period (UTC)", f"{_moment(said.since)}  to  {_moment(said.until)}"),
        ):
            self._text(LEFT, label, colour=QUIET)
            self._text(LEFT + 30 * mm, value[:95])
            self.y -= ROW
        self.y -= 4 * mm

    def _summary(self) -> None:
        said = self.statement
        boxes = (
            ("Opening balance", said.opening_minor),
            ("Credited", said.credited_minor),
            ("Debited", said.debited_minor),
            ("Closing balance", said.closing_minor),
        )
        width = (RIGHT - LEFT) / len(boxes)
        self.canvas.setStrokeColor(LINE)
        self.canvas.roundRect(LEFT, self.y - 11 * mm, RIGHT - LEFT, 15 * mm, 2 * mm)
        for number, (label, amount_minor) in enumerate(boxes):
            x = LEFT + number * width + 4 * mm
            self._text(x, label, size=8, colour=QUIET)
            self.y -= 6 * mm
            self._text(x, self._amount(amount_minor), font="Helvetica-Bold", size=10)
            self.y += 6 * mm
        self.y -= 22 * mm

    def _columns(self) -> None:
        for x, label, right in (
            (LEFT, "No.", False),
            (LEFT + 14 * mm, "Time (UTC)", False),
            (LEFT + 48 * mm, "Other account", False),
            (DEBIT, "Debit", True),
            (CREDIT, "Credit", True),
            (BALANCE, "Balance", True),
        ):
            self._text(x, label, font="Helvetica-Bold", size=8, colour=QUIET, right=right)
        self.y -= 2 * mm
        self._line()
        self.y -= 4.2 * mm

    def _entry(self, entry: Document) -> None:
        if self.y < BOTTOM + 6 * mm:
            self._foot()
            self.canvas.showPage()
            self.y = TOP
            self._columns()
        self._text(LEFT, str(entry["sequence"]), size=8)
        self._text(LEFT + 14 * mm, _moment(entry["created_at"]), size=8)
        self._text(LEFT + 48 * mm, str(entry["counter_account"]), size=7, font="Courier", colour=QUIET)
        edge = CREDIT if entry["direction"] == Entry.Direction.CREDIT else DEBIT
        self._text(edge, self._amount(entry["amount_minor"]), size=8, right=True)
        self._text(BALANCE, self._amount(entry["balance_after_minor"]), size=8, right=True)
        self.y -= ROW

    def _end(self) -> None:
        if not self.statement.entries:
            self._text(LEFT, "No entries in this period.", colour=QUIET)
            self.y -= ROW
        if self.y < BOTTOM + 20 * mm:
            self._foot()
            self.canvas.showPage()
            self.y = TOP
        self._line()
        self.y -= ROW
        self._text(LEFT, "Closing balance", font="Helvetica-Bold")
        self._text(BALANCE, self._amount(self.statement.closing_minor), font="Helvetica-Bold", right=True)
        self.y -= 2 * ROW
        self._text(LEFT, "Chain head: SHA-256 over every entry of the account up to here", size=7, colour=QUIET)
        self.y -= 4 * mm
        self._text(LEFT, self.statement.chain_head, size=7, font="Courier")

    def _foot(self) -> None:
        where, self.y = self.y, 12 * mm
        self._text(LEFT, f"Account {self.statement.account}", size=7, colour=QUIET)
        self._text(RIGHT, f"Page {self.canvas.getPageNumber()}", size=7, colour=QUIET, right=True)
        self.y = where

    def _line(self) -> None:
        self.canvas.setStrokeColor(LINE)
        self.canvas.line(LEFT, self.y, RIGHT, self.y)

    def _amount(self, amount_minor: int) -> str:
        return f"{Decimal(self.statement.major(amount_minor)):,f}"

    def _text(
        self,
        x: float,
        text: str,
        *,
        font: str = "Helvetica",
        size: float = 9,
        colour: HexColor = INK,
        right: bool = False,
    ) -> None:
        text, font = set_in(font, text, size)
        self.canvas.setFont(font, size)
        self.canvas.setFillColor(colour)
        (self.canvas.drawRightString if right else self.canvas.drawString)(x, self.y, text)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
