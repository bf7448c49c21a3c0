"""The second factor of staff, from enrolment to a lost phone; and the lock on the door."""

import re
import threading
import time
from base64 import b32encode
from functools import partial

import pytest
from axes.handlers.proxy import AxesProxyHandler
from django.contrib import admin
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import hotp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import expect
from redis import RedisError

from ledger_project.buckets import MemoryBuckets
from office import second_factor
from office.lockout import LockoutHandler
from users.models import AuditEntry
from users.second_factor import device_of, verify
from users.tests.browsing import browser
from users.tests.test_admin_in_browser import log_in
from users.tests.waiting import together

PASSWORD = "a-long-passphrase"
ACCOUNTS = "/admin/accounts/account/"
ENROL = "/admin/second-factor/enrol/"


@pytest.fixture(autouse=True)
def _unlocked():
    yield
    cache.clear()


@pytest.fixture
def staff(new_user):
    return new_user(is_staff=True, is_superuser=True, password=PASSWORD)


def code_of(device: TOTPDevice, *, later: int = 0) -> str:
    step = int(time.time()) // device.step + later
    return str(hotp(device.bin_key, step, device.digits)).zfill(6)


def enrolled(user) -> tuple[TOTPDevice, list[str]]:
    """As after enrolment a while ago: no code of now was used, no attempt is being waited for."""
    device = second_factor.fresh_candidate(user)
    codes = second_factor.enrol(user, device, code_of(device))
    TOTPDevice.objects.filter(pk=device.pk).update(last_t=-1)
    return TOTPDevice.objects.get(pk=device.pk), codes


def offered(client: Client, user) -> tuple[str, TOTPDevice]:
    """What the page of the enrolment offers: the secret as the form carries it, and the device."""
    seal = client.get(ENROL).context["candidate"]
    return seal, second_factor.candidate_of(user, seal)


def sent(client: Client, seal: str, code: str):
    return client.post(ENROL, {"candidate": seal, "code": code})


def wait_over(device: TOTPDevice) -> None:
    """Let the wait after failures be over."""
    TOTPDevice.objects.filter(pk=device.pk).update(throttling_failure_timestamp=None)


def posted(client: Client, code: str):
    return client.post("/admin/second-factor/", {"code": code})


def _some(model) -> list:
    """A few rows of `model`; of axes' models there are none, for it counts in the cache."""
    return [] if model._meta.app_label == "axes" else list(model._default_manager.all()[:5])


def is_in(client: Client) -> bool:
    return client.get(ACCOUNTS).status_code == 200


