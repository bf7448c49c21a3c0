"""Export of any list as CSV or XLSX: what is filtered, all of it, for those who may, and nothing that runs."""

import csv
import io
import tracemalloc
from decimal import Decimal

import pytest
from django.contrib import admin
from openpyxl import load_workbook
from pymongo import _csot

from accounts.models import Account
from ledger_project import admin as ledger_admin
from ledger_project import export
from ledger_project.admin import LedgerModelAdmin
from ledger_project.mongo import database
from ledger_project.tests.profiler import profiled
from office.groups import ensure_groups
from office.tests.entering import enter
from transactions import ledger
from transactions.models import Entry, Transaction
from transactions.posting import Reversal
from users.models import AuditEntry, User
from users.tests.browsing import browser, said

ACCOUNTS = "/admin/accounts/account/"
EXPORTED = [
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model, model_admin in admin.site._registry.items()
    if isinstance(model_admin, LedgerModelAdmin)
]


@pytest.fixture
def boss(new_user):
    return browser(new_user(is_staff=True, is_superuser=True))


def as_csv(client, address, query=""):
    response = client.get(f"{address}export/csv/{query}")
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.getvalue().decode("utf-8-sig"))))


def as_xlsx(client, address, query=""):
    response = client.get(f"{address}export/xlsx/{query}")
    assert response.status_code == 200
    header, *rows = load_workbook(io.BytesIO(response.getvalue())).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_accounts(boss, new_user, new_account):
    owner = new_user()
    account = new_account(owner, funds="1234.50", name="Savings")

    (row,) = [row for row in as_csv(boss, ACCOUNTS) if row["kind"] == "CUSTOMER"]
    assert (row["id"], row["user"], row["name"], row["balance"], row["currency"]) == (
        str(account.pk),
        str(owner.pk),
        "Savings",
        "1234.5",
        "INR",
    )
    (same,) = [row for row in as_xlsx(boss, ACCOUNTS) if row["kind"] == "CUSTOMER"]
    assert (same["id"], same["balance"]) == (str(account.pk), 1234.5)


@pytest.mark.parametrize("address", EXPORTED)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_every_list_can_be_exported(boss, new_user, new_account, address, kind):
    new_account(new_user(), funds=5)
    rows = (as_csv if kind == "csv" else as_xlsx)(boss, address)

    assert rows or not boss.get(address).context["cl"].result_list
    assert "export/csv/" in boss.get(address).content.decode()
    assert not any("password" in column for row in rows for column in row)


def test_what_staff_did_is_told_in_words(boss, new_user):
    user = new_user(name="Asha")
    boss.post(f"/admin/users/user/{user.pk}/change/", {"name": "Aisha", "email": user.email, "is_active": "on"})

    row = as_csv(boss, "/admin/users/auditentry/")[-1]  # the export itself comes first
    assert (row["did"], row["kind"], row["object_pk"]) == ("update", "user", str(user.pk))
    assert row["changes"] == '{"name":["Asha","Aisha"]}'
    assert row["actor_email"] == boss.get("/admin/").context["user"].email


def test_a_group_is_told_with_its_permissions(boss):
    ensure_groups()

    rows = {row["name"]: row["permissions"] for row in as_csv(boss, "/admin/auth/group/")}
    assert "Can reverse transactions" in rows["Operations"]
    assert "Can reverse transactions" not in rows["Support"]


def test_a_reversal_and_its_original_name_each_other(boss, new_user, new_account):
    account = new_account(new_user(), funds=5)
    staff = new_user(is_staff=True, is_superuser=True)
    original = Transaction.objects.get(to_account=account)
    reversal = ledger.post(Reversal(staff.pk, original.pk, "wrong account")).transaction

    rows = {row["id"]: row for row in as_csv(boss, "/admin/transactions/transaction/")}
    assert (rows[str(original.pk)]["reversed_by"], rows[str(reversal.pk)]["reverses"]) == (
        str(reversal.pk),
        str(original.pk),
    )
    assert (rows[str(original.pk)]["reason"], rows[str(reversal.pk)]["reason"]) == ("", "wrong account")


