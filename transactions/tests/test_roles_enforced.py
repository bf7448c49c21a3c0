"""The whole service under the roles of ADR 0015, on a mongod with authentication and TLS, and its attempts to cheat."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
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
from ledger_project.tests.test_openapi import operations
from transactions.roles import ROLES
from transactions.tests.secured import ADMINISTRATOR, DATABASE, SecuredMongo
from users.tests.processes import PROJECT, WEB, WORKER, running
from users.tests.waiting import wait_until

pytestmark = pytest.mark.slow

UNAUTHORIZED = 13
FAILED_VALIDATION = 121
PASSWORD = "a-long-passphrase"
SET_UP = """
from django.core.management import call_command
call_command("create_system_user", email="system@example.com")
call_command("create_staff_user", email="staff@example.com")
call_command("create_staff_user", email="checker@example.com")
call_command("seed_system_funds", amount="500", key="first", system_user="system@example.com")
"""
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

    def manage(self, user: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment(user),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def database(self, user: str) -> Database[dict[str, Any]]:
        return pymongo.MongoClient(self.server.uri_of(user))[DATABASE]

    def letters(self) -> list[str]:
        """What was mailed, as plain text."""
        files = sorted((self.directory / "mail").glob("*"))
        messages = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [message.get_body(("plain",)).get_content() for message in messages]

    def link_to(self, page: str) -> str:
        """The secret behind the link to `page` that was mailed, once it was."""
        found: list[str] = []
        wait_until(lambda: found.extend(re.findall(rf"/{page}/#(\S+)", "\n".join(self.letters()))) or found)
        return found[-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Roles made by the administrator, migrated by the migrator, set up by the application."""
    directory = tmp_path_factory.mktemp("secured")
    with SecuredMongo(directory) as server:
        made = World(server, directory)
        made.manage(ADMINISTRATOR, "create_database_roles")
        for role in ROLES:
            server.create_user(role, role)
        made.manage("ledger_migrator", "migrate", "--verbosity", "0")
        made.manage("ledger_application", "shell", "-c", SET_UP)
        yield made


@pytest.fixture(scope="module")
def application(world: World) -> Iterator[Database[dict[str, Any]]]:
    """What whoever has the application's password can do."""
    database = world.database("ledger_application")
    yield database
    database.client.close()


class Caller:
    """The API as one user calls it; `called` has what all of them did."""

    called: set[str] = set()

    def __init__(self, base: str) -> None:
        self.base = base
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, path: str, body: Any = None, *, expect: int = 200, **query: Any) -> Any:
        answer = requests.request(
            method, f"{self.base}/api/{path}", json=body, params=query, headers=self.headers, timeout=60
        )
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        self.called.add(f"{method} /api/{path.strip('/')}")
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
                return requests.get(f"{base}/readyz", timeout=10).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(answers, seconds=90)
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

    funds = {"toAccount": payer, "amount": 2000, "idempotencyKey": "f1"}
    system("POST", "transactions/system/initial-funds", funds, expect=201)
    system("POST", "transactions/system/initial-funds/batch", {"transfers": [funds | {"idempotencyKey": "f2"}]})
    made = asha("POST", "transactions/", transfer(100), expect=201)["transaction"]["_id"]
    asha("POST", "transactions/batch", {"transfers": [transfer(10), transfer(20)]})
    staff("POST", f"transactions/{made}/reverse", {"reason": "wrong payee"}, expect=201)
    large = asha("POST", "transactions/", transfer(1500), expect=201)["transaction"]["_id"]
    request = staff("POST", f"transactions/{large}/reverse", {"reason": "wrong payee"}, expect=202)["request"]["_id"]
    with admin(base, "checker@example.com") as act:
        act(f"transactions/approvalrequest/{request}/approve_this/")
    assert asha("GET", f"accounts/balance/{payer}")["balance"] == 3970
    for path in ("", f"{payer}", f"{payer}/entries", f"{payer}/statement", f"{payer}/history", f"{payer}/balance"):
        asha("GET", f"accounts/{path}")
    assert payer.encode() in asha("GET", f"accounts/{payer}/statement", format="csv")
    for path in ("transactions/", f"transactions/{made}", "auth/me", "schema", "docs"):
        asha("GET", path)
    _sessions_and_passwords(world, ben, "ben@example.com")
    ben("POST", "auth/logout")
    ben("GET", "auth/me", expect=401)

    with admin(base, "staff@example.com") as act:
        act(f"accounts/account/{payee}/freeze_this/")
    asha("POST", "transactions/", transfer(1), expect=400)

    wait_until(lambda: any("Asha" in letter for letter in world.letters()))
    world.manage("ledger_application", "shell", "-c", AUDIT)
    assert "The ledger is whole" in world.manage("ledger_application", "verify_ledger")
    assert "The ledger is whole" in world.manage("ledger_auditor", "verify_ledger")
    assert [f"{method} {path}" for method, path, _ in operations() if not _was_called(method, path)] == []


