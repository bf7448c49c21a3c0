"""The whole service under the roles of ADR 0015, on a mongod with authentication and TLS, and its attempts to cheat."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
import requests
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ledger_project.embedded import free_port
from transactions.roles import ROLES
from transactions.tests.secured import ADMINISTRATOR, DATABASE, SecuredMongo
from users.tests.processes import WEB, WORKER, Operator, running
from users.tests.waiting import wait_until

pytestmark = pytest.mark.slow

UNAUTHORIZED = 13
FAILED_VALIDATION = 121
PASSWORD = "a-long-passphrase"
MIGRATE = ("migrate", "--verbosity", "0")
VERIFY = ("verify_ledger",)
SET_UP = (
    ("create_system_user", "--email", "system@example.com"),
    ("create_staff_user", "--email", "staff@example.com"),
    ("seed_system_funds", "--amount", "500", "--key", "first", "--system-user", "system@example.com"),
)
AUDIT = """
from transactions import anchors, continuous_audit
assert continuous_audit.audit_slice().found == []
anchors.take_daily()
"""
ADMIN_PAGES = (
    "/admin/",
    "/admin/accounts/account/",
    "/admin/transactions/transaction/",
    "/admin/transactions/entry/",
    "/admin/transactions/approvalrequest/",
    "/admin/users/user/",
    "/admin/users/auditentry/",
    "/admin/users/notification/",
    "/admin/office/verification/",
    "/admin/transactions/ledgerfinding/",
    "/admin/transactions/anchor/",
)


@dataclass
class World:
    """The server, the environment of each role's processes, and where e-mail ends up."""

    server: SecuredMongo
    directory: Path

    def environment(self, user: str) -> dict[str, str]:
        return {
            **os.environ,
            "MONGODB_URI": self.server.uri_of(user),
            "MONGODB_DATABASE": DATABASE,
            "LEDGER_DATA_DIR": str(self.directory),
            "SYSTEM_USER_PASSWORD": PASSWORD,
            "STAFF_PASSWORD": PASSWORD,
        }

    def manage(self, user: str, *commands: tuple[str, ...]) -> list[str]:
        """What the commands print, one after the other."""
        with Operator(self.environment(user)) as operator:
            done = [operator(*command) for command in commands]
        assert [each.error for each in done] == [""] * len(commands)
        return [each.printed for each in done]

    def database(self, user: str) -> Database[dict[str, Any]]:
        return pymongo.MongoClient(self.server.uri_of(user))[DATABASE]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Roles made by the administrator, migrated by the migrator, set up by the application."""
    directory = tmp_path_factory.mktemp("secured")
    with SecuredMongo(directory) as server:
        made = World(server, directory)
        made.manage(ADMINISTRATOR, ("create_database_roles",))
        for role in ROLES:
            server.create_user(role, role)
        made.manage("ledger_migrator", MIGRATE)
        made.manage("ledger_application", *SET_UP)
        yield made


@pytest.fixture(scope="module")
def application(world: World) -> Iterator[Database[dict[str, Any]]]:
    """What whoever has the application's password can do."""
    database = world.database("ledger_application")
    yield database
    database.client.close()


