"""The pages say what this is, list every endpoint, lead to proofs, and load nothing from elsewhere."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from ledger_project import openapi
from ledger_project.proofs import CLAIMS

PAGES = ["/", "/console/", "/console", "/proof/docs/adr/0004-idempotency.md", "/api/docs/"]
STATIC = Path(settings.BASE_DIR) / "templates" / "static"


@pytest.fixture
def html() -> str:
    response = Client().get("/")
    assert response.status_code == 200
    return response.content.decode()


def test_every_endpoint_of_the_document_is_listed_with_its_fields_body_answer_and_statuses(html: str):
    listed = dict(re.findall(r'<details id="(\w+)" class="endpoint"(.*?)</details>', html, re.DOTALL))
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            described = unescape(listed.pop(operation["operationId"]))
            assert f'data-method="{method.upper()}" data-path="{path}"' in described
            assert all(f">{status}</span>" in described for status in operation["responses"]), path
            for parameter in operation.get("parameters", []):
                name = parameter.get("name", "X-Request-Id")  # the one that all share is a reference
                assert f'data-name="{name}"' in described
            for example in first_examples(operation):
                assert json.dumps(example, indent=2, ensure_ascii=False) in described
    assert listed == {}


def first_examples(operation: dict) -> list[dict]:
    """The example of the body and that of each success."""
    successes = [answer for status, answer in operation["responses"].items() if status < "300"]
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    return [
        next(iter(content["examples"].values()))["value"]
        for described in (*bodies, *successes)
        for content in list(described["content"].values())[:1]  # an answer that comes in several types is shown in one
        if content.get("examples")
    ]


def test_every_refusal_is_listed_with_its_code_and_message(html: str):
    text = unescape(html)
    for code in ("insufficient_funds", "idempotency_key_reused", "email_taken", "not_system_user", "outcome_unknown"):
        assert f"<code>{code}</code>" in text
    assert "User already exists with email." in text


def test_the_endpoints_are_grouped(html: str):
    assert [html.index(f'id="{name}"') for name in ("authentication", "accounts", "transactions")] == sorted(
        html.index(f'id="{name}"') for name in ("authentication", "accounts", "transactions")
    )


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(path: str):
    html = Client().get(path).content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//', html) == []


def test_our_scripts_and_sheets_name_no_other_host_and_no_lasting_storage():
    files = [*STATIC.rglob("*.js"), *STATIC.rglob("*.css")]
    assert len(files) > 30
    for file in files:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert not re.search(r"https?://|[\"'(]//\w", text), file
        assert not re.search(r"localStorage\.|document\.cookie|indexedDB|innerHTML|eval\(", text), file


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_what_it_may_load(path: str):
    headers = Client().get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_loads_is_there(path: str):
    html = Client().get(path).content.decode()
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
    assert len(loaded) >= 3
    assert {name: Client().get(name).status_code for name in loaded} == dict.fromkeys(loaded, 200)


@pytest.mark.parametrize("path", PAGES)
def test_every_input_has_a_label_and_ids_are_unique(path: str):
    html = Client().get(path).content.decode()
    inputs = set(re.findall(r'<(?:input|select|textarea)[^>]*\sid="([^"]+)"', html))
    assert inputs <= set(re.findall(r'<label for="([^"]+)"', html))
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_visitor_with_any_accept_header_gets_the_page():
    for accept in ("text/html", "*/*", "image/png"):
        response = Client().get("/", headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_every_claim_leads_to_proofs_that_are_there(html: str):
    proofs = [proof for claim in CLAIMS for proof in claim.proofs]
    assert len(CLAIMS) == 4
    for proof in proofs:
        address = f"/proof/{proof.path}"
        assert address in html
        shown = Client().get(address)
        assert shown.status_code == 200
        assert not proof.place or f'id="{proof.place}"' in shown.content.decode()


def test_a_proof_is_the_file_as_it_stands():
    path = "docs/adr/0004-idempotency.md"
    shown = unescape(Client().get(f"/proof/{path}").content.decode())
    assert (Path(settings.BASE_DIR) / path).read_text() in shown


@pytest.mark.parametrize(
    "path", ["manage.py", "ledger_project/settings/production.py", "../../etc/passwd", "docs/adr/../../manage.py", ""]
)
def test_no_other_file_can_be_read(path: str):
    assert Client().get(f"/proof/{path}").status_code == 404
