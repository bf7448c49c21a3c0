"""What the tests of the console share: getting in, and as far as the button that pays."""

from typing import Any

from playwright.sync_api import Page, expect

PASSWORD = "mango-harbour-92"


def log_in(page: Page, user: Any) -> None:
    """As a customer does, with the password that `new_user(password=PASSWORD)` was given."""
    page.goto("/console/")
    fill_in(page, user)
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()


def fill_in(page: Page, user: Any) -> None:
    """Name and password, at a door that stands open already."""
    page.get_by_label("E-mail").first.fill(user.email)
    page.get_by_label("Password").first.fill(PASSWORD)
    page.locator("#panel-login button").click()


def review(page: Page, *, payee: Any, amount: str) -> None:
    """Fill in a payment and go on to its review; whether to send it is what is asked next."""
    page.get_by_role("navigation").get_by_role("link", name="Send money").click()
    page.get_by_label("To account").fill(str(payee.pk))
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("heading", name="Is this right?")).to_be_focused()
