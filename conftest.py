"""What every test stands on: a real MongoDB replica set and a real Redis; a database a worker, cleared after each."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import pytest

from ledger_project.embedded import Mongo, Redis

pytest_plugins = ["ledger_project.tests.browser"]

# Modules that one worker runs: their tests share a server, or would wait for each other at MongoDB's one fail point.
TOGETHER = {
    "users/tests/test_delivery.py": "house",
    "transactions/tests/test_roles_enforced.py": "roles",
    "ledger_project/tests/test_mongo.py": "fail point",
    "transactions/tests/test_concurrency.py": "fail point",
    "transactions/tests/test_faults.py": "fail point",
    "transactions/tests/test_reverse_concurrency.py": "fail point",
}

_servers = ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that starts the workers; they find them in the environment.

    Only then are Django's settings named, for they read where the servers are.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        directory = Path(_servers.enter_context(tempfile.TemporaryDirectory(prefix="ledger-test-")))
        os.environ["MONGODB_URI"] = _servers.enter_context(Mongo(directory, test=True)).uri
        os.environ["REDIS_URL"] = _servers.enter_context(Redis(directory)).url
        os.environ["LEDGER_TEST_DIR"] = str(directory)
    os.environ["DJANGO_SETTINGS_MODULE"] = "ledger_project.settings.test"
    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop them, after the last worker."""
    _servers.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that no worker is left with one while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker that is free the next test, or the whole group of a test that TOGETHER names."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER.get(nodeid.partition("::")[0], nodeid)

    config.option.loadscopereorder = False  # they have their order
    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _migrated(django_db_blocker: Any) -> Iterator[None]:
    """This worker's database, migrated, and open to every test."""
    from django.core.management import call_command

    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        _clear()
        yield


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Leave no document behind. Django's own way, to flush every collection, is far slower."""
    yield
    _clear()


def _clear() -> None:
    """Empty what is not empty: to ask which collections are not, all at once, costs less than to delete in each."""
    from pymongo import WriteConcern

    from ledger_project import health
    from ledger_project.mongo import database

    keep = {"django_migrations", "django_content_type", "auth_permission"}
    names = database().list_collection_names(filter={"type": "collection"})
    written = [name for name in names if name not in keep and not name.startswith("system.")]
    looks = [
        {"$unionWith": {"coll": name, "pipeline": [{"$limit": 1}, {"$replaceWith": {"name": name}}]}}
        for name in written
    ]
    for row in database().aggregate([{"$documents": []}, *looks]):
        database()[row["name"]].with_options(write_concern=WriteConcern(1)).delete_many({})
    database()["cleared"].delete_many({})  # returns once a majority has what went before, too
    for key in _redis().scan_iter("throttle:*", count=1000):
        _redis().delete(key)
    health.latest = health.Latest()


@cache
def _redis() -> Any:
    """This worker's database of Redis, wherever a test has the service look for it."""
    from django.conf import settings
    from redis import Redis

    return Redis.from_url(settings.REDIS_URL)


@pytest.fixture
def new_user() -> Callable[..., Any]:
    """Make a user: `new_user()`, `new_user(is_staff=True)`."""
    from users.models import User

    def make(*, name: str = "Asha", password: str | None = None, email: str | None = None, **fields: Any) -> User:
        return User.objects.create_user(
            email=email or f"{uuid4().hex}@example.com", name=name, password=password, **fields
        )

    return make


@pytest.fixture
def system_user(new_user: Callable[..., Any]) -> Any:
    """A system user with an equity account in INR."""
    from accounts.models import Account
    from accounts.opening import ensure_system_account

    user = new_user(name="System", is_system=True)
    ensure_system_account(user_id=user.pk, currency="INR", kind=Account.Kind.EQUITY)
    return user


@pytest.fixture
def new_account(system_user: Any) -> Callable[..., Any]:
    """Open an account, with money in it: `new_account(user)`, `new_account(user, funds=500)`."""
    from accounts.models import Account
    from accounts.opening import ensure_system_account, open_account
    from transactions import ledger
    from transactions.posting import Transfer

    def make(user: Any, *, funds: int | str = 0, currency: str = "INR", **fields: Any) -> Account:
        account = open_account(user_id=user.pk, currency=currency, **fields)
        if funds:
            ensure_system_account(user_id=system_user.pk, currency=currency, kind=Account.Kind.EQUITY)
            ledger.post(
                Transfer(
                    initiator=system_user.pk,
                    from_account=None,
                    to_account=account.pk,
                    amount=Decimal(funds),
                    idempotency_key=uuid4().hex,
                )
            )
            account.refresh_from_db()
        return account

    return make


@pytest.fixture
def client_of() -> Callable[..., Any]:
    """An API client that carries a token of the user: `client_of(user).get("/api/accounts/")`; without a user, none."""
    from rest_framework.test import APIClient

    from users.tokens import issue_token

    def make(user: Any = None) -> APIClient:
        client = APIClient(raise_request_exception=False)
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_token(user)}")
        return client

    return make


@pytest.fixture
def fail_command() -> Iterator[Callable[..., None]]:
    """Make MongoDB fail: `fail_command("commitTransaction", times=2, closeConnection=True)`, `…, errorCode=112)`.

    Only commands of this worker's client are hit. The server has one such fail point, so tests that use it take turns.
    """
    import fcntl

    from django.conf import settings
    from pymongo import MongoClient

    app_name = settings.DATABASES["default"]["OPTIONS"]["appname"]
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"], appname="ledger-faults")
    with client, ExitStack() as stack:
        turn = stack.enter_context((Path(os.environ["LEDGER_TEST_DIR"]) / "fail-point").open("w"))
        fcntl.flock(turn, fcntl.LOCK_EX)

        def arm(*commands: str, times: int | str | dict[str, int] = 1, **fault: Any) -> None:
            mode = {"times": times} if isinstance(times, int) else times
            client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode=mode,
                data={"failCommands": list(commands), "appName": app_name, **fault},
            )

        stack.callback(lambda: client.admin.command("configureFailPoint", "failCommand", mode="off"))
        yield arm
