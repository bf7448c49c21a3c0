"""Anchors: one a day, chained, mailed; and the proof that the ledger still contains one."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, ObjectId
from django.core.management import CommandError, call_command
from pymongo.errors import DuplicateKeyError

from ledger_project.mongo import database
from transactions import anchors
from transactions.anchors import anchor_findings, take_anchor, take_daily
from transactions.models import Anchor
from transactions.posting import entry_hash
from transactions.tests.tampering import Ledger, change, entry
from transactions.verification import verify
from users import notifications
from users.models import Notification

NOW = datetime(2030, 1, 1, 0, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def codes(named: Any) -> list[str]:
    return [finding.code.value for finding in anchor_findings(str(named))]


def test_an_anchor_stands_for_all_heads(books: Ledger, monkeypatch: Any) -> None:
    monkeypatch.setattr(anchors, "HEADS_A_PAGE", 2)
    anchor = take_anchor(now=NOW)
    assert (anchor.number, anchor.accounts, anchor.entries, anchor.previous) == (1, 3, 8, "0" * 64)
    assert database().anchor_pages.count_documents({}) == 2
    assert codes(anchor.hash) == []
    assert verify().whole


def test_of_an_empty_ledger_there_is_one_too() -> None:
    assert codes(take_anchor().hash) == []


def test_what_is_posted_later_does_not_touch_it(books: Ledger) -> None:
    first = take_anchor()
    books.pay(1)
    second = take_anchor()
    assert (second.number, second.previous, second.entries) == (2, first.hash, 10)
    assert codes(first.hash) == codes(second.hash) == []


def test_there_is_one_a_day(books: Ledger) -> None:
    assert take_daily(now=NOW) is not None
    assert take_daily(now=NOW + DAY / 2) is None
    assert take_daily(now=NOW + DAY) is not None
    assert [row["number"] for row in database().anchors.find()] == [1, 2]


def test_auditors_are_mailed_the_hash(books: Ledger, new_user: Any) -> None:
    auditor = new_user(is_staff=True, is_superuser=True)
    anchor = take_anchor()
    (notice,) = Notification.objects.filter(kind=Notification.Kind.LEDGER_ANCHOR)
    assert notice.user_id == auditor.pk
    mail = notifications.message(notice)
    assert mail.subject == f"Anchor 1 of the ledger: {anchor.hash}"
    assert re.search(rf"verify_ledger --anchor {anchor.hash}\n", mail.body)


def test_two_at_once_are_one(books: Ledger, monkeypatch: Any) -> None:
    keep, others = anchors._keep_pages, []

    def meanwhile(anchor: ObjectId) -> Any:
        monkeypatch.undo()
        others.append(take_anchor())
        books.pay(1)
        return keep(anchor)

    monkeypatch.setattr(anchors, "_keep_pages", meanwhile)
    assert take_anchor() == others[0]
    assert Anchor.objects.count() == 1
    assert codes(others[0].hash) == []


def test_one_that_was_killed_halfway_is_none_and_the_next_is_whole(books: Ledger, monkeypatch: Any) -> None:
    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(anchors, "run_transaction", die)
        with pytest.raises(KeyboardInterrupt):
            take_anchor()
    assert Anchor.objects.count() == 0
    anchor = take_anchor()
    assert (anchor.number, codes(anchor.hash)) == (1, [])


def rewrite_bob() -> None:
    """As whoever can write everything would: another amount, and every hash of the account made anew."""
    previous, balance, head = "0" * 64, 0, {}
    account = database().accounts.find_one({"kind": "CUSTOMER", "sequence": 3})
    for row in database().entries.find({"account": account["_id"]}).sort("sequence", 1):
        amount = row["amount_minor"] + (row["sequence"] == 1)
        balance += amount
        row |= {"amount_minor": amount, "balance_after_minor": balance}
        previous = row["hash"] = entry_hash(previous, row)
        database().entries.replace_one({"_id": row["_id"]}, row)
        head = {"balance_minor": balance, "chain_head": previous}
    database().accounts.update_one({"_id": account["_id"]}, {"$set": head})


class TestARewrittenLedger:
    def test_no_longer_contains_its_anchor(self, books: Ledger) -> None:
        anchor = take_anchor()
        rewrite_bob()
        assert codes(anchor.hash) == ["anchor_differs"]

    def test_even_with_its_anchors_made_anew(self, books: Ledger, tmp_path: Path) -> None:
        """What was mailed is nowhere then; and a file of the heads tells which accounts differ."""
        given_out, file = take_anchor(), tmp_path / "anchor"
        anchors.write_file(given_out, file)
        rewrite_bob()
        database().anchors.delete_many({})
        database().anchor_pages.delete_many({})
        take_anchor()
        assert codes(given_out.hash) == ["anchor_missing"]
        assert [(f.code.value, f.subject) for f in anchor_findings(str(file))] == [("anchor_differs", books.bob)]

    @pytest.mark.parametrize("sequence", [1, 3])
    def test_that_lost_entries_no_longer_contains_it(self, books: Ledger, sequence: int) -> None:
        anchor = take_anchor()
        database().entries.delete_many({"account": books.bob, "sequence": {"$gte": sequence}})
        assert codes(anchor.hash) == ["anchor_differs"]

    def test_whose_anchor_was_given_other_heads_is_found(self, books: Ledger) -> None:
        anchor = take_anchor()
        rewrite_bob()
        heads = anchors._packed(anchors._heads_now(None))
        database().anchor_pages.update_one({}, {"$set": {"heads": Binary(heads)}})
        assert codes(anchor.hash) == ["anchor_differs"]

    @pytest.mark.parametrize("field", ["entries", "accounts", "number"])
    def test_whose_anchor_says_something_else_is_found(self, books: Ledger, field: str) -> None:
        anchor = take_anchor()
        change("anchors", anchor.pk, **{field: 99})
        assert "anchor_differs" in codes(anchor.hash)
        assert "anchor_differs" in verify().counts

    def test_in_which_an_anchor_is_missing_is_found(self, books: Ledger) -> None:
        take_anchor(), take_anchor(), take_anchor()
        database().anchors.delete_one({"number": 2})
        assert verify().counts == {"anchor_differs": 1}


def test_two_anchors_of_one_number_cannot_be_stored() -> None:
    anchor = database().anchors.find_one({"_id": take_anchor().pk})
    with pytest.raises(DuplicateKeyError):
        database().anchors.insert_one(anchor | {"_id": ObjectId()})


class TestTheCommands:
    def test_take_one_and_prove_it_by_hash_and_by_file(self, books: Ledger, tmp_path: Path, capsys: Any) -> None:
        file = tmp_path / "anchor"
        call_command("anchor_ledger", file=file)
        digest = capsys.readouterr().out.strip()[-64:]
        for named in (digest, str(file)):
            call_command("verify_ledger", anchor=named, quiet=True)
            assert "The ledger is whole." in capsys.readouterr().out

    def test_say_which_hash_is_not_in_the_ledger(self, books: Ledger) -> None:
        with pytest.raises(CommandError, match="anchor_missing 1"):
            call_command("verify_ledger", anchor="f" * 64, quiet=True)

    @pytest.mark.parametrize("content", ["", "mine", "{}\n", '{"taken_at": 5}\n', "\x00"])
    def test_call_a_file_that_is_none_of_theirs_by_its_name(self, books: Ledger, tmp_path: Path, content: str) -> None:
        file = tmp_path / "anchor"
        file.write_text(content)
        assert codes(file) == ["anchor_missing"]

    def test_find_a_file_in_which_a_head_was_changed(self, books: Ledger, tmp_path: Path) -> None:
        file = tmp_path / "anchor"
        anchors.write_file(take_anchor(), file)
        file.write_text(file.read_text().replace(f"{books.bob} 3", f"{books.bob} 2"))
        assert set(codes(file)) == {"anchor_differs"}

    def test_do_not_write_over_a_file(self, books: Ledger, tmp_path: Path) -> None:
        file = tmp_path / "anchor"
        file.write_text("mine")
        with pytest.raises(CommandError, match="its file was not"):
            call_command("anchor_ledger", file=file)
        assert file.read_text() == "mine"


class TestSince:
    def test_only_what_was_posted_from_then_on_is_verified(self, books: Ledger) -> None:
        at = entry(books.alice, 4)["created_at"]
        report = verify(since=at)
        assert report.whole
        assert (report.accounts, report.entries) == (3, 2)

    def test_a_tampered_entry_of_then_is_found_and_an_earlier_one_is_not(self, books: Ledger) -> None:
        at = entry(books.alice, 4)["created_at"]
        change("entries", entry(books.alice, 2)["_id"], created_at=entry(books.alice, 1)["created_at"])
        assert verify(since=at, account=books.alice).whole
        change("entries", entry(books.alice, 4)["_id"], hash="f" * 64)
        assert "entry_hash" in verify(since=at).counts

    def test_a_gap_before_is_a_finding_and_no_crash(self, books: Ledger) -> None:
        at = entry(books.alice, 4)["created_at"]
        database().entries.delete_one({"account": books.alice, "sequence": 2})
        database().entries.delete_one({"account": books.alice, "sequence": 1})
        database().entries.delete_one({"account": books.alice, "sequence": 3})
        assert "entry_sequence" in verify(since=at).counts

    def test_what_is_no_time_is_refused(self) -> None:
        with pytest.raises(CommandError, match="is not a time"):
            call_command("verify_ledger", since="yesterday", quiet=True)
