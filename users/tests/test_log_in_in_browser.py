"""In a browser: the pages behind links in e-mail, the code at the console's log-in, and the profile."""

import re
import time

import pytest
from django.core import mail
from django_otp.oath import hotp
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Page, expect

from ledger_project.tests.console import PASSWORD, fill_in, log_in
from users import api_sessions, links, tasks
from users.models import ApiSession, User
from users.tests import api
from users.tests.waiting import wait_until

NEW = api.NEW_PASSWORD


@pytest.fixture
def user(new_user) -> User:
    return new_user(password=PASSWORD)


def set_password(page: Page, password: str) -> None:
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Set it").click()


def test_from_a_forgotten_password_to_the_new_one(page: Page, user):
    page.expected.append("400")
    page.goto("/console/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("status")).to_contain_text("a message is on its way")
    tasks.send_notifications()
    (path,) = re.findall(r"http://127\.0\.0\.1:8000(/reset-password/#\S+)", mail.outbox[0].body)

    page.goto("/")
    page.goto(path)
    set_password(page, "password123")
    expect(page.get_by_text("too common")).to_be_visible()
    set_password(page, NEW)
    expect(page.get_by_role("status")).to_have_text("Your new password is set")
    assert "#" not in page.url
    assert api.log_in(user, NEW).status_code == 200

    page.goto("/")
    page.goto(path)
    set_password(page, PASSWORD)
    expect(page.get_by_role("status")).to_contain_text("not valid any more")
    expect(page.get_by_role("button", name="Send me the link")).to_be_visible()
    assert api.log_in(user, NEW).status_code == 200


def test_an_address_is_confirmed_by_a_click_and_not_by_looking_at_the_page(page: Page, user):
    page.goto(f"/verify-email/#{links.VERIFY_EMAIL.secret_of(user)}")
    expect(page.get_by_role("button", name="Confirm")).to_be_visible()
    assert not User.objects.get(pk=user.pk).verified_email
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_have_text("Your e-mail is confirmed")
    assert User.objects.get(pk=user.pk).verified_email == user.email


@pytest.mark.parametrize("path", ["/reset-password", "/verify-email/", "/reset-password/#x", "/verify-email/#x"])
def test_the_pages_fit_a_phone(page: Page, path):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("form:visible")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_who_has_a_second_factor_is_asked_for_its_code(page: Page, user):
    page.expected.append("401")
    device = TOTPDevice.objects.create(user=user, name="authenticator", confirmed=True)
    page.goto("/console/")
    expect(page.get_by_label("Code")).to_be_hidden()
    fill_in(page, user)
    expect(page.get_by_label("Code")).to_be_focused()
    page.get_by_label("E-mail").first.fill("ben@example.com")  # who may have none
    expect(page.get_by_label("Code")).to_be_hidden()
    fill_in(page, user)
    expect(page.get_by_label("Code")).to_be_focused()
    page.get_by_label("Code").fill(str(hotp(device.bin_key, int(time.time()) // 30, 6)).zfill(6))
    page.locator("#panel-login button").click()
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()


def test_the_profile_changes_the_password_and_logs_devices_out(page: Page, user):
    page.expected.append("403")
    log_in(page, user)
    for name in ("Phone", "Tablet"):
        api_sessions.begin(user=user, device=api_sessions.Device(name, "203.0.113.0/24"))
    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    phone = page.get_by_role("listitem").filter(has_text="Phone")
    phone.get_by_role("button", name="End").click()
    expect(phone).to_have_count(0)
    assert [session.user_agent for session in ApiSession.objects.all()] == ["Tablet"]

    for current, said in (("wrong-password", "is not right"), (PASSWORD, "Your password is changed.")):
        page.get_by_label("Current password").fill(current)
        page.get_by_label("New password").last.fill(NEW)
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_text(said)).to_be_visible()
    expect(page.get_by_text("No app keeps you logged in")).to_be_visible()
    assert api.log_in(user, NEW).status_code == 200

    page.get_by_role("button", name="Log out everywhere").click()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    wait_until(lambda: User.objects.get(pk=user.pk).token_generation == 2)