def test_enrolment_from_the_menu_to_the_next_log_in(page, staff):
    log_in(page, staff.email, PASSWORD)
    page.goto("/admin/second-factor/manage/")
    page.get_by_role("link", name="Set it up").click()
    expect(page.get_by_role("img", name="QR code of the secret")).to_be_visible()
    device = second_factor.candidate_of(staff, page.locator("[name=candidate]").input_value())
    page.get_by_label("Code", exact=True).fill(code_of(device))
    page.get_by_role("button", name="Switch on").click()

    codes = page.get_by_label("Recovery codes").get_by_role("listitem")
    expect(codes).to_have_count(10)
    recovery = codes.first.inner_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Your second factor is on. Recovery codes left: 10.")).to_be_visible()
    page.get_by_role("link", name="Back to the admin").click()
    expect(page).to_have_url(re.compile("/admin/$"))

    page.context.clear_cookies()
    log_in(page, staff.email, PASSWORD)
    expect(page.get_by_text("Enter the code that your authenticator app shows")).to_be_visible()
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("That code is not right")).to_be_visible()
    wait_over(device_of(staff))
    page.get_by_label("Code", exact=True).fill(recovery)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/admin/$"))
    assert second_factor.codes_left(staff) == 9


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("", "manage/")), "enrol/"])
@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.slow)])
def test_the_pages_fit_every_screen(page, staff, name, width):
    if not name:
        enrolled(staff)
    page.set_viewport_size({"width": width, "height": 844})
    log_in(page, staff.email, PASSWORD)
    page.goto(f"/admin/second-factor/{name}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_one_staff_come_in_where_it_is_optional(staff):
    assert is_in(browser(staff))


def test_where_it_is_required_nobody_comes_in_without(staff, settings):
    settings.SECOND_FACTOR_REQUIRED = True
    client = browser(staff)
    for address in (ACCOUNTS, "/admin/", f"{ACCOUNTS}export/csv/", "/admin/password_change/"):
        response = client.get(address)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/second-factor/enrol/")
    assert client.post(ACCOUNTS, {"action": "freeze"}).status_code == 302


def test_nor_under_a_prefix(staff, settings):
    settings.SECOND_FACTOR_REQUIRED = True
    response = browser(staff).get(ACCOUNTS, SCRIPT_NAME="/money")
    assert response.status_code == 302
    assert "/second-factor/enrol/" in response["Location"]


def test_who_has_one_shows_it_at_each_log_in(staff):
    device, _ = enrolled(staff)
    client = browser(staff)
    assert client.get(ACCOUNTS)["Location"] == f"/admin/second-factor/?next={ACCOUNTS.replace('/', '%2F')}"
    assert posted(client, code_of(device)).status_code == 302
    assert is_in(client)
    assert not is_in(browser(staff))


@pytest.mark.parametrize("code", ["", "000000", "12345", "1234567", "abcdef", "\uff19" * 6, "\x00", "x" * 1000])
def test_a_wrong_code_lets_nobody_in(staff, code):
    device, _ = enrolled(staff)
    if code == code_of(device):
        return
    client = browser(staff)
    assert posted(client, code).status_code == 200
    assert not is_in(client)


def test_a_code_is_good_once(staff):
    device, codes = enrolled(staff)
    first, second = browser(staff), browser(staff)
    code = code_of(device)
    posted(first, code), posted(second, code)
    assert (is_in(first), is_in(second)) == (True, False)
    wait_over(device)
    third, fourth = browser(staff), browser(staff)
    posted(third, codes[0].upper()), wait_over(device), posted(fourth, codes[0])
    assert (is_in(third), is_in(fourth)) == (True, False)


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_one_code_at_many_doors_at_once_opens_one(staff, kind):
    device, codes = enrolled(staff)
    code = code_of(device) if kind == "app" else codes[0]
    start, opened = threading.Barrier(6), []

    def enter():
        start.wait()
        if verify(staff, code):
            opened.append(code)

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_after_failures_even_the_right_code_has_to_wait(staff):
    device, _ = enrolled(staff)
    for _ in range(4):
        wait_over(device)
        assert verify(staff, "000000") is None
    assert verify(staff, code_of(device)) is None
    wait_over(device)
    assert verify(staff, code_of(device)) is not None


def test_nobody_replaces_or_sees_or_switches_off_one_they_have_not_shown(staff):
    device, _ = enrolled(staff)
    client = browser(staff)
    for name in ("enrol", "manage"):
        assert client.get(f"/admin/second-factor/{name}/").status_code == 403
    for name in ("enrol", "codes", "off"):
        assert client.post(f"/admin/second-factor/{name}/", {"code": "000000"}).status_code == 403
    assert device_of(staff) == device
    assert second_factor.codes_left(staff) == 10


def test_customers_and_visitors_have_none_to_set_up(client, new_user):
    for visitor in (client, browser(new_user())):
        for name in ("", "enrol/", "manage/"):
            assert visitor.get(f"/admin/second-factor/{name}")["Location"].startswith("/admin/login/")
        assert visitor.post("/admin/second-factor/off/").status_code == 403
    assert not TOTPDevice.objects.exists()


def test_another_users_session_key_does_not_help(staff, new_user):
    device, _ = enrolled(staff)
    other, _ = enrolled(new_user(is_staff=True))
    client = browser(staff)
    session = client.session
    session["otp_device_id"] = other.persistent_id
    session.save()
    assert not is_in(client)
    assert device.pk != other.pk


def test_it_is_switched_off_only_where_it_is_optional(staff, settings):
    device, _ = enrolled(staff)
    client = browser(staff)
    posted(client, code_of(device))
    settings.SECOND_FACTOR_REQUIRED = True
    assert client.post("/admin/second-factor/off/").status_code == 403
    assert device_of(staff)
    settings.SECOND_FACTOR_REQUIRED = False
    assert client.post("/admin/second-factor/off/").status_code == 302
    assert not TOTPDevice.objects.exists()
    assert not StaticToken.objects.exists()


def test_another_device_ends_the_sessions_of_the_old_one(staff):
    device, _ = enrolled(staff)
    old, new = browser(staff), browser(staff)
    posted(old, code_of(device, later=-1)), posted(new, code_of(device))
    assert is_in(old)
    assert is_in(new)
    seal, another = offered(new, staff)
    sent(new, seal, code_of(another))
    assert (is_in(old), is_in(new)) == (False, True)


def test_to_look_at_the_enrolment_stores_nothing_and_each_page_has_a_secret_of_its_own(staff):
    client = browser(staff)
    (seal, device), (other_seal, other) = offered(client, staff), offered(client, staff)
    assert device.key != other.key
    answer = sent(client, seal, "000000" if code_of(device) != "000000" else "000001")
    assert second_factor.candidate_of(staff, answer.context["candidate"]).key == device.key  # no need to scan again
    assert not TOTPDevice.objects.exists()
    for chosen, candidate in ((seal, device), (other_seal, other)):
        assert len(sent(client, chosen, code_of(candidate)).context["codes"]) == 10
        assert [each.key for each in TOTPDevice.objects.all()] == [candidate.key]


@pytest.mark.parametrize("wrong", ["another's", "changed", "missing", "old"])
def test_a_secret_that_was_not_offered_to_them_just_now_is_not_enrolled(staff, new_user, monkeypatch, wrong):
    client = browser(staff)
    seal, device = offered(client, staff)
    another = new_user(is_staff=True)
    seals = {"another's": offered(browser(another), another)[0], "changed": f"x{seal}", "missing": "", "old": seal}
    if wrong == "old":
        monkeypatch.setattr(second_factor, "ENROLMENT_SECONDS", -1)
    assert "too long" in sent(client, seals[wrong], code_of(device)).content.decode()
    assert not TOTPDevice.objects.exists()


def test_an_enrolment_that_breaks_off_leaves_the_old_device_and_its_codes(staff, fail_command):
    device, codes = enrolled(staff)
    client = browser(staff)
    posted(client, code_of(device))
    seal, candidate = offered(client, staff)
    fail_command("insert", times="alwaysOn", errorCode=121)
    assert sent(client, seal, code_of(candidate)).status_code == 503
    fail_command("insert", times="off")
    assert [each.key for each in TOTPDevice.objects.all()] == [device.key]
    assert verify(staff, codes[0])


def test_of_two_enrolments_at_once_one_device_is_left(staff):
    candidates = [second_factor.fresh_candidate(staff) for _ in range(2)]
    calls = [partial(second_factor.enrol, staff, each, code_of(each)) for each in candidates]
    codes = together(calls)
    (left,) = TOTPDevice.objects.all()
    kept = codes[[each.key for each in candidates].index(left.key)]
    assert second_factor.codes_left(staff) == 10
    assert verify(staff, kept[0])


def test_recovery_codes_are_kept_as_hashes(staff):
    _, codes = enrolled(staff)
    kept = {token.token for token in StaticToken.objects.all()}
    assert len(kept) == 10
    assert not kept & {code.replace("-", "") for code in codes}


def test_the_address_to_go_on_to_is_one_of_ours(staff):
    device, _ = enrolled(staff)
    response = browser(staff).post("/admin/second-factor/", {"code": code_of(device), "next": "https://evil.example/"})
    assert response["Location"] == "/admin/"


def test_no_page_of_the_admin_shows_a_key(staff, new_user):
    device, _ = enrolled(new_user(is_staff=True))
    recovery = StaticToken.objects.first()
    secrets = (device.key, b32encode(device.bin_key).decode(), recovery.token)
    boss = browser(staff)
    for app, model, pk in (
        ("otp_totp", "totpdevice", device.pk),
        ("otp_static", "staticdevice", recovery.device_id),
    ):
        for name in ("", "add/", *(f"{pk}/{page}/" for page in ("change", "history", "delete", "config", "qrcode"))):
            assert boss.get(f"/admin/{app}/{model}/{name}").status_code == 404
        assert boss.get(f"/admin/{app}/").status_code == 404
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        pages = [boss.get(address), *(boss.get(f"{address}{row.pk}/change/") for row in _some(model))]
        assert not [key for page in pages for key in secrets if key in page.content.decode()]


def test_an_operator_lets_back_in_who_lost_everything(staff, new_user, capsys):
    enrolled(staff)
    client = browser(staff)
    call_command("reset_second_factor", email=staff.email)
    assert is_in(client)
    with pytest.raises(CommandError):
        call_command("reset_second_factor", email=new_user().email)


def test_what_becomes_of_a_second_factor_is_in_the_audit_log_and_no_secret_is(staff):
    client = browser(staff)
    seal, secret = offered(client, staff)
    shown = [sent(client, seal, code_of(secret)).context["codes"]]
    shown.append(client.post("/admin/second-factor/codes/").context["codes"])
    client.post("/admin/second-factor/off/")
    enrolled(staff)
    call_command("reset_second_factor", email=staff.email)

    entries = AuditEntry.objects.order_by("pk")
    assert [entry.changes for entry in entries] == [
        {"second factor": ["off", "on, with a new device and new recovery codes"]},
        {"recovery codes": ["10 left", "10 new ones"]},
        {"second factor": ["on", "off"]},
        {"second factor": ["on", "off"]},
    ]
    assert {entry.object_pk for entry in entries} == {str(staff.pk)}
    assert [entry.actor for entry in entries] == [staff, staff, staff, None]
    assert entries[3].reason == "by the command reset_second_factor"
    kept = str(list(entries.values()))
    assert not [code for codes in shown for code in [secret.key, *codes] if code in kept]


def test_what_was_refused_is_not(staff):
    enrolled(staff)
    client = browser(staff)
    for name in ("enrol", "codes", "off"):
        client.post(f"/admin/second-factor/{name}/", {"code": "000000"})
    assert not AuditEntry.objects.exists()


def test_production_requires_it():
    """What the settings say, read without starting them: they need all of production's variables."""
    from pathlib import Path

    said = Path("ledger_project/settings/production.py").read_text()
    assert 'SECOND_FACTOR_REQUIRED = env.bool("SECOND_FACTOR_REQUIRED", default=True)' in said


# --- The lock on the door ----------------------------------------------------------------------------------------


def try_password(email: str, password: str, **extra):
    return Client(raise_request_exception=False).post(
        "/admin/login/", {"username": email, "password": password, "next": "/admin/"}, **extra
    )


def test_who_guesses_passwords_is_locked_out_even_from_the_right_one(staff):
    for number in range(5):
        try_password(staff.email, f"guess-{number}")
    response = try_password(staff.email.upper(), PASSWORD)
    assert response.status_code == 200
    assert "Too many failed attempts" in response.content.decode()


def test_failed_log_ins_of_staff_are_in_the_audit_log_until_they_are_locked_out(staff, new_user):
    customer = new_user(email="customer@example.com", password=PASSWORD)
    for email in (*[staff.email] * 7, customer.email, "nobody@example.com"):
        try_password(email, "guess", REMOTE_ADDR="10.1.2.3")

    logged = list(AuditEntry.objects.order_by("pk"))
    assert {(entry.object_pk, entry.actor, entry.remote_addr) for entry in logged} == {
        (str(staff.pk), None, "10.1.2.3")
    }
    said = [entry.changes["log-in"][1] for entry in logged]
    assert said == [*["failed"] * 4, "failed, and locked out"]


def test_a_wrong_code_is_in_the_audit_log_as_often_as_it_counted(staff):
    device, _ = enrolled(staff)
    client = Client()
    client.force_login(staff)
    for _ in range(2):
        client.post("/admin/second-factor/", {"code": "wrong"})
        assert [entry.changes["log-in"] for entry in log_ins(staff)] == [["-", "failed at the second factor"]]
        TOTPDevice.objects.filter(pk=device.pk).update(throttling_failure_count=10)  # the next comes far too soon


def log_ins(staff) -> list[AuditEntry]:
    """What the audit log tells of `staff` at the door."""
    entries = AuditEntry.objects.filter(object_pk=str(staff.pk))
    return [entry for entry in entries if "log-in" in (entry.changes or {})]


def test_who_asks_for_the_log_in_itself_comes_to_the_dashboard(staff):
    answer = Client().post("/admin/login/", {"username": staff.email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_others_and_other_places_are_not_locked_out(staff, new_user):
    for number in range(6):
        try_password(staff.email, f"guess-{number}")
    other = new_user(is_staff=True, password=PASSWORD)
    assert try_password(other.email, PASSWORD).status_code == 302
    assert try_password(staff.email, PASSWORD, REMOTE_ADDR="10.1.2.3").status_code == 302


def test_behind_our_proxy_a_stranger_locks_out_nobody_but_themselves(staff, settings):
    settings.TRUSTED_PROXIES = 1
    for number in range(6):
        try_password(staff.email, f"guess-{number}", HTTP_X_FORWARDED_FOR=f"10.9.9.{number}, 10.6.6.6")
    locked_out = try_password(staff.email, PASSWORD, HTTP_X_FORWARDED_FOR="10.1.2.3, 10.6.6.6")
    assert "Too many failed attempts" in locked_out.content.decode()
    assert try_password(staff.email, PASSWORD, HTTP_X_FORWARDED_FOR="10.1.2.3").status_code == 302


def test_a_log_in_forgets_the_failures_before(staff):
    for _ in range(2):
        for number in range(4):
            try_password(staff.email, f"guess-{number}")
        assert try_password(staff.email, PASSWORD).status_code == 302


@pytest.fixture
def _no_redis(settings):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}}
    AxesProxyHandler.get_implementation(force=True)
    yield
    AxesProxyHandler.implementation = None


@pytest.mark.usefixtures("_no_redis")
def test_without_redis_the_door_still_opens(staff):
    with pytest.raises(RedisError):
        cache.get("anything")
    assert try_password(staff.email, "guess").status_code == 200
    assert try_password(staff.email, PASSWORD).status_code == 302


@pytest.mark.usefixtures("_no_redis")
def test_without_redis_guesses_are_counted_here(staff, monkeypatch):
    monkeypatch.setattr(LockoutHandler, "own", MemoryBuckets())
    for _ in range(2):  # a log-in forgets the failures before
        assert [try_password(staff.email, "guess").status_code for _ in range(4)] == [200] * 4
        assert try_password(staff.email, PASSWORD).status_code == 302
    for _ in range(5):
        try_password(staff.email.upper(), "guess")
    assert "Too many failed attempts" in try_password(staff.email, PASSWORD).content.decode()
    assert try_password(staff.email, PASSWORD, REMOTE_ADDR="10.1.2.3").status_code == 302


def test_the_api_has_its_own_door(staff, client_of):
    for number in range(6):
        try_password(staff.email, f"guess-{number}")
    assert client_of().post("/api/auth/login", {"email": staff.email, "password": PASSWORD}).status_code == 200
