"""A payment in the console is made once: whatever is clicked twice, loaded anew, lost or refused."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from accounts.models import Account
from ledger_project.tests.console import PASSWORD, fill_in, log_in, review
from transactions.models import Transaction

TRANSFERS = "**/api/transactions/"


@pytest.fixture
def asha(new_user: Callable[..., Any]) -> Any:
    return new_user(name="Asha", password=PASSWORD)


@pytest.fixture
def payer(asha: Any, new_account: Callable[..., Account]) -> Account:
    return new_account(asha, funds=100, name="Everyday")


@pytest.fixture
def payee(new_user: Callable[..., Any], new_account: Callable[..., Account]) -> Account:
    return new_account(new_user(name="Ben"))


@pytest.fixture
def confirm(page: Page, asha: Any, payer: Account, payee: Account) -> Locator:
    """The button that pays 12.50 to Ben."""
    log_in(page, asha)
    review(page, payee=payee, amount="12.50")
    return page.get_by_role("button", name="Send ₹12.50")


def paid_once(page: Page, payer: Account, payee: Account) -> None:
    """The page says so, and so does the ledger."""
    expect(page.get_by_role("heading", name="₹12.50 sent")).to_be_visible()
    assert Transaction.objects.filter(from_account=payer.pk).count() == 1
    assert [Account.objects.get(pk=account.pk).balance_minor for account in (payer, payee)] == [8750, 1250]


def nothing_moved(payer: Account) -> None:
    assert Transaction.objects.filter(from_account=payer.pk).count() == 0
    assert Account.objects.get(pk=payer.pk).balance_minor == 10000


def test_a_payment_is_reviewed_sent_and_confirmed(page: Page, confirm: Locator, payer: Account, payee: Account):
    expect(page.locator("#send-step")).to_contain_text("You then have₹87.50")
    expect(page.locator("#send-step")).to_contain_text(str(payee.pk))
    nothing_moved(payer)
    confirm.click()
    paid_once(page, payer, payee)
    page.get_by_role("link", name="See the account").click()
    expect(page.locator(".balance.large")).to_have_text("₹87.50")


@pytest.mark.parametrize(
    "clicks",
    ["confirm => { confirm.click(); confirm.click(); confirm.click(); }", pytest.param(None, marks=pytest.mark.slow)],
)
def test_a_double_click_pays_once(page: Page, confirm: Locator, payer: Account, payee: Account, clicks: str | None):
    if clicks:
        confirm.evaluate(clicks)
    else:
        confirm.dblclick()
    paid_once(page, payer, payee)


@pytest.mark.parametrize("has_arrived", [True, False], ids=["after the server got it", "before the server got it"])
@pytest.mark.slow
def test_a_reload_in_the_middle_of_paying_pays_once(
    page: Page, confirm: Locator, payer: Account, payee: Account, has_arrived: bool
):
    def leave_unanswered(route: Route) -> None:
        if has_arrived:
            route.fetch()

    page.route(TRANSFERS, leave_unanswered)
    with page.expect_request(TRANSFERS):
        confirm.click()
    expect(page.get_by_role("heading", name="Sending ₹12.50")).to_be_focused()
    page.unroute(TRANSFERS)
    page.reload()
    paid_once(page, payer, payee)


@pytest.mark.slow
def test_a_reload_that_swallows_the_receipt_shows_it_again(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    confirm.click()
    paid_once(page, payer, payee)
    page.reload()
    paid_once(page, payer, payee)
    page.get_by_role("button", name="Send more").click()
    expect(page.get_by_label("Amount")).to_have_value("")


def test_a_lost_answer_is_asked_for_again_and_pays_once(page: Page, confirm: Locator, payer: Account, payee: Account):
    page.expected = ["ERR_FAILED"]
    keys = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.post_data_json["idempotencyKey"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(TRANSFERS, lose_the_first)
    confirm.click()
    paid_once(page, payer, payee)
    assert len(keys) == 2
    assert len(set(keys)) == 1


@pytest.mark.slow
def test_an_outcome_that_the_ledger_does_not_know_is_asked_for_again_with_the_same_key(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    page.expected = ["503"]
    answers = [
        {"code": "outcome_unknown", "message": "Not confirmed in time.", "retryable": True},
        {"code": "not_posted", "message": "Nothing has moved.", "retryable": True},
    ]

    def not_sure(route: Route) -> None:
        if not answers:
            route.continue_()
            return
        if len(answers) == 2:
            route.fetch()
        route.fulfill(status=503, json=answers.pop(0), content_type="application/problem+json")

    page.route(TRANSFERS, not_sure)
    confirm.click()
    paid_once(page, payer, payee)


@pytest.mark.slow
def test_a_payment_that_nobody_confirms_says_so_and_is_settled_when_asked_again(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    page.expected = ["502"]

    def break_down(route: Route) -> None:
        route.fetch()
        route.fulfill(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")

    page.route(TRANSFERS, break_down)
    confirm.click()
    # It asks four times by itself, with 1, 2 and 4 seconds between.
    expect(page.get_by_role("heading", name="₹12.50: not confirmed yet")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_text("A payment of yours is not confirmed yet.")).to_be_visible()
    page.unroute(TRANSFERS)
    page.get_by_role("link", name="See what became of it").click()
    paid_once(page, payer, payee)


@pytest.mark.slow
def test_a_payment_cut_off_by_a_lost_network_is_settled_when_it_is_back(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    page.expected = ["ERR_FAILED"]

    def lose(route: Route) -> None:
        route.fetch()
        page.context.set_offline(True)
        route.abort()

    page.route(TRANSFERS, lose)
    confirm.click()
    expect(page.get_by_role("heading", name="₹12.50: not confirmed yet")).to_be_visible()
    expect(page.get_by_text("You are offline. What you see")).to_be_visible()
    page.unroute(TRANSFERS)
    page.context.set_offline(False)
    paid_once(page, payer, payee)


def test_a_refusal_moves_nothing_and_what_was_typed_is_still_there(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    page.expected = ["400"]
    Account.objects.filter(pk=payee.pk).update(status=Account.Status.FROZEN)
    confirm.click()
    expect(page.get_by_role("alert").filter(has_text="Nothing was sent.")).to_contain_text("must be ACTIVE")
    nothing_moved(payer)
    expect(page.get_by_label("To account")).to_have_value(str(payee.pk))
    Account.objects.filter(pk=payee.pk).update(status=Account.Status.ACTIVE)
    page.get_by_role("button", name="Review").click()
    confirm.click()
    paid_once(page, payer, payee)


@pytest.mark.slow
def test_a_session_that_ends_in_the_middle_of_paying_is_taken_up_after_logging_in_again(
    page: Page, confirm: Locator, asha: Any, payer: Account, payee: Account
):
    page.expected = ["401"]
    page.route(TRANSFERS, lambda route: route.fulfill(status=401, json={"code": "token_invalid", "message": "No."}))
    confirm.click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    nothing_moved(payer)
    page.unroute(TRANSFERS)
    fill_in(page, asha)
    paid_once(page, payer, payee)


@pytest.mark.parametrize(
    ("to", "amount", "says"),
    [
        ("nobody", "5", "24 characters"),
        pytest.param("", "5", "24 characters", marks=pytest.mark.slow),
        pytest.param("f" * 24, "", "Enter an amount.", marks=pytest.mark.slow),
        pytest.param("f" * 24, "0", "more than zero", marks=pytest.mark.slow),
        pytest.param("f" * 24, "1,5", "a point for decimals", marks=pytest.mark.slow),
        pytest.param("f" * 24, "0.001", "2 decimals at most", marks=pytest.mark.slow),
        ("f" * 24, "100.01", "There is ₹100.00"),
    ],
)
def test_what_cannot_be_sent_is_said_beside_its_field(
    page: Page, asha: Any, payer: Account, to: str, amount: str, says: str, new_account: Callable[..., Account]
):
    new_account(asha, name="Savings")  # offered below the field, by a button that is part of the form, too
    log_in(page, asha)
    page.get_by_role("navigation").get_by_role("link", name="Send money").click()
    page.get_by_label("To account").fill(to)
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Review").click()
    wrong = page.locator("[aria-invalid=true]")
    expect(wrong).to_be_focused()
    expect(page.locator(f"#{wrong.get_attribute('id')}-wrong")).to_contain_text(says)
    nothing_moved(payer)


@pytest.mark.slow
def test_two_payments_that_are_meant_are_two(page: Page, confirm: Locator, payer: Account, payee: Account):
    confirm.click()
    paid_once(page, payer, payee)
    review(page, payee=payee, amount="12.50")
    confirm.click()
    expect(page.get_by_role("heading", name="₹12.50 sent")).to_be_visible()
    assert Account.objects.get(pk=payee.pk).balance_minor == 2500


@pytest.mark.slow
def test_an_answer_that_comes_late_does_not_make_the_next_payment_forgotten(
    page: Page, confirm: Locator, payer: Account, payee: Account
):
    sent: list[Route] = []

    def hold_the_first_and_lose_the_next_payment(route: Route) -> None:
        sent.append(route)
        if route.request.post_data_json["amount"] == "5.00":
            route.fetch()
        elif len(sent) > 1:
            route.continue_()

    page.route(TRANSFERS, hold_the_first_and_lose_the_next_payment)
    confirm.click()
    expect(page.get_by_role("heading", name="Sending ₹12.50")).to_be_focused()
    navigation = page.get_by_role("navigation")
    navigation.get_by_role("link", name="Accounts").click()
    navigation.get_by_role("link", name="Send money").click()
    paid_once(page, payer, payee)

    navigation.get_by_role("link", name="Accounts").click()
    review(page, payee=payee, amount="5.00")
    page.get_by_role("button", name="Send ₹5.00").click()
    expect(page.get_by_role("heading", name="Sending ₹5.00")).to_be_focused()
    with page.expect_response(TRANSFERS) as late:
        sent[0].continue_()
    late.value.finished()

    page.unroute(TRANSFERS)
    page.reload()
    expect(page.get_by_role("heading", name="₹5.00 sent")).to_be_visible()
    assert Account.objects.get(pk=payee.pk).balance_minor == 1750


@pytest.mark.slow
def test_a_payment_is_not_tried_again_in_the_name_of_who_logs_in_next(
    page: Page, confirm: Locator, asha: Any, payer: Account, payee: Account, new_user: Callable[..., Any]
):
    page.expected = ["502"]
    chetan = new_user(name="Chetan", password=PASSWORD)

    def post_and_fail(route: Route) -> None:
        route.fetch()
        route.fulfill(status=502, body="", headers={"Retry-After": "10"})

    page.clock.install()
    page.route(TRANSFERS, post_and_fail)
    with page.expect_response(TRANSFERS):
        confirm.click()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.unroute(TRANSFERS)
    fill_in(page, chetan)
    expect(page.get_by_role("heading", name="No account yet")).to_be_visible()
    page.clock.fast_forward(10_000)
    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    expect(page.locator("#profile-body")).to_contain_text("Chetan")

    page.get_by_role("button", name="Log out", exact=True).click()
    fill_in(page, asha)
    page.get_by_role("link", name="See what became of it").click()
    paid_once(page, payer, payee)
