"""Staff's lists of findings and anchors: by index, read-only; and the dashboard, which counts what is open."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from ledger_project.celery import app
from transactions import alerts, anchors
from transactions.alerts import Found
from transactions.invariants import Code, Finding
from transactions.models import LedgerFinding
from transactions.tests.tampering import Ledger
from users.tests.browsing import browser, cheap, ids

FINDINGS, ANCHORS = "/admin/transactions/ledgerfinding/", "/admin/transactions/anchor/"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def root(new_user: Any) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True))


@pytest.fixture
def finding(books: Ledger) -> LedgerFinding:
    """One about Bob; and one about the whole ledger that was cleared."""
    alerts.record([Found(None, Finding(Code.SUM_NOT_ZERO, "INR", "they sum to 1"))], NOW)
    alerts.clear({None: datetime(2031, 1, 1, tzinfo=UTC)}, NOW)
    alerts.record([Found(books.bob, Finding(Code.ENTRY_HASH, books.bob, "<b>not</b> its hash"))], NOW)
    return LedgerFinding.objects.get(account=books.bob)


@pytest.mark.parametrize(("state", "count"), [("", 2), ("open", 1), ("cleared", 1)])
def test_findings_are_listed_and_filtered_without_a_scan(
    root: Client, finding: LedgerFinding, state: str, count: int
) -> None:
    assert len(ids(cheap(root, f"{FINDINGS}?state={state}" if state else FINDINGS))) == count


def test_a_finding_says_which_account_and_what_and_escapes_it(root: Client, finding: LedgerFinding) -> None:
    page = root.get(f"{FINDINGS}{finding.pk}/change/").content.decode()
    assert f"/admin/accounts/account/{finding.account_id}/change/" in page
    assert "&lt;b&gt;not&lt;/b&gt; its hash" in page
    assert ids(cheap(root, f"{FINDINGS}?q={finding.pk}")) == [finding.pk]


def test_anchors_are_listed_and_found_by_their_hash(root: Client, books: Ledger) -> None:
    anchor = anchors.take_anchor()
    assert ids(cheap(root, ANCHORS)) == ids(cheap(root, f"{ANCHORS}?q={anchor.hash}")) == [anchor.pk]
    assert "of the heads" in root.get(f"{ANCHORS}{anchor.pk}/change/").content.decode()


@pytest.mark.parametrize("address", [FINDINGS, ANCHORS])
def test_nobody_adds_or_changes_one_nor_sees_one_without_the_permission(
    root: Client, new_user: Any, books: Ledger, address: str
) -> None:
    assert root.get(f"{address}add/").status_code == 403
    assert browser(new_user(is_staff=True), "transactions.view_transaction").get(address).status_code == 403


def test_the_dashboard_counts_what_is_open_and_leads_there(root: Client, finding: LedgerFinding) -> None:
    page = root.get("/admin/").content.decode()
    assert "1 open finding" in " ".join(page.split())
    assert f'class="office-tile" href="{FINDINGS}"' in page


@pytest.mark.parametrize("name", ["audit", "anchor"])
def test_beat_calls_tasks_that_exist(name: str) -> None:
    app.loader.import_default_modules()
    assert app.conf.beat_schedule[name]["task"] in app.tasks
