"""The audit log: what staff did is there, what others did is not, and nobody takes it back."""

from typing import Any

import pytest
from bson import ObjectId
from django.contrib.auth.models import Group, Permission
from django.test import Client, RequestFactory

from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from ledger_project.tests.profiler import profiled
from users import audit
from users.audit import AuditLogIsAppendOnly, audited
from users.models import AuditEntry, User
from users.tests.browsing import browser, ids
from users.tokens import issue_token

USERS = "/admin/users/user/"
LOG = "/admin/users/auditentry/"
PASSWORD = "correct horse battery"


@pytest.fixture
def root(new_user) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True, email="root@example.com"))


@pytest.fixture
def asha(new_user) -> User:
    return new_user(name="Asha", email="asha@example.com")


@pytest.fixture
def entry(root, asha) -> AuditEntry:
    """One entry: Asha was renamed."""
    root.post(f"{USERS}{asha.pk}/change/", form(asha, name="Aisha"))
    return AuditEntry.objects.get()


def form(user: User, **changed: Any) -> dict[str, Any]:
    return {"email": user.email, "name": user.name, "is_active": "on"} | changed


def test_a_change_says_what_it_was_before_and_after_who_when_and_from_where(root, asha):
    root.post(f"{USERS}{asha.pk}/change/", form(asha, name="Aisha", email="aisha@example.com"), REMOTE_ADDR="10.1.2.3")
    (entry,) = AuditEntry.objects.all()
    assert entry.changes == {"name": ["Asha", "Aisha"], "email": ["asha@example.com", "aisha@example.com"]}
    assert (entry.actor_email, entry.remote_addr) == ("root@example.com", "10.1.2.3")
    assert (entry.object_pk, entry.content_type.model) == (str(asha.pk), "user")
    asha.refresh_from_db()
    assert abs((asha.updated_at - entry.timestamp).total_seconds()) < 5


def test_it_carries_the_id_of_the_request(root, asha):
    answer = root.post(f"{USERS}{asha.pk}/change/", form(asha, name="Aisha"))
    assert AuditEntry.objects.get().cid == answer["X-Request-Id"]


def test_power_that_is_given_and_taken_is_logged(root, asha):
    group = Group.objects.create(name="Support")
    permission = Permission.objects.get(codename="view_account")
    address = f"{USERS}{asha.pk}/change/"
    root.post(address, form(asha, is_staff="on", groups=[str(group.pk)], user_permissions=[str(permission.pk)]))
    root.post(address, form(asha))
    changes = [entry.changes for entry in AuditEntry.objects.order_by("pk")]
    assert changes[0] == {"is_staff": ["False", "True"]}
    assert {(name, told["operation"]) for each in changes for name, told in each.items() if isinstance(told, dict)} == {
        (name, operation) for name in ("groups", "user_permissions") for operation in ("add", "delete")
    }
    assert {"is_staff": ["True", "False"]} in changes


def test_groups_that_are_made_changed_and_deleted_are_logged(root):
    permission = Permission.objects.get(codename="view_account")
    root.post("/admin/auth/group/add/", {"name": "Support"})
    group = Group.objects.get()
    root.post(f"/admin/auth/group/{group.pk}/change/", {"name": "Help", "permissions": [str(permission.pk)]})
    root.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    told = [(entry.get_action_display(), entry.changes) for entry in AuditEntry.objects.order_by("pk")]
    assert told[0][0] == "create"
    assert ("update", {"name": ["Support", "Help"]}) in told
    assert any("permissions" in changes for _, changes in told)
    assert told[-1][0] == "delete"


def test_a_new_password_is_logged_and_nothing_of_it_is_shown(root, asha):
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    root.post(f"{USERS}{asha.pk}/password/", passwords)
    asha.refresh_from_db()
    (entry,) = (each for each in AuditEntry.objects.all() if "password" in each.changes)
    for told in entry.changes["password"]:
        assert told not in asha.password
        assert len(told) == 9


def test_what_changes_nothing_is_not_logged(root, asha):
    root.post(f"{USERS}{asha.pk}/change/", form(asha))
    root.get(f"{USERS}{asha.pk}/change/")
    assert not AuditEntry.objects.exists()


def test_what_customers_and_programs_do_is_not_logged(client_of, new_user, new_account, asha):
    account = new_account(asha, funds=5)
    client = client_of()
    client.post("/api/auth/register", {"name": "Ravi", "email": "ravi@example.com", "password": PASSWORD})
    client.post("/api/auth/login", {"email": "ravi@example.com", "password": PASSWORD})
    client_of(asha).get(f"/api/accounts/{account.pk}")
    asha.name = "Aisha"
    asha.save()
    asha.groups.add(Group.objects.create(name="Support"))
    audit.record(asha, {"name": ("Aisha", "Asha")})
    assert not AuditEntry.objects.exists()


def test_a_transfer_costs_not_one_command_more(client_of, new_user, new_account):
    payer, payee = new_account(new_user(), funds=5), new_account(new_user())
    client = client_of(User.objects.get(pk=payer.user_id))
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 1, "idempotencyKey": "k"}
    with profiled() as commands:
        assert client.post("/api/transactions", body).status_code == 201
    assert not [command for command in commands if command["ns"].endswith((".audit_log", ".django_content_type"))]


