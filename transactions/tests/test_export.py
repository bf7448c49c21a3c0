"""export_ledger, import_ledger, and the verifier of the file alone: there and back, and all that may go wrong."""

import gzip
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Int64, ObjectId
from django.core.management import CommandError, call_command

from accounts.models import GENESIS
from ledger_project.mongo import database
from transactions import exporting, importing, ledger
from transactions.export_file import ExportBroken, Writer
from transactions.exporting import LEFT_OUT, export_ledger
from transactions.importing import NotEmpty, OtherRelease, import_ledger
from transactions.offline import verify_file
from transactions.posting import AccountState, Books, Order, Posting, Reversal, Transfer, carry_out
from transactions.tests.tampering import Ledger, transaction
from transactions.verification import verify
from users.tests.processes import PROJECT

KEPT = {"django_migrations"}


def stored() -> dict[str, list[Any]]:
    """Every document, by collection, but for what an export leaves out and what verifying adds."""
    names = set(database().list_collection_names(filter={"type": "collection"})) - LEFT_OUT - {"verifications"}
    found = {name: sorted(database()[name].find(), key=str) for name in names if not name.startswith("system.")}
    return {name: rows for name, rows in found.items() if rows}


def empty() -> None:
    for name in database().list_collection_names(filter={"type": "collection"}):
        if name not in KEPT and not name.startswith("system."):
            database()[name].delete_many({})


@pytest.fixture(autouse=True)
def _as_migrated() -> Any:
    """Put back what `migrate` made, which these tests throw away."""
    names = ("django_content_type", "auth_permission")
    before = {name: list(database()[name].find()) for name in names}
    yield
    for name, rows in before.items():
        database()[name].delete_many({})
        database()[name].insert_many(rows)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.gz"


@pytest.fixture
def exported(books: Ledger, file: Path) -> Path:
    ledger.post(Reversal(ObjectId(), transaction(books.alice, 3)["_id"], "wrong"))
    export_ledger(file)
    return file


def lines_of(file: Path) -> list[bytes]:
    return gzip.decompress(file.read_bytes()).splitlines(keepends=True)


def rewrite(file: Path, lines: list[bytes]) -> None:
    """Write the file anew with a trailer that is right."""
    from hashlib import sha256

    *body, _ = lines
    counts: dict[str, int] = {}
    for line in body[1:]:
        name = next(iter(json.loads(line)))
        counts[name] = counts.get(name, 0) + 1
    documents = {name: {"$numberInt": str(count)} for name, count in counts.items()}
    end = {"end": {"documents": documents, "sha256": sha256(b"".join(body)).hexdigest()}}
    file.write_bytes(gzip.compress(b"".join(body) + json.dumps(end).encode() + b"\n"))


def test_there_and_back_every_document_is_the_same(exported: Path, capsys: Any) -> None:
    before = stored()
    empty()
    call_command("import_ledger", str(exported), quiet=True)
    assert capsys.readouterr().out.endswith("5 transactions and 10 entries; the ledger is whole\n")
    assert stored() == before
    assert verify().whole


def test_money_moves_on_after_an_import(exported: Path, books: Ledger) -> None:
    empty()
    import_ledger(exported)
    books.pay(1)
    assert verify().whole


