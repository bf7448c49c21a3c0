"""What holds for the landing page and the console: anybody can use them, they are light, they run our code only."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Response, expect

from accounts.models import Account
from ledger_project.tests.browser import PHONE
from ledger_project.tests.console import PASSWORD, log_in, review
from transactions.models import Transaction

MOST_BYTES = 150_000
SERIOUS = {"serious", "critical"}


@pytest.fixture
def asha(new_user: Callable[..., Any]) -> Any:
    return new_user(name="Asha", password=PASSWORD)


@pytest.fixture
def account(asha: Any, new_account: Callable[..., Account]) -> Account:
    return new_account(asha, funds=100, name="Everyday")


@pytest.fixture
def payee(new_user: Callable[..., Any], new_account: Callable[..., Account]) -> Account:
    return new_account(new_user(name="Ben"))


@pytest.fixture
def walk(page: Page, settings: Any, asha: Any, account: Account, payee: Account) -> Iterator[str]:
    """Walks through every view of both pages and stops at each, to be looked at: its name."""

    def every_view() -> Iterator[str]:
        settings.DEMO = True
        page.goto("/")
        page.get_by_role("button", name="Create Asha and Ben").click()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("#answer")).to_be_visible()
        page.locator("#createTransfer summary").click()
        yield "landing"
        page.goto("/proof/docs/adr/0004-idempotency.md")
        yield "proof"
        page.goto("/console/")
        yield "log in"
        log_in(page, asha)
        expect(page.locator(".sparkline")).to_be_visible()
        yield "accounts"
        page.get_by_role("button", name="Open an account").click()
        yield "open an account"
        page.get_by_role("button", name="Cancel").click()
        review(page, payee=payee, amount="12.50")
        yield "review"
        page.get_by_role("button", name="Send ₹12.50").click()
        expect(page.get_by_role("heading", name="₹12.50 sent")).to_be_visible()
        yield "receipt"
        page.get_by_role("link", name="See the account").click()
        expect(page.get_by_text("That is all.")).to_be_visible()
        yield "account"
        page.get_by_role("button", name="Download").click()
        yield "download"
        page.get_by_role("button", name="Cancel").click()
        page.locator("#statement-rows .link").first.click()
        expect(page.locator(".sides")).to_be_visible()
        yield "transaction"
        page.get_by_role("button", name="Close").click()
        page.get_by_role("navigation").get_by_role("link", name="Send money").click()
        page.get_by_role("button", name="Review").click()
        yield "send, with what is wrong"
        page.get_by_role("navigation").get_by_role("link", name="Profile").click()
        expect(page.locator("#profile-body .facts")).to_be_visible()
        yield "profile"

    return every_view()


def test_axe_finds_nothing_serious_in_any_view(page: Page, walk: Iterator[str]):
    for view in walk:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = Axe().run(page).response["violations"]
            serious = [
                (violation["id"], node["html"], node["failureSummary"])
                for violation in found
                if violation["impact"] in SERIOUS
                for node in violation["nodes"]
            ]
            assert serious == [], (view, scheme)


@pytest.mark.slow
def test_nothing_is_wider_than_a_phone_and_no_token_is_in_local_storage_or_in_a_cookie(page: Page, walk: Iterator[str]):
    page.set_viewport_size(PHONE)
    for view in walk:
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""], view
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        sticking_out = page.evaluate(
            """[...document.querySelectorAll("main .card > *, dialog[open] *")]
                .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth)
                .map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert sticking_out == [], view
    page.goto("/api/docs/")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill("a.bearer.token")
    page.get_by_role("button", name="Apply credentials").click()
    expect(page.get_by_role("button", name="Remove authorization")).to_be_visible()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""], "the reference"
    assert page.context.cookies() == []


@pytest.mark.parametrize("path", ["/", "/console/"])
def test_all_that_a_page_loads_weighs_little(page: Page, path: str):
    loaded: list[Response] = []
    page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108  (Playwright cannot wrap a built-in)
    page.goto(path, wait_until="networkidle")
    assert len(loaded) > 5
    assert sum(response.request.sizes()["responseBodySize"] for response in loaded) < MOST_BYTES  # as it is sent
    painted = page.wait_for_function("performance.getEntriesByType('paint').map((paint) => paint.name).join(' ')")
    assert "first-paint" in painted.json_value()


@pytest.mark.parametrize("path", ["/", "/console/", "/proof/docs/adr/0004-idempotency.md"])
def test_no_script_but_our_own_files_runs(page: Page, path: str):
    page.expected = ["Content Security Policy", "Trusted"]
    page.goto(path)
    run = page.evaluate(
        """() => {
            const attempt = (work) => { try { work(); } catch { /* refused even before it is run */ } };
            const script = document.createElement("script");
            attempt(() => { script.textContent = "window.wasRun = true"; });
            document.body.append(script);
            const button = document.createElement("button");
            attempt(() => button.setAttribute("onclick", "window.wasRun = true"));
            attempt(() => { button.innerHTML = "<img src=x onerror='window.wasRun = true'>"; });
            document.body.append(button);
            button.click();
            return window.wasRun ?? false;
        }"""
    )
    assert run is False


@pytest.mark.slow
def test_a_payment_is_made_with_the_keyboard_alone(page: Page, asha: Any, account: Account, payee: Account):
    page.goto("/console/")
    expect(page.get_by_role("heading", name="Your money, entry by entry")).to_be_focused()
    tab_to(page, page.locator("#login-email"))
    page.keyboard.type(asha.email)
    tab_to(page, page.locator("#login-password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Accounts")).to_be_focused()
    tab_to(page, page.get_by_role("main").get_by_role("link", name="Send money"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Send money")).to_be_focused()
    expect(page.get_by_label("Amount")).to_be_visible()
    tab_to(page, page.get_by_label("To account"))
    page.keyboard.type(str(payee.pk))
    tab_to(page, page.get_by_label("Amount"))
    page.keyboard.type("12.50")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Is this right?")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Send ₹12.50"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="₹12.50 sent")).to_be_focused()
    assert Transaction.objects.filter(to_account=payee.pk).count() == 1
    tab_to(page, page.get_by_role("link", name="See the account"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("That is all.")).to_be_visible()
    tab_to(page, page.locator("#statement-rows .link").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Idempotency key")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_tabs_are_moved_between_with_the_arrow_keys(page: Page):
    page.goto("/console/")
    tab_to(page, page.get_by_role("tab", name="Log in"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Register")).to_be_focused()
    expect(page.locator("#panel-register")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Log in")).to_be_focused()


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus; it must be on the way."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached with Tab")
