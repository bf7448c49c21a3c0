"""Staff at the door of the admin, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect


def log_in(page: Page, email: str, password: str) -> None:
    page.goto("/admin/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_staff_log_in_and_out(page, new_user):
    staff = new_user(is_staff=True, is_superuser=True, password="a-long-passphrase")

    log_in(page, staff.email, "a-long-passphrase")

    expect(page).to_have_url(re.compile(r"/admin/$"))
    expect(page.get_by_role("link", name="Accounts").first).to_be_visible()


@pytest.mark.slow
def test_a_customer_is_not_let_in(page, new_user):
    customer = new_user(password="a-long-passphrase")

    log_in(page, customer.email, "a-long-passphrase")

    expect(page.get_by_text("Please enter the correct email and password for a staff account")).to_be_visible()