class Caller:
    """The API as one user calls it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, path: str, body: Any = None, *, expect: int = 200, **query: Any) -> Any:
        answer = requests.request(
            method, f"{self.base}/api/{path}", json=body, params=query, headers=self.headers, timeout=60
        )
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if "json" in answer.headers["Content-Type"] else answer.content

    def enter(self, path: str, expect: int, **who: str) -> "Caller":
        token = self("POST", f"auth/{path}", who | {"password": PASSWORD}, expect=expect)["token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        return self


@pytest.fixture
def base(world: World) -> Iterator[str]:
    """A web server and a worker as the application."""
    port = free_port()
    with ExitStack() as stack:
        env = world.environment("ledger_application")
        stack.enter_context(running(*WEB, str(port), log=world.directory / "web.log", env=env))
        stack.enter_context(running(*WORKER, log=world.directory / "worker.log", env=env))
        base = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return requests.get(f"{base}/readyz", timeout=60).status_code == 200
            except requests.RequestException:
                return False

        wait_until(answers, seconds=300)
        yield base


def test_the_whole_service_works_under_the_application_s_role(world: World, base: str) -> None:
    asha = Caller(base).enter("register", 201, email="asha@example.com", name="Asha")
    ben = Caller(base).enter("register", 201, email="ben@example.com", name="Ben")
    system = Caller(base).enter("login", 200, email="system@example.com")
    staff = Caller(base).enter("login", 200, email="staff@example.com")
    payer = asha("POST", "accounts/", {}, expect=201)["account"]["_id"]
    payee = ben("POST", "accounts/", {}, expect=201)["account"]["_id"]

    def transfer(amount: int) -> dict[str, Any]:
        return {"fromAccount": payer, "toAccount": payee, "amount": amount, "idempotencyKey": uuid4().hex}

    funds = {"toAccount": payer, "amount": 500, "idempotencyKey": "f1"}
    system("POST", "transactions/system/initial-funds", funds, expect=201)
    system("POST", "transactions/system/initial-funds/batch", {"transfers": [funds | {"idempotencyKey": "f2"}]})
    made = asha("POST", "transactions/", transfer(100), expect=201)["transaction"]["_id"]
    asha("POST", "transactions/batch", {"transfers": [transfer(10), transfer(20)]})
    staff("POST", f"transactions/{made}/reverse", {"reason": "wrong payee"}, expect=201)
    assert asha("GET", f"accounts/balance/{payer}")["balance"] == 970
    for path in ("", f"{payer}", f"{payer}/entries", f"{payer}/statement", f"{payer}/history", f"{payer}/balance"):
        asha("GET", f"accounts/{path}")
    assert payer.encode() in asha("GET", f"accounts/{payer}/statement", format="csv")
    for path in ("transactions/", f"transactions/{made}", "auth/me", "schema"):
        asha("GET", path)
    ben("POST", "auth/logout")
    ben("GET", "auth/me", expect=401)

    _staff_look_and_freeze(base, payee)
    asha("POST", "transactions/", transfer(1), expect=400)

    mail = world.directory / "mail"
    wait_until(lambda: any("Asha" in file.read_text() for file in mail.glob("*")), seconds=60)
    _, verified = world.manage("ledger_application", ("shell", "-c", AUDIT), VERIFY)
    assert "The ledger is whole" in verified


def _staff_look_and_freeze(base: str, account: str) -> None:
    with requests.Session() as browser:
        browser.get(f"{base}/admin/login/", timeout=60)
        form = {
            "username": "staff@example.com",
            "password": PASSWORD,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        entered = browser.post(f"{base}/admin/login/?next=/admin/", form, headers={"Referer": base}, timeout=60)
        assert "Log in" not in entered.text
        for page in ADMIN_PAGES:
            assert browser.get(base + page, timeout=60).status_code == 200, page
        reason = {"reason": "a test", "_form_submitted": "True", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        address = f"{base}/admin/accounts/account/{account}/freeze_this/"
        assert browser.post(address, reason, headers={"Referer": base}, timeout=60).ok


CHEATS: dict[str, Callable[[Database[dict[str, Any]]], object]] = {
    "change an entry": lambda db: db.entries.update_one({}, {"$set": {"amount_minor": 1}}),
    "change an entry by its aggregation": lambda db: db.entries.update_many({}, [{"$set": {"amount_minor": 1}}]),
    "replace an entry": lambda db: db.entries.replace_one({}, {"amount_minor": 1}),
    "upsert an entry": lambda db: db.entries.update_one({"_id": 1}, {"$set": {"amount_minor": 1}}, upsert=True),
    "find and change an entry": lambda db: db.entries.find_one_and_update({}, {"$set": {"amount_minor": 1}}),
    "delete an entry": lambda db: db.entries.delete_one({}),
    "find and delete an entry": lambda db: db.entries.find_one_and_delete({}),
    "drop the entries": lambda db: db.drop_collection("entries"),
    "rename the entries": lambda db: db.entries.rename("old_entries"),
    "weaken the entries' validator": lambda db: db.command("collMod", "entries", validationLevel="off"),
    "drop the entries' indexes": lambda db: db.entries.drop_indexes(),
    "merge into the entries": lambda db: db.accounts.aggregate([{"$merge": {"into": "entries"}}]),
    "write out over the entries": lambda db: db.accounts.aggregate([{"$out": "entries"}]),
    "delete a transaction": lambda db: db.transactions.delete_one({}),
    "drop the transactions": lambda db: db.drop_collection("transactions"),
    "weaken the transactions' validator": lambda db: db.command("collMod", "transactions", validator={}),
    "bypass the transactions' validator": lambda db: db.transactions.update_one(
        {}, {"$set": {"amount_minor": -1}}, bypass_document_validation=True
    ),
    "bypass the accounts' validator": lambda db: db.accounts.update_one(
        {"kind": "CUSTOMER"}, {"$set": {"balance_minor": -1}}, bypass_document_validation=True
    ),
    "bypass the entries' validator": lambda db: db.entries.insert_one({}, bypass_document_validation=True),
    "delete an account": lambda db: db.accounts.delete_many({}),
    "change the audit log": lambda db: db.audit_log.update_many({}, {"$set": {"reason": "none"}}),
    "delete from the audit log": lambda db: db.audit_log.delete_many({}),
    "change an anchor": lambda db: db.anchors.update_many({}, {"$set": {"hash": ""}}),
    "delete the anchors": lambda db: db.anchors.delete_many({}),
    "forget a finding": lambda db: db.findings.delete_many({}),
    "delete an approval": lambda db: db.approval_requests.delete_many({}),
    "apply an oplog of its own": lambda db: db.client.admin.command("applyOps", []),
    "grant itself a role": lambda db: db.command("grantRolesToUser", "ledger_application", roles=["dbOwner"]),
    "widen its role": lambda db: db.command("updateRole", "ledger_application", privileges=[]),
    "make a view over the entries": lambda db: db.create_collection("view", viewOn="entries", pipeline=[]),
    "drop the database": lambda db: db.client.drop_database(DATABASE),
    "read another database": lambda db: db.client["admin"]["system.users"].find_one(),
    "switch the server off": lambda db: db.client.admin.command("shutdown"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_the_application_cannot(application: Database[dict[str, Any]], cheat: str) -> None:
    with pytest.raises(OperationFailure) as refused:
        CHEATS[cheat](application)
    assert refused.value.code == UNAUTHORIZED


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"amount_minor": 0}},
        {"$set": {"status": "REVERSED"}},
        {"$set": {"reverses": ObjectId()}},
        {"$unset": {"debit_entry": 1}},
    ],
)
def test_of_a_transaction_the_validator_refuses_what_is_wrong_in_itself(application: Any, change: Any) -> None:
    with pytest.raises(OperationFailure) as refused:
        application.transactions.update_one({"kind": "INITIAL_FUNDS"}, change)
    assert refused.value.code == FAILED_VALIDATION


def test_a_change_of_a_transaction_that_no_role_can_refuse_is_found(world: World, application: Any) -> None:
    """The roles' limit (ADR 0015): they know no fields. The entries, which nobody changes, know better."""
    row = application.transactions.find_one({"kind": "INITIAL_FUNDS"})

    def change(amount_minor: int) -> None:
        application.transactions.update_one({"_id": row["_id"]}, {"$set": {"amount_minor": amount_minor}})

    with Operator(world.environment("ledger_auditor")) as auditor:
        assert "The ledger is whole" in auditor(*VERIFY).printed
        change(row["amount_minor"] + 1)
        try:
            assert "transaction_differs 2" in auditor(*VERIFY).error
        finally:
            change(row["amount_minor"])


