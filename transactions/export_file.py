"""The file of an exported ledger: lines of JSON in gzip, from a header to a trailer that says whether it is whole.

The first line is {"ledger": {...}}: format, version, when, of which migrations. Then a line for each document,
{"COLLECTION": {...}}, in MongoDB's canonical Extended JSON, which keeps every type. The last is {"end": {...}}: how
many documents there are of each collection, and the SHA-256 over all lines before. Without it, the file is no export.
"""

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Self

from bson import json_util
from bson.json_util import JSONMode, JSONOptions

from ledger_project.errors import LedgerError
from ledger_project.mongo import Document

FORMAT, VERSION = "backend-ledger", 1
HEADER, TRAILER = "ledger", "end"
LEVEL = 5  # of compression: 6 takes half as long again for a hundredth less
EXACT: JSONOptions = JSONOptions(json_mode=JSONMode.CANONICAL, tz_aware=True)


class ExportBroken(LedgerError):
    """The file is not an export, or not a whole one."""

    status = HTTPStatus.BAD_REQUEST
    code = "export_broken"
    message = "The file is not a whole export of a ledger"


class Writer:
    """Writes the lines one by one; `written` counts the documents by collection."""

    def __init__(self, file: IO[bytes], header: Document) -> None:
        self._file = file
        self._digest = sha256()
        self.written: Counter[str] = Counter()
        self._line(HEADER, {"format": FORMAT, "version": VERSION} | header)

    def add(self, collection: str, document: Document) -> None:
        """Add a document."""
        self._line(collection, document)
        self.written[collection] += 1

    def end(self) -> str:
        """Write the trailer; the digest in it."""
        digest = self._digest.hexdigest()
        self._line(TRAILER, {"documents": dict(self.written), "sha256": digest})
        return digest

    def _line(self, name: str, document: Document) -> None:
        line = f'{{"{name}": {json_util.dumps(document, json_options=EXACT)}}}\n'.encode()
        self._digest.update(line)
        self._file.write(line)

    @classmethod
    @contextmanager
    def to(cls, path: Path, header: Document) -> Iterator[Self]:
        """A writer to the new file `path`, on the disk when the context ends. Raises OSError."""
        with path.open("xb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0, filename="") as file:
                yield cls(file, header)  # type: ignore[arg-type]
            raw.flush()
            os.fsync(raw.fileno())


def header_of(path: Path) -> Document:
    """What the first line says. Raises ExportBroken, OSError."""
    return next(_checked(path))[1]


def documents(path: Path) -> Iterator[tuple[str, Document]]:
    """Every document with the name of its collection, in the order of the file.

    Raises OSError; and ExportBroken as soon as something is wrong, which for the digest is behind the last document.
    """
    lines = _checked(path)
    next(lines)
    yield from lines


def _checked(path: Path) -> Iterator[tuple[str, Document]]:
    """The header, then the documents; at the end the trailer has been compared with what passed."""
    digest, seen, is_first, has_ended = sha256(), Counter[str](), True, False
    for line in _lines(path):
        name, document = _parsed(line)
        if has_ended:
            raise ExportBroken("The file goes on behind its last line")
        if is_first != (name == HEADER) or (is_first and not _is_ours(document)):
            raise ExportBroken(f"Line {seen.total() + 1} of the file is not one of an export that this release reads")
        if name == TRAILER:
            if document != {"documents": dict(seen), "sha256": digest.hexdigest()}:
                raise ExportBroken("The file is not what its last line says: it was changed, or lines are missing")
            has_ended = True
            continue
        digest.update(line)
        if not is_first:
            seen[name] += 1
        is_first = False
        yield name, document
    if not has_ended:
        raise ExportBroken("The file ends before its last line: it is a part of an export")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ExportBroken("The file is cut off, or is no gzip file") from None


def _parsed(line: bytes) -> tuple[str, Document]:
    try:
        ((name, document),) = json_util.loads(line, json_options=EXACT).items()
    except (ValueError, TypeError, AttributeError, json.JSONDecodeError):
        raise ExportBroken("A line of the file is not one of an export") from None
    if not isinstance(document, dict):
        raise ExportBroken("A line of the file is not one of an export")
    return name, document


def _is_ours(header: Document) -> bool:
    said: Any = (header.get("format"), header.get("version"))
    return said == (FORMAT, VERSION)