def test_staff_who_come_and_go_are_logged_with_their_address(new_user):
    new_user(email="root@example.com", password=PASSWORD, is_staff=True)
    client = Client()
    form = {"username": "root@example.com", "password": PASSWORD}
    client.post("/admin/login/", form | {"password": "wrong"}, REMOTE_ADDR="10.1.2.3")
    client.post("/admin/login/", form, REMOTE_ADDR="10.1.2.3")
    client.post("/admin/logout/", REMOTE_ADDR="10.1.2.3")
    told = [(e.actor_email, e.remote_addr, e.changes) for e in AuditEntry.objects.order_by("pk")]
    assert told == [
        (None, "10.1.2.3", {"log-in": ["-", "failed"]}),
        ("root@example.com", "10.1.2.3", {"staff session": ["None", "begun"]}),
        ("root@example.com", "10.1.2.3", {"staff session": ["begun", "ended"]}),
    ]


def test_it_is_logged_under_a_prefix_too(root, asha):
    root.post(f"{USERS}{asha.pk}/change/", form(asha, name="Aisha"), SCRIPT_NAME="/money")
    assert AuditEntry.objects.get().changes == {"name": ["Asha", "Aisha"]}


def test_one_request_does_not_lend_its_name_to_the_next(root, asha):
    root.post(f"{USERS}{asha.pk}/change/", form(asha, name="Aisha"))
    asha.refresh_from_db()
    asha.name = "Asha"
    asha.save()
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        *((0, header, "10.0.0.1") for header in (None, "6.6.6.6", "6.6.6.6, 7.7.7.7")),
        *((1, header, "7.7.7.7") for header in ("7.7.7.7", "6.6.6.6, 7.7.7.7", "junk,7.7.7.7")),
        *((2, header, "6.6.6.6") for header in ("6.6.6.6, 7.7.7.7", "5.5.5.5, 6.6.6.6, 7.7.7.7")),
        *((1, header, "10.0.0.1") for header in (None, "", "junk", "7.7.7.7, ")),
        (2, "7.7.7.7", "10.0.0.1"),
        (1, "::ffff:7.7.7.7", "7.7.7.7"),
        (1, "2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_the_address_is_what_our_own_proxies_say(settings, asha, proxies, header, address):
    settings.TRUSTED_PROXIES = proxies
    forwarded = {} if header is None else {"HTTP_X_FORWARDED_FOR": header}
    request = RequestFactory().post("/admin/", REMOTE_ADDR="10.0.0.1", **forwarded)
    request.user = asha
    with audited(request):
        audit.record(asha, {"name": ("a", "b")})
    assert AuditEntry.objects.get().remote_addr == address


WRITES = {
    "save": lambda row: row.save(),
    "save a field": lambda row: row.save(update_fields=["reason"]),
    "save by force": lambda row: row.save(force_update=True),
    "save_base": lambda row: row.save_base(),
    "delete": lambda row: row.delete(),
    "update": lambda row: AuditEntry.objects.update(reason="x"),
    "update one": lambda row: AuditEntry.objects.filter(pk=row.pk).update(reason="x"),
    "base manager": lambda row: AuditEntry._base_manager.update(reason="x"),
    "queryset delete": lambda row: AuditEntry.objects.all().delete(),
    "_raw_delete": lambda row: AuditEntry.objects.all()._raw_delete("default"),
    "bulk_update": lambda row: AuditEntry.objects.bulk_update([row], ["reason"]),
    "update_or_create": lambda row: AuditEntry.objects.update_or_create(pk=row.pk, defaults={"reason": "x"}),
}


@pytest.mark.parametrize("way", WRITES)
def test_no_way_of_the_orm_changes_or_deletes_what_is_logged(entry, way):
    entry.reason = "Another"
    before = dump("audit_log")
    with pytest.raises(AuditLogIsAppendOnly):
        WRITES[way](entry)
    assert dump("audit_log") == before


@pytest.mark.parametrize("page", ["add/", "{key}/change/", "{key}/delete/"])
def test_not_even_a_superuser_changes_it_in_the_admin(root, entry, page: str):
    before = dump("audit_log")
    changed = {"reason": "x", "actor": str(ObjectId()), "post": "yes", "_save": "Save"}
    assert root.post(LOG + page.format(key=entry.pk), changed).status_code == 403
    for action in ("delete_selected", "delete"):
        root.post(LOG, {"action": action, "_selected_action": [str(entry.pk)], "index": "0", "post": "yes"})
    root.post(LOG, changed | {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(entry.pk)})
    assert dump("audit_log") == before


def test_whoever_is_in_it_stays_in_it(entry):
    """A user who is gone from the collection, by whatever way, leaves its name in the log."""
    database().users.delete_many({"email": "root@example.com"})
    entry.refresh_from_db()
    assert entry.actor_email == "root@example.com"


def test_the_list_shows_and_finds_it(root, entry, asha):
    page = root.get(LOG)
    assert ids(page) == [entry.pk]
    assert "<b>name</b>: Asha → Aisha" in page.content.decode()
    for term in (asha.pk, "asha@example.com", "root@example.com"):
        assert ids(root.get(f"{LOG}?q={term}")) == [entry.pk]
    assert ids(root.get(f"{LOG}?q={ObjectId()}")) == []
    assert ids(root.get(f"{LOG}?action__exact=2")) == []
    assert root.get(f"{LOG}{entry.pk}/change/").status_code == 200


def test_what_is_shown_is_escaped(root, asha):
    root.post(f"{USERS}{asha.pk}/change/", form(asha, name="<script>alert(1)</script>"))
    assert "<script>alert" not in root.get(LOG).content.decode()


def test_a_staffs_token_does_not_make_the_api_log(client_of, new_user):
    staff = new_user(is_staff=True, is_superuser=True)
    assert issue_token(staff)
    client_of(staff).get("/api/auth/me")
    assert not AuditEntry.objects.exists()
