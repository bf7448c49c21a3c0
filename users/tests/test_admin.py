"""The staff's pages for users, groups, the outbox and the blacklist."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.contrib.auth.models import Group
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from pymongo.errors import ExecutionTimeout

from ledger_project import admin as ledger_admin
from ledger_project.mongo import collection, database
from ledger_project.tests.profiler import profiled
from users import notifications
from users.admin import EditUserForm, NewUserForm, UserAdmin
from users.api_sessions import Device, begin
from users.models import ApiSession, AuditEntry, BlacklistedToken, Notification, User
from users.tests.browsing import browser, cheap, ids, said
from users.tokens import revoke_tokens

USERS = "/admin/users/user/"
NOTIFICATIONS = "/admin/users/notification/"
TOKENS = "/admin/users/blacklistedtoken/"
PASSWORD = "a long enough phrase"
NEW = {
    "email": "New@Example.com ",
    "name": "New",
    "usable_password": "true",
    "password1": PASSWORD,
    "password2": PASSWORD,
}


@pytest.fixture
def root(new_user) -> Client:
    return browser(new_user(email="root@example.com", is_staff=True, is_superuser=True))


@pytest.fixture
def clerk(new_user) -> Any:
    """A browser of staff with these permissions only."""
    return lambda *permissions: browser(new_user(is_staff=True), *permissions)


@pytest.fixture
def welcome(new_user) -> Any:
    """A notification that could not be delivered."""

    def make(user: User | None = None, **changed: Any) -> Notification:
        row = notifications.row((user or new_user()).pk, Notification.Kind.WELCOME, {})
        row |= {"status": "FAILED", "attempts": 8, "last_error": "SMTPException"} | changed
        database().notifications.insert_one(row)
        return Notification.objects.get(pk=row["_id"])

    return make


def token_of(user: User) -> BlacklistedToken:
    expires_at = timezone.now() + timedelta(days=1)
    return BlacklistedToken.objects.create(jti=uuid4().hex, user=user, expires_at=expires_at)


def posted(user: User, **changed: Any) -> dict[str, Any]:
    """What the form of `user` sends."""
    return {"email": user.email, "name": user.name, "is_active": "on"} | changed


def test_staff_log_in_by_email_whatever_its_case(new_user) -> None:
    new_user(email="staff@example.com", password=PASSWORD, is_staff=True)
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": "STAFF@example.com", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


def test_customers_and_disabled_staff_do_not_come_in(new_user) -> None:
    for user in (new_user(), new_user(is_staff=True, is_active=False)):
        answer = browser(user).get("/admin/")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_the_index_has_the_name_of_the_site_and_a_way_to_every_list(root) -> None:
    page = root.get("/admin/").content.decode()
    assert "Backend Ledger" in page
    for name in ("users/user", "users/notification", "users/blacklistedtoken", "auth/group", "accounts/account"):
        assert f'href="/admin/{name}/"' in page


def test_the_sidebar_shows_only_what_one_may_see(clerk) -> None:
    page = clerk("users.view_notification").get("/admin/").content.decode()
    assert NOTIFICATIONS in page
    assert USERS not in page
    assert "/admin/accounts/account/" not in page


def test_lists_are_newest_first_in_whatever_order_they_are_asked_for(root, new_user) -> None:
    users = [new_user(name=name).pk for name in "cab"]
    for order in ("", "?o=1", "?o=2.-1"):
        assert ids(cheap(root, USERS + order))[:3] == users[::-1]


def test_every_list_and_every_page_opens(root, new_user, welcome) -> None:
    user = new_user()
    group = Group.objects.create(name="Support")
    rows = {USERS: user.pk, NOTIFICATIONS: welcome(user).pk, TOKENS: token_of(user).pk}
    for address, key in rows.items():
        assert key in ids(cheap(root, address))
        assert cheap(root, f"{address}{key}/change/").context["original"].pk == key
        assert cheap(root, f"{address}{key}/history/")
    assert group.pk in ids(root.get("/admin/auth/group/"))
    assert root.get(f"/admin/auth/group/{group.pk}/change/").status_code == 200


def test_a_list_is_read_by_pages_and_not_further_than_the_last(root, new_user, monkeypatch) -> None:
    monkeypatch.setattr(UserAdmin, "list_per_page", 2)
    users = [new_user().pk for _ in range(3)][::-1]
    assert ids(cheap(root, USERS)) == users[:2]
    assert users[2] in ids(cheap(root, USERS + "?p=2"))
    assert ids(cheap(root, USERS + "?p=100")) == []
    assert root.get(USERS + "?p=101")["Location"] == USERS + "?e=1"


def test_users_are_found_by_id_by_email_by_the_beginning_of_their_name_and_by_nothing_else(root, new_user) -> None:
    user = new_user(email="asha@example.com", name="Meera Nair")
    for term in (user.pk, "asha@example.com", " ASHA@Example.com ", "Meera Nair", "meera"):
        assert ids(cheap(root, f"{USERS}?q={term}")) == [user.pk]
    for term in ("eera", ".*", "asha@", "$ne", ObjectId()):
        assert ids(cheap(root, f"{USERS}?q={term}")) == []


def test_notifications_are_found_by_id_and_by_their_user(root, new_user, welcome) -> None:
    user = new_user()
    first, second = welcome(user), welcome(user)
    welcome()
    assert ids(cheap(root, f"{NOTIFICATIONS}?q={first.pk}")) == [first.pk]
    for term in (user.pk, user.email):
        assert ids(cheap(root, f"{NOTIFICATIONS}?q={term}")) == [second.pk, first.pk]
    assert ids(cheap(root, f"{NOTIFICATIONS}?q=WELCOME")) == []


def test_tokens_are_found_by_jti_and_by_their_user(root, new_user) -> None:
    user = new_user()
    token = token_of(user)
    token_of(new_user())
    for term in (token.jti, user.pk, user.email):
        assert ids(cheap(root, f"{TOKENS}?q={term}")) == [token.pk]
    assert ids(cheap(root, f"{TOKENS}?q={token.jti[:-1]}")) == []


def test_filters_walk_an_index(root, welcome) -> None:
    welcome(status="SENT")
    failed = welcome()
    assert ids(cheap(root, NOTIFICATIONS + "?status__exact=FAILED")) == [failed.pk]
    assert ids(cheap(root, NOTIFICATIONS + "?kind__exact=TRANSFER_SENT")) == []
    assert ids(cheap(root, USERS + "?is_system__exact=1")) == []


@pytest.mark.parametrize("question", ["password__startswith=b", "name__regex=.*", "email__isnull=1", "is_staff__in=1"])
def test_an_address_asks_nothing_that_the_page_does_not_offer(root, question: str) -> None:
    assert root.get(f"{USERS}?{question}").status_code == 400


@pytest.mark.parametrize(
    "nonsense", ["is_staff__exact=maybe", "is_staff__exact=%00", "p=0", "p=x", "all=", "_facets=1", "o=9.x"]
)
def test_a_nonsensical_address_is_no_error(root, nonsense: str) -> None:
    assert root.get(f"{USERS}?{nonsense}").status_code in (200, 302)


def test_a_filter_that_takes_too_long_is_given_up(root, monkeypatch) -> None:
    def too_slow(*args: Any) -> None:
        raise DatabaseError from ExecutionTimeout("operation exceeded time limit")

    with monkeypatch.context() as patch:
        patch.setattr(UserAdmin, "get_changelist_instance", too_slow)
        answer = root.get(USERS + "?is_system__exact=1")
        assert (answer.status_code, answer["Location"]) == (302, USERS)
        assert root.get(USERS).status_code == 503
    assert "too long" in said(root.get(USERS))


def test_rows_that_are_not_found_in_time_are_given_up(root, monkeypatch, fail_command) -> None:
    monkeypatch.setattr(ledger_admin, "LIST_SECONDS", 1)
    tokens = f"{database().name}.blacklisted_tokens"
    fail_command("find", times="alwaysOn", namespace=tokens, blockConnection=True, blockTimeMS=3000)
    answer = root.get(f"{TOKENS}?q=nothing")
    fail_command("find", times="off")

    assert (answer.status_code, answer["Location"]) == (302, TOKENS)
    assert "too long" in said(root.get(TOKENS))


@pytest.mark.parametrize("address", [USERS, NOTIFICATIONS, TOKENS, "/admin/auth/group/", "/admin/accounts/account/"])
@pytest.mark.parametrize("page", ["change", "history", "delete"])
def test_a_malformed_id_leads_to_the_index(root, address: str, page: str) -> None:
    for key in ("xyz", "%00", "0" * 25, "é", ObjectId()):
        assert root.get(f"{address}{key}/{page}/").status_code in (302, 403)
        assert root.post(f"{address}{key}/{page}/").status_code in (302, 403)


def test_a_user_is_added_with_a_normalised_email_and_can_log_in(root) -> None:
    answer = root.post(USERS + "add/", NEW)
    user = User.objects.get(email="new@example.com")
    assert answer["Location"] == f"{USERS}{user.pk}/change/"
    assert user.check_password(PASSWORD)
    assert not any((user.is_staff, user.is_superuser, user.is_system))


@pytest.mark.parametrize(
    "wrong",
    [{"email": "ROOT@example.com"}, {"email": "root"}, {"email": ""}, {"name": ""}, {"name": "x" * 151},
     {"password2": "other"}, {"password1": "password", "password2": "password"}, {"usable_password": "perhaps"}],
)  # fmt: skip
def test_a_user_that_cannot_be_is_refused_in_the_form(root, wrong: dict) -> None:
    answer = root.post(USERS + "add/", NEW | wrong)
    assert answer.status_code == 200
    assert answer.context["errors"]
    assert User.objects.count() == 1


def test_two_who_add_one_email_at_once_get_one_user_and_a_message(root, new_user, monkeypatch) -> None:
    new_user(email="new@example.com")
    monkeypatch.setattr(NewUserForm, "validate_unique", lambda form: None)
    answer = root.post(USERS + "add/", NEW, follow=True)
    assert "already exists" in said(answer)
    assert User.objects.filter(email="new@example.com").count() == 1


def test_an_email_that_was_taken_meanwhile_is_told_of_and_nobody_is_disabled(root, new_user, monkeypatch) -> None:
    user, other = new_user(), new_user(email="new@example.com")
    monkeypatch.setattr(EditUserForm, "validate_unique", lambda form: None)
    disabled = {"email": other.email, "name": user.name}
    assert "already exists" in said(root.post(f"{USERS}{user.pk}/change/", disabled, follow=True))
    user.refresh_from_db()
    assert user.is_active


def test_a_superuser_edits_a_user(root, new_user) -> None:
    user, group = new_user(), Group.objects.create(name="Support")
    changed = posted(user, email="Other@example.com", name="Other", is_staff="on", groups=[str(group.pk)])
    assert root.post(f"{USERS}{user.pk}/change/", changed).status_code == 302
    user.refresh_from_db()
    assert (user.email, user.name, user.is_staff) == ("other@example.com", "Other", True)
    assert list(user.groups.all()) == [group]


def test_a_user_is_disabled_not_deleted(root, new_user) -> None:
    user = new_user()
    assert root.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 403
    assert root.post(f"{USERS}{user.pk}/change/", {"email": user.email, "name": user.name}).status_code == 302
    user.refresh_from_db()
    assert not user.is_active


def test_no_request_makes_a_system_user(root, new_user) -> None:
    user = new_user()
    assert root.post(f"{USERS}{user.pk}/change/", posted(user, is_system="on")).status_code == 302
    user.refresh_from_db()
    assert not user.is_system


@pytest.mark.parametrize(
    "wrong", [{"email": "root@example.com"}, {"email": "x" * 300}, {"groups": ["xyz"]}, {"user_permissions": ["1"]}]
)
def test_an_edit_that_cannot_be_is_refused_in_the_form(root, new_user, wrong: dict) -> None:
    user = new_user()
    answer = root.post(f"{USERS}{user.pk}/change/", posted(user) | wrong)
    assert answer.status_code == 200
    assert answer.context["errors"]


def test_staff_without_all_power_hand_out_none(clerk, new_user) -> None:
    client = clerk("users.view_user", "users.change_user")
    customer = new_user()
    power = {"is_staff": "on", "is_superuser": "on", "user_permissions": ["x"], "name": "Renamed"}
    assert client.post(f"{USERS}{customer.pk}/change/", posted(customer, **power)).status_code == 302
    customer.refresh_from_db()
    assert customer.name == "Renamed"
    assert not any((customer.is_staff, customer.is_superuser, customer.user_permissions.exists()))


@pytest.mark.parametrize("power", ["is_staff", "is_superuser", "is_system"])
def test_only_superusers_touch_those_who_have_power(clerk, new_user, power: str) -> None:
    client = clerk("users.view_user", "users.change_user")
    user = new_user(**{power: True})
    assert client.get(f"{USERS}{user.pk}/change/").status_code == 200
    assert client.post(f"{USERS}{user.pk}/change/", posted(user, email="mine@example.com")).status_code == 403
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(f"{USERS}{user.pk}/password/", passwords).status_code == 403
    user.refresh_from_db()
    assert user.email != "mine@example.com"
    assert not user.check_password(PASSWORD)


def test_staff_do_not_raise_themselves(new_user) -> None:
    user = new_user(is_staff=True)
    client = browser(user, "users.change_user", "auth.change_group")
    group = Group.objects.create(name="All")
    assert client.post(f"{USERS}{user.pk}/change/", posted(user, is_superuser="on")).status_code == 403
    assert client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "Mine"}).status_code == 403


def test_a_password_is_set_on_its_own_page(root, new_user) -> None:
    user = new_user()
    assert "../password/" in root.get(f"{USERS}{user.pk}/change/").content.decode()
    assert root.get(f"{USERS}{user.pk}/password/").status_code == 200
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert root.post(f"{USERS}{user.pk}/password/", passwords).status_code == 302
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert root.get(f"{USERS}xyz/password/").status_code == 404


@pytest.mark.parametrize("page", ["password", "change"])
def test_a_new_password_or_disabling_counts_only_with_the_end_of_what_was_before(root, new_user, fail_command, page):
    user = new_user(password=PASSWORD)
    before = collection(User).find_one({"_id": user.pk})
    other = {"usable_password": "true", "password1": PASSWORD + "!", "password2": PASSWORD + "!"}
    disabled = {"email": user.email, "name": user.name}
    fail_command("delete", times="alwaysOn", errorCode=121)
    assert root.post(f"{USERS}{user.pk}/{page}/", {"password": other, "change": disabled}[page]).status_code == 503
    fail_command("delete", times="off")
    assert collection(User).find_one({"_id": user.pk}) == before
    assert not AuditEntry.objects.exists()


def test_the_page_of_a_user_shows_its_sessions_of_the_api_and_no_key_to_them(root, new_user) -> None:
    user, other = new_user(), new_user()
    assert "API sessions" in root.get(f"{USERS}{user.pk}/change/").content.decode()
    phone, gone = Device("Phone <b>", "10.1.2.0/24"), Device("Lost laptop", "10.9.9.0/24")
    begin(user=user, device=gone)
    revoke_tokens(user=user, reason="lost")
    user.refresh_from_db()
    begin(user=user, device=phone), begin(user=other, device=Device("Another's", ""))
    session = ApiSession.objects.get(user=user)
    page = root.get(f"{USERS}{user.pk}/change/").content.decode()
    assert f"<b>Phone &lt;b&gt;</b><br>from 10.1.2.0/24, last used {session.used_at:%Y-%m-%d %H:%M} (UTC)</p>" in page
    assert not [word for word in ("Lost laptop", "Another&#x27;s", session.refresh_hash) if word in page]


def test_superusers_make_and_delete_groups(root) -> None:
    assert root.post("/admin/auth/group/add/", {"name": "Support"}).status_code == 302
    group = Group.objects.get(name="Support")
    assert ids(root.get("/admin/auth/group/?q=Support")) == [group.pk]
    assert root.post("/admin/auth/group/add/", {"name": "Support"}).context["errors"]
    assert root.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Group.objects.exists()


@pytest.mark.parametrize("address", [NOTIFICATIONS, TOKENS])
def test_not_even_a_superuser_edits_the_outbox_or_the_blacklist(root, new_user, welcome, address: str) -> None:
    user = new_user()
    row = {NOTIFICATIONS: welcome(user), TOKENS: token_of(user)}[address]
    stored = collection(row)
    before = list(stored.find())
    for page in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert root.post(address + page, {"post": "yes", "status": "SENT", "jti": "x"}).status_code == 403
    root.post(address, {"action": "delete_selected", "_selected_action": [row.pk], "index": "0", "post": "yes"})
    assert list(stored.find()) == before


def test_a_notification_shows_the_message_that_would_be_sent(root, new_user, welcome) -> None:
    notification = welcome(new_user(name="Asha <b>"))
    message = notifications.message(notification)
    page = root.get(f"{NOTIFICATIONS}{notification.pk}/change/").content.decode()
    assert message.subject in page
    assert "Asha &lt;b&gt;" in page


@pytest.mark.parametrize("broken", [{"kind": "GREETING"}, {"user": ObjectId()}, {"payload": []}])
def test_what_breaks_a_message_does_not_break_its_page(root, welcome, broken: dict) -> None:
    notification = welcome()
    database().notifications.update_one({"_id": notification.pk}, {"$set": broken})
    assert notification.pk in ids(root.get(NOTIFICATIONS))
    assert "cannot be rendered" in root.get(f"{NOTIFICATIONS}{notification.pk}/change/").content.decode()


def test_chosen_notifications_are_sent_again_and_no_others(root, welcome, monkeypatch) -> None:
    woken: list[bool] = []
    monkeypatch.setattr("users.outbox_admin.wake_sender.ask", lambda: woken.append(True))
    sent, failed, other = welcome(status="SENT", sent_at=timezone.now()), welcome(), welcome()
    chosen = [sent.pk, failed.pk, "xyz"]
    answer = root.post(
        NOTIFICATIONS,
        {"action": "send_again", "_selected_action": chosen, "select_across": "1", "index": "0"},
        follow=True,
    )
    assert "again: 2" in said(answer)
    assert woken == [True]
    for notification in (sent, failed):
        notification.refresh_from_db()
        assert (notification.status, notification.attempts, notification.sent_at) == ("PENDING", 0, None)
        assert notification.due_at <= timezone.now()
    other.refresh_from_db()
    assert (other.status, other.attempts) == ("FAILED", 8)


@pytest.mark.parametrize(
    "form",
    [{"action": "send_again"}, {"action": "send_again", "_selected_action": "xyz"},
     {"action": "send_again", "index": "x"},
     {"action": "explode", "_selected_action": "0" * 24}, {"_selected_action": "0" * 24, "index": "-7"},
     {"action": "send_again", "select_across": "1", "index": "0"}],
)  # fmt: skip
def test_a_hand_made_action_that_makes_no_sense_does_nothing(root, welcome, form: dict) -> None:
    notification = welcome()
    assert root.post(NOTIFICATIONS, form).status_code in (200, 302)
    notification.refresh_from_db()
    assert notification.status == "FAILED"


def test_sending_again_needs_the_permission_to_change(clerk, welcome) -> None:
    notification = welcome()
    form = {"action": "send_again", "_selected_action": str(notification.pk), "index": "0"}
    clerk("users.view_notification").post(NOTIFICATIONS, form)
    notification.refresh_from_db()
    assert notification.status == "FAILED"
    clerk("users.view_notification", "users.change_notification").post(NOTIFICATIONS, form)
    notification.refresh_from_db()
    assert notification.status == "PENDING"


def test_one_notification_is_sent_again_from_its_page_by_a_post_only(root, welcome, monkeypatch) -> None:
    woken: list[bool] = []
    monkeypatch.setattr("users.outbox_admin.wake_sender.ask", lambda: woken.append(True))
    notification, other = welcome(), welcome()
    address = f"{NOTIFICATIONS}{notification.pk}/send_this_again/"
    assert "address" in root.get(address).content.decode()
    notification.refresh_from_db()
    assert notification.status == "FAILED"
    root.post(address, {"_form_submitted": "True"})
    for row in (notification, other):
        row.refresh_from_db()
    assert (notification.status, other.status, woken) == ("PENDING", "FAILED", [True])
    (entry,) = AuditEntry.objects.all()
    assert (entry.object_pk, entry.changes) == (str(notification.pk), {"status": ["FAILED", "PENDING"]})
    assert root.post(f"{NOTIFICATIONS}{ObjectId()}/send_this_again/", {"_form_submitted": "True"}).status_code == 302


def test_all_that_failed_is_tried_anew_by_an_index_and_nothing_else_is(root, welcome) -> None:
    failed = [welcome() for _ in range(3)]
    others = [welcome(status="SENT", sent_at=timezone.now()), welcome(status="PENDING")]
    before = {row.pk: database().notifications.find_one({"_id": row.pk}) for row in others}
    with profiled() as commands:
        answer = root.post(f"{NOTIFICATIONS}retry_failed/", {"_form_submitted": "True"}, follow=True)
    assert "again: 3" in said(answer)
    assert {row.status for row in Notification.objects.filter(pk__in=[each.pk for each in failed])} == {"PENDING"}
    assert {row.pk: database().notifications.find_one({"_id": row.pk}) for row in others} == before
    (update,) = (command for command in commands if command["op"] == "update" and "notifications" in command["ns"])
    assert "IXSCAN" in update["planSummary"]
    assert AuditEntry.objects.get().changes == {"status": ["FAILED", "PENDING"], "rows": ["0", "3"]}


@pytest.mark.parametrize("button", ["retry_failed/", "{key}/send_this_again/"])
def test_what_cannot_be_logged_is_not_queued_again(root, welcome, fail_command, button: str) -> None:
    notification = welcome()
    fail_command("insert", times="alwaysOn", errorCode=121)
    address = f"{NOTIFICATIONS}{button.format(key=notification.pk)}"
    assert root.post(address, {"_form_submitted": "True"}).status_code == 503
    fail_command("insert", times="off")
    notification.refresh_from_db()
    assert (notification.status, notification.attempts) == ("FAILED", 8)


def test_retrying_needs_the_permission_to_change(clerk, welcome) -> None:
    notification = welcome()
    form = {"_form_submitted": "True"}
    viewer = clerk("users.view_notification")
    for address in (f"{NOTIFICATIONS}retry_failed/", f"{NOTIFICATIONS}{notification.pk}/send_this_again/"):
        assert viewer.post(address, form).status_code == 403
    notification.refresh_from_db()
    assert notification.status == "FAILED"


def test_the_html_of_a_message_is_shown_in_a_frame_that_may_do_nothing(root, new_user, welcome) -> None:
    notification = welcome(new_user(name="<script>alert(1)</script>"))
    page = root.get(f"{NOTIFICATIONS}{notification.pk}/change/").content.decode()
    (frame,) = re.findall(r'<iframe sandbox srcdoc="([^"<>]*)" [^<>"]*', page)
    assert unescape(frame).strip() == notifications.message(notification).alternatives[0][0].strip()
    assert "<script>alert" not in page
