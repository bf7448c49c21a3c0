"""No request does a collection scan: every endpoint runs under the profiler, among enough rows that a scan shows."""

from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest
from bson import ObjectId
from django.utils import timezone

from ledger_project.mongo import database
from ledger_project.tests.profiler import profiled, scans
from transactions import ledger, notices
from transactions.posting import Transfer
from users import api_sessions, links
from users.models import User
from users.tokens import issue_token

FILLER = 300


class World:
    """A user with an account, a few transfers, and everybody else's rows around them."""

    def __init__(self, new_user, new_account, client_of, system_user) -> None:
        self.user = new_user(email="payer@example.com", password="a-long-passphrase")
        self.account = new_account(self.user, funds=1000)
        self.other = new_account(new_user())
        self.transaction = [self._transfer() for _ in range(3)][-1]
        self.client = client_of(self.user)
        self.system = client_of(system_user)
        self.staff = client_of(new_user(is_staff=True, is_superuser=True))
        self.public = client_of()
        self._client_of = client_of
        self.session()
        self._fill()

    def as_stored(self) -> User:
        """The user, as requests have left it."""
        return User.objects.get(pk=self.user.pk)

    def session(self) -> api_sessions.Tokens:
        """A log-in that can be refreshed."""
        return api_sessions.begin(user=self.as_stored(), device=api_sessions.Device("", ""))

    def in_session(self):
        """A client with such a log-in."""
        client = self._client_of()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.session().access}")
        return client

    def _transfer(self) -> ObjectId:
        posted = ledger.post(
            Transfer(
                initiator=self.user.pk,
                from_account=self.account.pk,
                to_account=self.other.pk,
                amount=Decimal(1),
                idempotency_key=uuid4().hex,
            )
        )
        return posted.transaction.pk

    def _fill(self) -> None:
        """Copies of what is there, each somebody else's."""
        notices.write_due(limit=100)
        for name, fresh in {
            "users": lambda: {"email": f"{uuid4().hex}@example.com"},
            "accounts": lambda: {"user": ObjectId(), "kind": "CUSTOMER", "may_overdraw": False, "balance_minor": 0},
            "transactions": lambda: {"initiator": ObjectId(), "parties": [ObjectId() for _ in range(4)]},
            "entries": lambda: {"account": ObjectId()},
            "notifications": lambda: {"user": ObjectId()},
            "api_sessions": lambda: {"user": ObjectId()},
        }.items():
            row = database()[name].find_one()
            database()[name].insert_many([row | {"_id": ObjectId()} | fresh() for _ in range(FILLER)])
        database()["blacklisted_tokens"].insert_many(
            {"_id": uuid4().hex, "user": ObjectId(), "expires_at": timezone.now(), "created_at": timezone.now()}
            for _ in range(FILLER)
        )

    def register(self):
        return self.public.post(
            "/api/auth/register", {"name": "Ravi", "email": "ravi@example.com", "password": "a-long-passphrase"}
        )

    def log_in(self, **more):
        who = {"email": self.user.email, "password": "a-long-passphrase"}
        return self.public.post("/api/auth/login", who | more)

    def refresh(self, session):
        return self.public.post("/api/auth/refresh", {"refreshToken": session.refresh})

    def post_transfer(self, client=None):
        return (client or self.client).post(
            "/api/transactions",
            {
                "fromAccount": str(self.account.pk),
                "toAccount": str(self.other.pk),
                "amount": 1,
                "idempotencyKey": "one",
            },
        )

    def issue_funds(self):
        return self.system.post(
            "/api/transactions/system/initial-funds",
            {"toAccount": str(self.account.pk), "amount": 1, "idempotencyKey": "one"},
        )

    def list_transactions(self, **query):
        return self.client.get("/api/transactions", query)


@pytest.fixture
def world(new_user, new_account, client_of, system_user) -> World:
    return World(new_user, new_account, client_of, system_user)