@pytest.mark.parametrize("role", ["ledger_auditor", "ledger_backup"])
@pytest.mark.parametrize("collection", ["entries", "accounts", "users", "audit_log"])
def test_auditor_and_backup_write_nothing(world: World, role: str, collection: str) -> None:
    database = world.database(role)
    with database.client:
        for write in (
            lambda c: c.insert_one({}),
            lambda c: c.delete_many({}),
            lambda c: c.update_many({}, {"$set": {}}),
        ):
            with pytest.raises(OperationFailure) as refused:
                write(database[collection])
            assert refused.value.code == UNAUTHORIZED


@pytest.mark.parametrize("collection", ["users", "sessions", "otp_totp_totpdevice", "blacklisted_tokens"])
def test_the_auditor_reads_no_secrets(world: World, collection: str) -> None:
    database = world.database("ledger_auditor")
    with database.client, pytest.raises(OperationFailure) as refused:
        database[collection].find_one()
    assert refused.value.code == UNAUTHORIZED


@pytest.mark.parametrize("cheat", ["change an entry", "delete an entry", "drop the entries", "delete a transaction"])
def test_the_migrator_cannot(world: World, cheat: str) -> None:
    database = world.database("ledger_migrator")
    with database.client, pytest.raises(OperationFailure) as refused:
        CHEATS[cheat](database)
    assert refused.value.code == UNAUTHORIZED


def test_without_tls_or_a_password_nobody_is_let_in(world: World) -> None:
    port, options = world.server.port, {"directConnection": True, "serverSelectionTimeoutMS": 500}
    with pymongo.MongoClient("127.0.0.1", port, **options) as plain, pytest.raises(pymongo.errors.PyMongoError):
        plain.admin.command("ping")
    certificate = str(world.server.certificate)
    with pymongo.MongoClient("127.0.0.1", port, tls=True, tlsCAFile=certificate, **options) as nobody:
        with pytest.raises(OperationFailure) as refused:
            nobody[DATABASE].entries.find_one()
        assert refused.value.code == UNAUTHORIZED


def test_what_the_backup_exports_the_migrator_imports(world: World) -> None:
    file = str(world.directory / "export.gz")
    world.manage("ledger_backup", ("export_ledger", file))
    with world.database(ADMINISTRATOR).client as client:
        client.drop_database(DATABASE)
    _, imported = world.manage("ledger_migrator", MIGRATE, ("import_ledger", file))
    assert "the ledger is whole" in imported
    (verified,) = world.manage("ledger_application", VERIFY)
    assert "The ledger is whole" in verified