def test_the_file_is_verified_without_any_database(exported: Path) -> None:
    nowhere = {
        "MONGODB_URI": "mongodb://127.0.0.1:1/?replicaSet=none",
        "DJANGO_SETTINGS_MODULE": "ledger_project.settings.test",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger", "--file", str(exported)],
        cwd=PROJECT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "The ledger is whole." in done.stdout


def test_a_file_that_is_not_there_is_told_of_in_a_line(file: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("verify_ledger", file=file, quiet=True)
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_ledger", str(file), quiet=True)


def test_what_is_posted_while_it_is_written_is_not_in_it(books: Ledger, file: Path, monkeypatch: Any) -> None:
    """Transfers, and a reversal of what is in it, come between the snapshot and the entries."""
    write = exporting._write_history

    def later(*args: Any) -> None:
        books.pay(3)
        ledger.post(Reversal(ObjectId(), transaction(books.alice, 3)["_id"], "wrong"))
        write(*args)

    before = stored()
    monkeypatch.setattr(exporting, "_write_history", later)
    made = export_ledger(file)
    assert (made.report.transactions, made.report.entries) == (4, 8)
    empty()
    import_ledger(file)
    assert stored()["transactions"] == before["transactions"]
    assert stored()["entries"] == before["entries"]
    assert stored()["accounts"] == before["accounts"]


@pytest.mark.parametrize("exact", [b"password", b'"may_overdraw"'])
def test_what_is_needed_to_run_is_in_it(exported: Path, exact: bytes) -> None:
    assert exact in b"".join(lines_of(exported))


def test_a_ledger_that_is_not_whole_is_not_exported(books: Ledger, file: Path) -> None:
    database().entries.delete_one({"account": books.bob, "sequence": 1})
    with pytest.raises(ExportBroken, match="not whole"):
        export_ledger(file)
    assert list(file.parent.iterdir()) == []


def test_a_file_that_is_there_is_not_written_over(exported: Path) -> None:
    with pytest.raises(CommandError, match="there already"):
        call_command("export_ledger", str(exported), quiet=True)


def test_one_that_is_killed_halfway_leaves_no_file_of_that_name(books: Ledger, file: Path, monkeypatch: Any) -> None:
    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_write_history", die)
    with pytest.raises(KeyboardInterrupt):
        export_ledger(file)
    assert not file.exists()


def written(file: Path, transfers: int) -> Path:
    """An export of two accounts and so many transfers between them, made by the rules of posting and no database."""
    kinds = (("EQUITY", True), ("CUSTOMER", False))
    states = [AccountState(ObjectId(), ObjectId(), kind, "ACTIVE", "INR", may, 0, 0, GENESIS) for kind, may in kinds]
    books = Books({state.id: state for state in states})
    made: list[Posting] = []
    for number in range(transfers):
        command = Transfer(states[0].user, states[0].id, states[1].id, Decimal(1), str(number))
        (posting,), books = carry_out(Order((command,)), books, datetime(2026, 1, 1, tzinfo=UTC))
        made.append(posting)
    with Writer.to(file, {}) as writer:
        for state in books.accounts.values():
            writer.add("accounts", state._asdict() | {"_id": state.id})
        for side in (0, 1):
            for posting in made:
                if side == 0:
                    writer.add("transactions", posting.transaction)
                writer.add("entries", posting.entries[side])
        writer.end()
    return file


def peak_bytes(file: Path) -> int:
    tracemalloc.start()
    try:
        assert verify_file(file).whole
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_verifying_a_file_takes_memory_for_its_accounts_and_not_for_its_entries(tmp_path: Path) -> None:
    few, many = written(tmp_path / "few", 100), written(tmp_path / "many", 1000)
    peak_bytes(few)  # what is loaded and cached once
    more = 2 * (1000 - 100)
    assert peak_bytes(many) - peak_bytes(few) < 100 * more, "an entry alone takes ten times as much"


class TestABrokenFile:
    @pytest.mark.parametrize(
        "damage",
        {
            "cut off": lambda raw: raw[: len(raw) // 2],
            "cut off at the end": lambda raw: raw[:-1],
            "empty": lambda raw: b"",
            "no gzip": lambda raw: b"{}\n",
            "no header": lambda raw: gzip.compress(b"".join(gzip.decompress(raw).splitlines(True)[1:])),
            "no trailer": lambda raw: gzip.compress(b"".join(gzip.decompress(raw).splitlines(True)[:-1])),
            "a line less": lambda raw: gzip.compress(
                b"".join(line for n, line in enumerate(gzip.decompress(raw).splitlines(True)) if n != 9)
            ),
            "another amount": lambda raw: gzip.compress(gzip.decompress(raw).replace(b'"10000"', b'"10001"', 1)),
            "another version": lambda raw: gzip.compress(
                gzip.decompress(raw).replace(b'"version": {"$numberInt": "1"}', b'"version": {"$numberInt": "9"}')
            ),
            "a line more": lambda raw: gzip.compress(gzip.decompress(raw) + b'{"users": {}}\n'),
            "no JSON": lambda raw: gzip.compress(gzip.decompress(raw).replace(b"{", b"[", 20)),
        }.items(),
        ids=lambda damage: damage[0],
    )
    def test_is_refused_before_anything_is_written(self, exported: Path, damage: Any) -> None:
        exported.write_bytes(damage[1](exported.read_bytes()))
        with pytest.raises(ExportBroken):
            verify_file(exported)
        empty()
        with pytest.raises(ExportBroken):
            import_ledger(exported)
        assert stored() == {}

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ((b'"10000"', b'"10001"'), "transaction_differs"),
            ((b'"status": "REVERSED"', b'"status": "COMPLETED"'), "reversal_link"),
            ((b'"kind": "REVERSAL"', b'"kind": "TRANSFER"'), "reversal_link"),
            ((b'"kind": "EQUITY"', b'"kind": "CUSTOMER"'), "below_zero"),
            ((b'"direction": "CREDIT"', b'"direction": "SIDEWAYS"'), "malformed"),
        ],
    )
    def test_whose_trailer_is_right_is_found_by_its_content(self, exported: Path, change: Any, found: str) -> None:
        rewrite(exported, gzip.decompress(exported.read_bytes()).replace(*change, 1).splitlines(True))
        assert found in verify_file(exported).counts

    @pytest.mark.parametrize("odd", [b'"x"', b"null", b"[1]"])
    def test_whose_reversal_names_no_id_is_found(self, exported: Path, odd: bytes) -> None:
        rewrite(exported, [re.sub(rb'(?<="reverses": ){[^}]*}', odd, line) for line in lines_of(exported)])
        assert verify_file(exported).counts["reversal_link"] == 1

    @pytest.mark.parametrize("currency", [rb'"\\ud800"', b'{"$code": "INR"}'])
    def test_whose_transaction_is_in_no_currency_is_found(self, exported: Path, currency: bytes) -> None:
        lines = lines_of(exported)
        at = next(at for at, line in enumerate(lines) if line.startswith(b'{"transactions"'))
        lines[at] = lines[at].replace(b'"currency": "INR"', b'"currency": ' + currency)
        rewrite(exported, lines)
        assert verify_file(exported).counts["transaction_differs"] == 1

    @pytest.mark.parametrize("name", [b'{"entries"', b'{"transactions"', b'{"accounts"'])
    @pytest.mark.parametrize("which", [0, -1])
    def test_from_which_a_document_was_taken_is_found(self, exported: Path, name: bytes, which: int) -> None:
        lines = lines_of(exported)
        lines.remove([line for line in lines if line.startswith(name)][which])
        rewrite(exported, lines)
        assert not verify_file(exported).whole

    def test_with_a_document_twice_is_found(self, exported: Path) -> None:
        lines = lines_of(exported)
        lines.insert(-1, next(line for line in lines if line.startswith(b'{"transactions"')))
        rewrite(exported, lines)
        assert verify_file(exported).counts == {"transaction_differs": 1}


class TestAnImport:
    def test_into_a_database_that_is_not_empty_is_refused(self, exported: Path, new_user: Callable[..., Any]) -> None:
        empty()
        new_user()
        before = stored()
        with pytest.raises(NotEmpty):
            import_ledger(exported)
        assert stored() == before

    def test_of_another_release_is_refused(self, exported: Path) -> None:
        empty()
        row = database()["django_migrations"].find_one_and_delete({"app": "transactions"}, sort=[("_id", -1)])
        try:
            with pytest.raises(OtherRelease):
                import_ledger(exported)
        finally:
            database()["django_migrations"].insert_one(row)

    @pytest.mark.parametrize("at", ["_insert", "verify"])
    def test_that_broke_off_is_no_ledger_until_it_is_done_again_from_empty(
        self, exported: Path, monkeypatch: Any, client_of: Any, at: str
    ) -> None:
        empty()

        def die(*args: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(importing, at, die)
            with pytest.raises(KeyboardInterrupt):
                import_ledger(exported)
        assert verify().counts == {"import_unfinished": 1}
        answer = client_of().get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "down: an import is not finished")
        with pytest.raises(importing.ImproperlyConfigured):
            importing.refuse_unfinished_import()
        with pytest.raises(NotEmpty):
            import_ledger(exported)
        with pytest.raises(ExportBroken):
            export_ledger(exported.with_name("another.gz"))

        empty()
        assert import_ledger(exported).whole
        importing.refuse_unfinished_import()

    def test_in_the_middle_of_which_something_is_written_is_not_finished(
        self, exported: Path, monkeypatch: Any
    ) -> None:
        empty()
        insert = importing._insert

        def meddled(*args: Any) -> None:
            insert(*args)
            database().accounts.update_one({"kind": "CUSTOMER"}, {"$set": {"balance_minor": Int64(1)}})

        monkeypatch.setattr(importing, "_insert", meddled)
        with pytest.raises(ExportBroken, match="not whole"):
            import_ledger(exported)
        assert "import_unfinished" in verify().counts