REQUESTS: dict[str, Callable[[World], object]] = {  # in this order, on one world: who logs out comes last
    "register": World.register,
    "log in": World.log_in,
    "log in, unknown e-mail": lambda w: w.public.post(
        "/api/auth/login", {"email": "nobody@example.com", "password": "a-long-passphrase"}
    ),
    "log in, to refresh": lambda w: w.log_in(refresh=True),
    "refresh": lambda w: w.refresh(w.session()),
    "refresh, twice": lambda w: (w.refresh(session := w.session()), w.refresh(session))[1],
    "call in a session": lambda w: w.in_session().get("/api/auth/me"),
    "transfer in a session": lambda w: w.post_transfer(w.in_session()),
    "log out of a session": lambda w: w.in_session().post("/api/auth/logout"),
    "list sessions": lambda w: w.client.get("/api/auth/sessions"),
    "end a session": lambda w: w.client.delete(f"/api/auth/sessions/{ObjectId()}"),
    "ask for a new password": lambda w: w.public.post("/api/auth/password-reset", {"email": w.user.email}),
    "ask to verify": lambda w: w.public.post("/api/auth/verify-email/resend", {"email": w.user.email}),
    "verify": lambda w: w.public.post("/api/auth/verify-email", {"token": links.VERIFY_EMAIL.secret_of(w.user)}),
    "who am I": lambda w: w.client.get("/api/auth/me"),
    "open an account": lambda w: w.client.post("/api/accounts", {}),
    "list accounts": lambda w: w.client.get("/api/accounts"),
    "list accounts, next page": lambda w: w.client.get("/api/accounts", {"limit": 1, "cursor": str(ObjectId())}),
    "one account": lambda w: w.client.get(f"/api/accounts/{w.account.pk}"),
    "another's account": lambda w: w.client.get(f"/api/accounts/{w.other.pk}"),
    "balance": lambda w: w.client.get(f"/api/accounts/balance/{w.account.pk}"),
    "statement": lambda w: w.client.get(f"/api/accounts/{w.account.pk}/entries"),
    "statement, next page": lambda w: w.client.get(f"/api/accounts/{w.account.pk}/entries", {"cursor": 2, "limit": 1}),
    "transfer": World.post_transfer,
    "transfer, replayed": lambda w: (w.post_transfer(), w.post_transfer())[1],
    "transfer, unknown accounts": lambda w: w.client.post(
        "/api/transactions",
        {"fromAccount": str(ObjectId()), "toAccount": str(ObjectId()), "amount": 1, "idempotencyKey": "one"},
    ),
    "initial funds": World.issue_funds,
    "list transactions": World.list_transactions,
    "list transactions, next page": lambda w: w.list_transactions(cursor=str(w.transaction), limit=1),
    "list transactions, of an account": lambda w: w.list_transactions(account=str(w.account.pk)),
    "list transactions, by status": lambda w: w.list_transactions(status="REVERSED"),
    "list transactions, by time": lambda w: w.list_transactions(createdAfter="2020-01-01", createdBefore="2099-01-01"),
    "list transactions, by amount": lambda w: w.list_transactions(minAmount="0.5", maxAmount="10"),
    "list transactions, by everything": lambda w: w.list_transactions(
        account=str(w.account.pk),
        status="COMPLETED",
        createdAfter="2020-01-01",
        createdBefore="2099-01-01",
        minAmount="1",
        maxAmount="1",
        cursor="f" * 24,
    ),
    "one transaction": lambda w: w.client.get(f"/api/transactions/{w.transaction}"),
    "reverse": lambda w: w.staff.post(f"/api/transactions/{w.transaction}/reverse", {"reason": "wrong"}),
    "reverse, unknown transaction": lambda w: w.staff.post(
        f"/api/transactions/{ObjectId()}/reverse", {"reason": "wrong"}
    ),
    "unknown transaction": lambda w: w.client.get(f"/api/transactions/{ObjectId()}"),
    "liveness": lambda w: w.public.get("/healthz"),
    "schema": lambda w: w.public.get("/api/schema"),
    "the admin's door": lambda w: w.public.get("/admin/login/"),
    "log out": lambda w: w.client.post("/api/auth/logout"),
    "end all sessions": lambda w: w.in_session().delete("/api/auth/sessions"),
    "change the password": lambda w: w.in_session().post(
        "/api/auth/password", {"currentPassword": "a-long-passphrase", "newPassword": "another-passphrase"}
    ),
    "set a new password": lambda w: w.public.post(
        "/api/auth/password-reset/confirm",
        {"token": links.RESET_PASSWORD.secret_of(w.as_stored()), "newPassword": "a-third-passphrase"},
    ),
}
UNAUTHORISED = {"log in, unknown e-mail", "refresh, twice"}


def test_no_request_scans_a_collection(world):
    for name, ask in REQUESTS.items():
        with profiled() as commands:
            response = ask(world)

        assert response.status_code < 500, name
        assert (response.status_code == 401) == (name in UNAUTHORISED), name
        assert scans(commands, rows=FILLER) == [], name


def test_readiness_scans_nothing_but_the_few_rows_of_the_migrations(world):
    with profiled() as commands:
        world.public.get("/readyz")

    assert {scan.split(".")[-1] for scan in scans(commands, rows=FILLER)} <= {"django_migrations"}


@pytest.mark.parametrize(
    ("collection", "index", "request_name"),
    [
        pytest.param("users", "users_email", "log in", marks=pytest.mark.slow),
        pytest.param("accounts", "of_user", "list accounts", marks=pytest.mark.slow),
        ("transactions", "parties", "list transactions"),
        ("transactions", "one_per_key", "transfer"),  # inside a $lookup
        pytest.param("entries", "one_per_sequence", "statement", marks=pytest.mark.slow),
    ],
)
def test_a_dropped_index_is_noticed(world, collection, index, request_name):
    specification = database()[collection].index_information()[index]
    keys = specification.pop("key")
    specification.pop("v")
    database()[collection].drop_index(index)
    try:
        with profiled() as commands:
            REQUESTS[request_name](world)
    finally:
        database()[collection].create_index(keys, name=index, **specification)

    assert scans(commands, rows=FILLER)


def test_authentication_is_one_command(world):
    with profiled() as commands:
        assert world.client.get("/api/auth/me").status_code == 200

    assert [command["op"] for command in commands] == ["command"]
    assert "aggregate" in commands[0]["command"]


def test_a_token_that_was_logged_out_costs_one_command_too(world):
    world.client.post("/api/auth/logout")

    with profiled() as commands:
        assert world.client.get("/api/auth/me").status_code == 401

    assert len(commands) == 1


def test_a_balance_costs_the_same_after_many_entries(new_user, new_account, client_of):
    """Two commands, the caller and the account: nothing is summed over entries."""
    user = new_user()
    account = new_account(user)
    client = client_of(user)
    client.get(f"/api/accounts/balance/{account.pk}")

    with profiled() as commands:
        client.get(f"/api/accounts/balance/{account.pk}")

    assert len(commands) == 2
    assert {command["docsExamined"] for command in commands} == {1}


def test_issuing_a_token_asks_nothing(world):
    with profiled() as commands:
        issue_token(world.user)

    assert commands == []
