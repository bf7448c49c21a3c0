"""A list as CSV or XLSX, row by row: the memory it takes does not grow with the list."""

import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import IO, Any

from django.db.models import Manager, Model
from import_export.fields import Field
from import_export.resources import Resource
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from ledger_project.jsonio import dumps, plain, timestamp

FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ROWS_AT_ONCE = 500
XLSX_ROWS = 100_000  # a workbook is made before it is sent, in a thread that could answer requests; CSV as it is sent
SPREADSHEET_DIGITS = 15  # more, and a spreadsheet would round the number
# What a spreadsheet might take for a formula or a command.
_RUNS = re.compile(r"[\s]*[=+\-@]|[\t\r\n]")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff]")


class _Said:
    """How a value is told: numbers exactly, everything else as text; times in UTC."""

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        """A number, or the text of `value`; of what refers to many, the text of each."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if value is None or isinstance(value, (int, Decimal)):
            return value
        if isinstance(value, datetime):
            return timestamp(value)
        if isinstance(value, Manager):
            return harmless(", ".join(map(str, value.all())))
        return harmless(dumps(value).decode() if isinstance(value, dict) else str(value))


def resource(columns: Iterable[str]) -> Resource:
    """What turns a row into cells: one for each attribute in `columns`, under its name."""
    described = Resource()
    described.fields = {
        name: Field(attribute=name, column_name="id" if name == "pk" else name.removesuffix("_id"), widget=_Said())
        for name in columns
    }
    described._meta.export_order = tuple(columns)
    return described


def csv_lines(columns: Resource, rows: Iterable[Model]) -> Iterator[bytes]:
    """The file in pieces, the header first; it begins with a mark by which spreadsheets know that it is UTF-8."""
    cells = _cells(columns, rows)
    yield b"\xef\xbb\xbf"
    while chunk := list(islice(cells, ROWS_AT_ONCE)):
        text = io.StringIO()
        csv.writer(text).writerows([["" if v is None else _text(v) for v in row] for row in chunk])
        yield text.getvalue().encode("utf-8", "replace")


def xlsx_file(columns: Resource, rows: Iterable[Model]) -> IO[bytes]:
    """A temporary file with the workbook, at its beginning; every cell is text or a number, none a formula."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in _cells(columns, rows):
        sheet.append([_cell(sheet, value) for value in row])
    file = tempfile.TemporaryFile()  # noqa: SIM115  (whoever answers with it closes it)
    book.save(file)
    file.seek(0)
    return file


def harmless(text: str) -> str:
    """`text` as no spreadsheet runs it: what begins like a formula gets an apostrophe before it."""
    return f"'{text}" if _RUNS.match(text) else text


def _cells(columns: Resource, rows: Iterable[Model]) -> Iterator[list[Any]]:
    yield columns.get_export_headers()
    yield from map(columns.export_resource, rows)


def _cell(sheet: Any, value: Any) -> WriteOnlyCell:
    """A number where the spreadsheet holds it exactly; else text, whatever it looks like."""
    cell = WriteOnlyCell(sheet)
    if isinstance(value, (int, Decimal)) and len(Decimal(value).as_tuple().digits) <= SPREADSHEET_DIGITS:
        cell.value = value
    elif value is not None:
        cell.value = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", _text(value))
        cell.data_type = "s"
    return cell


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
