"""The landing page tries every call for real: the first transfer takes a mouse and two clicks."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from ledger_project import openapi
from ledger_project.tests.console import PASSWORD
from transactions.models import Transaction
from users.models import ApiSession

TRANSFER = "createTransfer"


@pytest.fixture
def bench(page: Page) -> Page:
    """The page at its form."""
    page.goto("/")
    expect(page.locator("#bench")).to_be_visible()
    return page


def send(page: Page, status: str) -> dict[str, Any]:
    """Send the form; the body of the answer, which has this status."""
    page.locator("#answer-body").evaluate("shown => shown.textContent = ''")  # the answer before
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answer-body")).not_to_be_empty()
    expect(page.locator("#answer-line")).to_contain_text(status)
    return json.loads(page.locator("#answer-body").inner_text())


def choose(page: Page, operation: str) -> None:
    page.get_by_label("Endpoint", exact=True).select_option(operation)


def test_a_newcomer_makes_the_first_transfer_with_the_mouse_alone(page: Page, settings: Any):
    settings.DEMO = True
    page.goto("/")
    page.get_by_role("link", name="Make a transfer now").click()
    page.get_by_role("button", name="Create Asha and Ben").click()
    expect(page.locator(".person")).to_have_count(2)
    answer = send(page, "201 Created")
    expect(page.locator("#answer-says")).to_contain_text("the money has moved")
    expect(page.locator(".person").nth(0)).to_contain_text("₹987.50")
    expect(page.locator(".person").nth(1)).to_contain_text("₹262.50")
    transaction = Transaction.objects.get(pk=answer["transaction"]["_id"])
    assert transaction.amount_minor == 1250

    send(page, "200 OK")
    expect(page.locator("#answer-says")).to_contain_text("nothing moved")
    assert Transaction.objects.filter(from_account=transaction.from_account_id).count() == 1
    page.get_by_role("button", name="New key").click()
    send(page, "201 Created")
    expect(page.locator(".person").nth(0)).to_contain_text("₹975.00")


@pytest.mark.slow
def test_the_console_opens_as_somebody_of_the_demo(page: Page, settings: Any):
    settings.DEMO = True
    page.goto("/")
    page.get_by_role("button", name="Create Asha and Ben").click()
    page.get_by_role("link", name="Open the console as Ben").click()
    expect(page.locator("#who")).to_have_text("Ben")
    expect(page.locator(".account")).to_contain_text("₹250.00")


@pytest.mark.slow
def test_there_is_no_demo_where_the_settings_do_not_say_so(bench: Page):
    expect(bench.locator("#demo-card")).to_have_count(0)


def test_the_form_of_each_endpoint_has_a_field_for_each_parameter_and_property(bench: Page):
    document = openapi.document()
    for item in document["paths"].values():
        for operation in item.values():
            choose(bench, operation["operationId"])
            found = bench.locator("[id^='field-']:is(input, select, textarea)")
            names = {name.removeprefix("field-") for name in found.evaluate_all("all => all.map(one => one.id)")}
            assert names == names_of(document, operation), operation["operationId"]


def names_of(document: dict, operation: dict) -> set[str]:
    """What an operation takes, by the document."""

    def resolved(described: dict) -> dict:
        kind, name = described.get("$ref", "//").split("/")[-2:]
        return document["components"][kind][name] if name else described

    content = operation.get("requestBody", {}).get("content", {})
    bodies = [resolved(content["application/json"]["schema"])] if content else []
    parameters = {resolved(parameter)["name"] for parameter in operation.get("parameters", [])}
    return parameters | {name for body in bodies for name in body["properties"]}


@pytest.mark.slow
def test_the_token_and_the_ids_of_answers_are_offered_in_the_next_call(bench: Page):
    bench.expected = ["401"]
    choose(bench, "register")
    registered = send(bench, "201")
    expect(bench.locator("#snippet")).not_to_contain_text("Authorization")
    choose(bench, "openAccount")
    expect(bench.locator("#snippet")).to_contain_text("Authorization: Bearer")
    first = send(bench, "201")["account"]["_id"]
    second = send(bench, "201")["account"]["_id"]
    choose(bench, "getAccount")
    expect(bench.get_by_label("accountId", exact=True)).to_have_value(first)
    offered = bench.locator("#known-accounts option").evaluate_all("all => all.map(one => one.value)")
    assert offered == [first, second]
    assert send(bench, "200")["account"]["_id"] == first
    choose(bench, "login")
    expect(bench.get_by_label("email", exact=True)).to_have_value(registered["user"]["email"])
    send(bench, "200")
    choose(bench, "logout")
    send(bench, "200")
    choose(bench, "getCurrentUser")
    assert send(bench, "401")["code"] == "not_authenticated"


@pytest.mark.slow
def test_a_refresh_token_a_session_and_a_new_password_are_offered_too(bench: Page, new_user: Callable[..., Any]):
    asha = new_user(password=PASSWORD)
    choose(bench, "login")
    bench.get_by_label("email", exact=True).fill(asha.email)
    bench.get_by_label("password", exact=True).fill(PASSWORD)
    bench.get_by_label("refresh optional", exact=True).select_option("true")
    given = [send(bench, "200")["refreshToken"], send(bench, "200")["refreshToken"]]
    choose(bench, "refresh")
    expect(bench.get_by_label("refreshToken", exact=True)).to_have_value(given[1])
    fresh = send(bench, "200")["refreshToken"]
    choose(bench, "refresh")
    expect(bench.get_by_label("refreshToken", exact=True)).to_have_value(fresh)

    choose(bench, "listSessions")
    (other,) = [session["_id"] for session in send(bench, "200")["sessions"] if not session["current"]]
    choose(bench, "endSession")
    expect(bench.get_by_label("sessionId", exact=True)).to_have_value(other)
    send(bench, "200")
    assert ApiSession.objects.count() == 1

    choose(bench, "changePassword")
    expect(bench.get_by_label("currentPassword", exact=True)).to_have_value(PASSWORD)
    bench.get_by_label("newPassword", exact=True).fill("another-harbour-29")
    send(bench, "200")
    choose(bench, "refresh")
    expect(bench.get_by_label("refreshToken", exact=True)).not_to_have_value(fresh)  # it has ended with all else
    choose(bench, "login")
    expect(bench.get_by_label("password", exact=True)).to_have_value("another-harbour-29")


def test_without_an_id_in_its_path_no_call_is_sent_to_where_it_would_lead(bench: Page):
    sent: list[str] = []
    bench.route("**/api/**", lambda route: (sent.append(route.request.url), route.fulfill(json={})))
    for operation, name in (("endSession", "sessionId"), ("getAccount", "accountId")):
        choose(bench, operation)
        field = bench.get_by_label(name, exact=True)
        for step in ("", "  ", ".", ".."):
            field.fill(step)
            bench.get_by_role("button", name="Send", exact=True).click()
            expect(field).to_be_focused()
            expect(bench.locator(f"#field-{name}-wrong")).to_contain_text("Fill this in")
            expect(bench.locator("#snippet")).to_contain_text(f"{{{name}}}")
    assert sent == []
    field.fill("a" * 24)
    bench.get_by_role("button", name="Send", exact=True).click()
    expect(bench.locator("#answer-line")).to_contain_text("200")
    expect(bench.locator("#field-accountId-wrong")).to_be_empty()
    assert [url.rpartition("/")[2] for url in sent] == ["a" * 24]


def test_a_reversal_that_waits_is_explained_and_its_transaction_offered(bench: Page):
    original = "66f0c200a4e5d6f708192a51"
    waiting = {"message": "Nothing has moved", "request": {"_id": "66f0c7b3a4e5d6f708192a66", "original": original}}
    bench.route("**/reverse", lambda route: route.fulfill(status=202, json=waiting))
    choose(bench, "reverseTransaction")
    bench.get_by_label("transactionId", exact=True).fill(original)
    send(bench, "202")
    expect(bench.locator("#answer-says")).to_contain_text("waits for another member of staff")
    choose(bench, "getTransaction")
    expect(bench.locator("#answer")).to_be_hidden()  # it is not the answer to this
    expect(bench.get_by_label("transactionId", exact=True)).to_have_value(original)


def test_an_older_browser_without_a_clipboard_is_told_that_nothing_was_copied(page: Page):
    page.add_init_script("delete Map.groupBy; Object.defineProperty(navigator, 'clipboard', { value: undefined });")
    page.goto("/")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Not copied")).to_be_visible()
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_visible()


@pytest.fixture
def transfer(bench: Page, new_user: Callable[..., Any], new_account: Callable[..., Account]) -> tuple[Account, Account]:
    """The form of a transfer, filled in by somebody who has logged in; payer and payee."""
    asha = new_user(name="Asha", password=PASSWORD)
    payer, payee = new_account(asha, funds=100), new_account(new_user())
    choose(bench, "login")
    bench.get_by_label("email", exact=True).fill(asha.email)
    bench.get_by_label("password", exact=True).fill(PASSWORD)
    send(bench, "200")
    choose(bench, "listAccounts")
    send(bench, "200")
    choose(bench, TRANSFER)
    expect(bench.get_by_label("fromAccount", exact=True)).to_have_value(str(payer.pk))
    bench.get_by_label("toAccount", exact=True).fill(str(payee.pk))
    return payer, payee


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
@pytest.mark.slow
def test_the_same_call_can_be_copied_and_runs(bench: Page, transfer: tuple[Account, Account], language: str):
    send(bench, "201")
    bench.get_by_role("tab", name=language).click()
    bench.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bench.get_by_role("button", name="Copy").click()
    expect(bench.get_by_role("button", name="Copied")).to_be_visible()
    program = bench.evaluate("navigator.clipboard.readText()")
    assert "Transaction already processed" in run(bench, language, program)
    assert Transaction.objects.filter(from_account=transfer[0].pk).count() == 1


def run(page: Page, language: str, program: str) -> str:
    """What the program prints."""
    if language == "JavaScript":
        printed = program.replace("console.log(answer.status, ", "return (")
        return page.evaluate(f"async () => {{ {printed} }}")
    command = ["sh", "-c", program] if language == "curl" else [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.slow
def test_json_may_be_written_instead_and_is_sent_as_it_is(bench: Page, transfer: tuple[Account, Account]):
    bench.expected = ["400"]
    bench.get_by_role("button", name="Write JSON instead").click()
    written = json.loads(bench.get_by_label("Body, as JSON").input_value())
    assert written["fromAccount"] == str(transfer[0].pk)
    bench.get_by_label("Body, as JSON").fill(json.dumps(written | {"amount": "0.07"}))
    assert send(bench, "201")["transaction"]["amount"] == 0.07
    bench.get_by_label("Body, as JSON").fill("{")
    assert "valid JSON" in send(bench, "400")["message"]
    bench.get_by_role("button", name="Back to the form").click()
    expect(bench.get_by_label("amount", exact=True)).to_be_visible()


def test_a_refusal_is_shown_with_status_headers_and_body(bench: Page, transfer: tuple[Account, Account]):
    bench.expected = ["400"]
    bench.get_by_label("amount", exact=True).fill("1234567890123.45")
    expect(bench.locator("#snippet")).to_contain_text('"amount": 1234567890123.45')
    refused = send(bench, "400 Bad Request")
    assert refused["code"] == "insufficient_funds"
    bench.get_by_text("Headers of the answer").click()
    expect(bench.locator("#answer-headers")).to_contain_text(f"x-request-id: {refused['requestId']}")
    assert Transaction.objects.filter(from_account=transfer[0].pk).count() == 0


def test_numbers_that_javascript_would_round_are_shown_digit_for_digit(bench: Page):
    digits = "90071992547409931.25"
    bench.route(
        "**/api/auth/me", lambda route: route.fulfill(body=f'{{"balance":{digits}}}', content_type="application/json")
    )
    choose(bench, "getCurrentUser")
    bench.get_by_role("button", name="Send", exact=True).click()
    expect(bench.locator("#answer-body")).to_contain_text(digits)


@pytest.mark.slow
def test_without_an_answer_it_says_so(bench: Page):
    bench.expected = ["ERR_INTERNET_DISCONNECTED"]
    bench.context.set_offline(True)
    choose(bench, "getHealth")
    bench.get_by_role("button", name="Send", exact=True).click()
    expect(bench.locator("#answer-line")).to_have_text("No answer: the server could not be reached.")


def test_an_endpoint_is_tried_from_where_it_is_described(bench: Page):
    bench.locator("#openAccount summary").click()
    bench.locator("#openAccount .try").click()
    expect(bench.get_by_label("Endpoint", exact=True)).to_have_value("openAccount")
    expect(bench.get_by_label("Endpoint", exact=True)).to_be_focused()


@pytest.mark.slow
def test_a_link_to_an_endpoint_opens_it(page: Page):
    page.goto("/#listEntries")
    expect(page.locator("#listEntries .inside")).to_be_visible()


@pytest.mark.slow
def test_a_claim_leads_to_the_test_that_tries_to_break_it(page: Page):
    page.goto("/")
    page.get_by_role("link", name="Test: money is conserved").click()
    place = page.locator("#test_money_is_conserved_and_no_customer_is_below_zero")
    expect(place).to_contain_text("def test_money_is_conserved_and_no_customer_is_below_zero")
    expect(place).to_be_in_viewport()
