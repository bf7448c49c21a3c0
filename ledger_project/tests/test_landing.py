"""The landing page says what this is, lists every endpoint, and loads nothing from elsewhere."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from ledger_project import openapi

STATIC = Path(settings.BASE_DIR) / "templates" / "static"


@pytest.fixture
def html() -> str:
    response = Client().get("/")
    assert response.status_code == 200
    return response.content.decode()


def test_every_endpoint_of_the_document_is_listed_with_its_body_answer_and_statuses(html: str):
    articles = dict(re.findall(r'<article id="(\w+)"(.*?)</article>', html, re.DOTALL))
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            article = unescape(articles.pop(operation["operationId"]))
            assert f'data-method="{method.upper()}" data-path="{path}"' in article
            assert all(f">{status}</span>" in article for status in operation["responses"]), path
            for example in first_examples(operation):
                assert json.dumps(example, indent=2, ensure_ascii=False) in article
    assert articles == {}


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


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(html: str):
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//', html) == []
    for name in ("landing.css", "landing.js"):
        assert "//" not in (STATIC / name).read_text().replace("\n// ", "\n")


def test_what_the_page_loads_is_there_and_weighs_little(html: str):
    client = Client()
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
    answers = [client.get(address) for address in loaded]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    weight = len(html.encode()) + sum(len(b"".join(answer.streaming_content)) for answer in answers)
    assert weight < 150_000


def test_every_input_has_a_label(html: str):
    inputs = set(re.findall(r'<(?:input|select|textarea)[^>]*\sid="([^"]+)"', html))
    assert inputs == {"endpoint", "query", "body"}
    assert inputs <= set(re.findall(r'<label for="([^"]+)"', html))


def test_ids_are_unique(html: str):
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_token_is_kept_in_memory_only():
    script = (STATIC / "landing.js").read_text()
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|indexedDB", script)
    assert 'credentials: "omit"' in script


def test_a_visitor_with_any_accept_header_gets_the_page():
    for accept in ("text/html", "*/*", "image/png"):
        response = Client().get("/", headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")