def _sessions_and_passwords(world: World, user: Caller, email: str) -> None:
    """All that a user does about being logged in; ends logged in, with the same password."""
    session = user("POST", "auth/login", {"email": email, "password": PASSWORD, "refresh": True})
    user("POST", "auth/refresh", {"refreshToken": session["refreshToken"]})
    (listed,) = user("GET", "auth/sessions")["sessions"]
    user("DELETE", f"auth/sessions/{listed['_id']}")
    user("DELETE", "auth/sessions")
    user("GET", "auth/me", expect=401)
    user.enter("login", 200, email=email)

    user("POST", "auth/verify-email/resend", {"email": email}, expect=202)
    user("POST", "auth/verify-email", {"token": world.link_to("verify-email")})
    user("POST", "auth/password", {"currentPassword": PASSWORD, "newPassword": "staple-wagon-71"})
    user("POST", "auth/password-reset", {"email": email}, expect=202)
    user("POST", "auth/password-reset/confirm", {"token": world.link_to("reset-password"), "newPassword": PASSWORD})
    user.enter("login", 200, email=email)


def _was_called(method: str, path: str) -> bool:
    """Whether anybody called the operation; pages and probes, which have no token, are looked at elsewhere."""
    pattern = re.compile(f"{method.upper()} {re.sub(r'{[^}]+}', '[^/ ]+', path.rstrip('/'))}")
    return not path.startswith("/api/") or any(map(pattern.fullmatch, Caller.called))


@contextmanager
def admin(base: str, email: str) -> Iterator[Callable[[str], None]]:
    """The admin as a member of staff uses it: all its pages, and the given actions."""
    with requests.Session() as browser:
        browser.get(f"{base}/admin/login/", timeout=60)
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        entered = browser.post(f"{base}/admin/login/?next=/admin/", form, headers={"Referer": base}, timeout=60)
        assert "Log in" not in entered.text
        for page in ADMIN_PAGES:
            assert browser.get(base + page, timeout=60).status_code == 200, page

        def act(action: str) -> None:
            said = {"reason": "a test", "_form_submitted": "True", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            assert browser.post(f"{base}/admin/{action}", said, headers={"Referer": base}, timeout=60).ok

        yield act


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


def test_the_application_may_end_a_transaction_of_its_own_that_failed(application: Database[dict[str, Any]]) -> None:
    held, other = ({"_id": ObjectId(), "created_at": datetime.now(UTC), "transactions": []} for _ in range(2))
    with application.client.start_session() as session:
        session.start_transaction()
        application["notices_due"].insert_one(held, session=session)
        application.client.admin.command("killSessions", [session.session_id])
        with pytest.raises(OperationFailure, match="has been aborted"):
            application["notices_due"].insert_one(other, session=session)
    assert application["notices_due"].find_one({"_id": held["_id"]}) is None


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
    application.transactions.update_one({"_id": row["_id"]}, {"$set": {"amount_minor": row["amount_minor"] + 1}})
    try:
        with pytest.raises(AssertionError, match="transaction_differs 2"):
            world.manage("ledger_auditor", "verify_ledger")
    finally:
        application.transactions.update_one({"_id": row["_id"]}, {"$set": {"amount_minor": row["amount_minor"]}})


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
    world.manage("ledger_backup", "export_ledger", file)
    with world.database(ADMINISTRATOR).client as client:
        client.drop_database(DATABASE)
    world.manage("ledger_migrator", "migrate", "--verbosity", "0")
    assert "the ledger is whole" in world.manage("ledger_migrator", "import_ledger", file)
    assert "The ledger is whole" in world.manage("ledger_application", "verify_ledger")