def test_what_a_row_lacks_costs_no_look_up(boss, new_user, new_account):
    """A transfer has no field for what it reverses: that is not asked for row by row."""
    for _ in range(5):
        new_account(new_user(), funds=5)
    with profiled() as commands:
        assert len(as_csv(boss, "/admin/transactions/transaction/")) == 5

    # One for the list's own page, one for the file.
    assert [command["ns"].partition(".")[2] for command in commands].count("transactions") == 2


def test_a_filter_and_a_search_hold_for_the_export_too(boss, new_user, new_account):
    one, other = new_user(), new_user()
    new_account(one, funds=5), new_account(other)

    assert {row["user"] for row in as_csv(boss, ACCOUNTS, f"?q={one.email}")} == {str(one.pk)}
    assert {row["kind"] for row in as_csv(boss, ACCOUNTS, "?kind__exact=EQUITY")} == {"EQUITY"}
    assert as_csv(boss, ACCOUNTS, "?status__exact=CLOSED") == []


def test_all_pages_are_in_it(boss, new_user):
    user = new_user()
    Account.objects.bulk_create(Account(user=user, currency="INR", name=str(number)) for number in range(120))

    assert {row["name"] for row in as_csv(boss, ACCOUNTS)} == {str(number) for number in range(120)}


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", " =1", '=HYPERLINK("http://x","y")', "\r=1", "|cmd", "a\x00b"]
)
def test_what_a_customer_wrote_is_never_a_formula(boss, new_user, name):
    user = new_user()
    Account.objects.create(user=user, currency="INR", name=name)

    assert as_csv(boss, ACCOUNTS)[0]["name"][:1] not in set("=+-@\t\r\n ")
    response = boss.get(f"{ACCOUNTS}export/xlsx/")
    cells = [cell for row in load_workbook(io.BytesIO(response.getvalue())).active.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]


def test_a_number_too_long_for_a_spreadsheet_is_text(boss, new_user, new_account):
    new_account(new_user(), funds="9999999999999.99")
    row = as_xlsx(boss, "/admin/transactions/transaction/")[0]
    assert row["amount"] == Decimal("9999999999999.99") or row["amount"] == 9999999999999.99
    assert export._cell(None, Decimal("12345678901234567.89")).value == "12345678901234567.89"


def write_csv(columns, rows):
    for _ in export.csv_lines(columns, rows):
        pass


def write_xlsx(columns, rows):
    export.xlsx_file(columns, rows).close()


@pytest.mark.parametrize("write", [write_csv, write_xlsx])
def test_the_memory_does_not_grow_with_the_list(write, monkeypatch):
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 50)

    def peak_bytes(count):
        tracemalloc.start()
        write(
            export.resource(("name", "currency")),
            (Account(currency="INR", name=f"{number:064}") for number in range(count)),
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak_bytes(10)  # what is loaded and cached once
    more = 800 - 200
    assert peak_bytes(800) - peak_bytes(200) < 100 * more, "a row alone takes five times as much"


@pytest.fixture
def many(new_user):
    user = new_user()
    Account.objects.bulk_create(Account(user=user, currency="INR", name=str(number)) for number in range(12))


@pytest.mark.usefixtures("many")
def test_a_long_list_is_for_csv(boss, monkeypatch):
    monkeypatch.setattr(export, "XLSX_ROWS", 11)
    answer = boss.get(f"{ACCOUNTS}export/xlsx/")
    assert (answer.status_code, answer["Location"]) == (302, ACCOUNTS)
    assert "up to 11 rows here. Filter the list, or take CSV" in said(boss.get(ACCOUNTS))
    assert len(as_csv(boss, ACCOUNTS)) == 12
    monkeypatch.setattr(export, "XLSX_ROWS", 12)
    assert len(as_xlsx(boss, ACCOUNTS)) == 12


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("kind", "slow"), [("csv", {"times": 1}), ("csv", {"skip": 1}), ("xlsx", {"skip": 1})])
def test_what_the_database_does_not_find_in_time_is_given_up(boss, monkeypatch, fail_command, kind, slow):
    """The first look is for the list's own page, the next one for the file."""
    monkeypatch.setattr(ledger_admin, "EXPORT_SECONDS", 1)
    accounts = f"{database().name}.accounts"
    fail_command("find", times=slow, namespace=accounts, blockConnection=True, blockTimeMS=2000)
    answer = boss.get(f"{ACCOUNTS}export/{kind}/?kind__exact=CUSTOMER")
    fail_command("find", times="off")

    assert (answer.status_code, answer["Location"]) == (302, ACCOUNTS)
    assert "too long" in said(boss.get(ACCOUNTS))


