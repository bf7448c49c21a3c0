"""/metrics, in Prometheus's format."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger_project.mongo import database
from transactions import anchors, continuous_audit
from transactions.meters import meters

TOKEN = "t" * 50


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def told(client: Any) -> dict[str, float]:
    answer = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.content.decode())
    return {"|".join((sample.name, *sample.labels.values())): sample.value for f in families for sample in f.samples}


def test_an_empty_ledger_has_figures(client_of: Any) -> None:
    figures = told(client_of())
    assert figures["ledger_findings"] == figures["ledger_oldest_verification_seconds"] == 0
    assert "ledger_anchor_number" not in figures


def test_what_happened_is_in_them(client_of: Any, new_user: Any, new_account: Any) -> None:
    meters.flush()
    before = told(client_of())
    account = new_account(new_user(), funds=5)
    body = {"fromAccount": str(account.pk), "toAccount": str(account.pk), "amount": 1, "idempotencyKey": "k"}
    client_of(account.user).post("/api/transactions", body)
    meters.flush()
    anchors.take_anchor()
    database().entries.update_one({"account": account.pk}, {"$set": {"hash": "f" * 64}})
    continuous_audit.audit_slice()

    figures = told(client_of())
    assert figures["ledger_findings"] == 2
    assert figures["ledger_accounts_verified"] == 2
    assert figures["ledger_anchor_number"] == 1
    assert figures["ledger_outbox_untold"] == 1
    assert figures["ledger_calls_total"] > before["ledger_calls_total"]
    assert figures["ledger_refusals_total|same_account"] == 1


@pytest.mark.parametrize("shown", ["", "Bearer ", "Bearer wrong", TOKEN, f"Basic {TOKEN}"])
def test_without_the_token_nothing_is_told(client_of: Any, shown: str) -> None:
    answer = client_of().get("/metrics", HTTP_AUTHORIZATION=shown)
    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("shown", ["", "Bearer ", f"Bearer {TOKEN}"])
def test_where_no_token_is_set_there_is_no_such_page(client_of: Any, settings: Any, shown: str) -> None:
    settings.METRICS_TOKEN = ""
    assert client_of().get("/metrics", HTTP_AUTHORIZATION=shown).status_code == 404