@pytest.mark.usefixtures("many")
def test_who_downloads_slowly_is_not_cut_off(monkeypatch):
    """No limit runs on while what was fetched is sent."""
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 5)
    rows = ledger_admin.in_time(ledger_admin.stream(Account.objects.order_by("pk")), 2)
    left = [_csot.remaining() for _ in rows]

    assert left == [None] * 12


@pytest.mark.parametrize("permissions", [(), ("accounts.view_account",), ("accounts.export_account",)])
def test_it_takes_both_permissions(new_user, new_account, permissions):
    new_account(new_user())
    client = browser(new_user(is_staff=True), *permissions)

    assert client.get(f"{ACCOUNTS}export/csv/").status_code == 403
    assert not AuditEntry.objects.exists()


def test_with_both_it_is_there(new_user, new_account):
    new_account(new_user())
    client = browser(new_user(is_staff=True), "accounts.view_account", "accounts.export_account")

    assert "export/csv/" in client.get(ACCOUNTS).content.decode()
    assert as_csv(client, ACCOUNTS)


def test_who_took_what_out_is_in_the_audit_log(new_user, new_account):
    user = new_user(is_staff=True, is_superuser=True)
    client = browser(user)
    as_csv(client, ACCOUNTS, "?status__exact=ACTIVE")
    as_xlsx(client, ACCOUNTS)

    first, second = AuditEntry.objects.order_by("pk")
    assert (first.actor, first.content_type.model, first.get_action_display()) == (user, "account", "access")
    assert (first.changes, second.changes) == (
        {"export": ["None", "csv: status__exact=ACTIVE"]},
        {"export": ["None", "xlsx: all"]},
    )
    assert "csv: status__exact=ACTIVE" in client.get("/admin/users/auditentry/").content.decode()


@pytest.mark.parametrize("address", [f"{ACCOUNTS}export/pdf/", f"{ACCOUNTS}export/csv/?status__regex=.*"])
def test_nonsense_is_no_error_of_ours(boss, address):
    assert boss.get(address).status_code in (302, 400, 404)


def test_a_visitor_and_a_customer_get_nothing(new_user, client):
    assert client.get(f"{ACCOUNTS}export/csv/").status_code == 302
    assert browser(new_user()).get(f"{ACCOUNTS}export/csv/").status_code == 302


def test_it_is_one_click_on_the_list(page, new_user, new_account):
    new_account(new_user(), funds=5)
    enter(page, new_user(is_staff=True, is_superuser=True))
    page.goto(f"{ACCOUNTS}?kind__exact=CUSTOMER")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()

    assert download.value.suggested_filename.startswith("account-")
    text = download.value.path().read_text("utf-8-sig")
    assert text.count("\n") == 2
    assert "EQUITY" not in text


def test_reading_changes_nothing(boss, new_user, new_account):
    new_account(new_user(), funds=5)
    before = [list(model.objects.values()) for model in (User, Account, Transaction, Entry)]
    for address in EXPORTED:
        as_csv(boss, address)
    assert [list(model.objects.values()) for model in (User, Account, Transaction, Entry)] == before
