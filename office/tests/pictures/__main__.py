"""The README's pictures, by one command: `make screenshots`.

    python -m office.screenshots [NAME...]

Starts servers of its own, fills a ledger with a month of a small bank's life, and takes each page of PAGES in the
system's Chromium (CHROMIUM names another); then the public page and the console. To add a picture of the admin, add a
line to PAGES.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ledger_project.embedded import Mongo, Redis

if TYPE_CHECKING:
    from accounts.models import Account
    from users.models import User

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
WIDTH, HEIGHT = 1440, 1080
DAYS = 30
PEOPLE = ("Asha Rao", "Ben Okafor", "Carla Mendes", "Devi Nair", "Emre Kaya", "Fatima Zahra", "Goran Ilic", "Hana Sato")
COLOURS = 128  # of a palette, enough for pages like these, and a third of the bytes


@dataclass(frozen=True, slots=True)
class Demo:
    """What the pages are taken of."""

    staff: "User"
    customers: "list[User]"
    accounts: "list[Account]"


@dataclass(frozen=True, slots=True)
class Shot:
    """A page, and for which of its visitors it is taken; None for anybody."""

    path: Callable[[Demo], str]
    visitor: "Callable[[Demo], User] | None" = None


PAGES: dict[str, Shot] = {
    "dashboard": Shot(lambda demo: "/admin/?period=30", lambda demo: demo.staff),
    "account": Shot(lambda demo: f"/admin/accounts/account/{demo.accounts[0].pk}/change/", lambda demo: demo.staff),
}


def main(names: list[str]) -> None:
    """Take the pictures called `names`, or all."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-pictures-")))
        os.environ |= {
            "MONGODB_URI": stack.enter_context(Mongo(directory)).uri,
            "REDIS_URL": stack.enter_context(Redis(directory)).url,
            "LEDGER_DATA_DIR": str(directory),
            "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "ledger_project.settings.local",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright runs an event loop in this thread
        }
        import django

        django.setup()
        demo = filled()
        with served() as site:
            take(site, demo, {name: PAGES[name] for name in names or PAGES})
            if not names:
                take_public(site)


def take(site: str, demo: Demo, shots: dict[str, Shot]) -> None:
    """Write a picture of each of `shots` into FOLDER."""
    from django.test import Client
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for name, shot in shots.items():
            context = browser.new_context(base_url=site, viewport={"width": WIDTH, "height": HEIGHT})
            if shot.visitor:
                client = Client()
                client.force_login(shot.visitor(demo))
                session = client.cookies["sessionid"].value
                context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
            page = context.new_page()
            page.goto(shot.path(demo), wait_until="networkidle")
            page.screenshot(path=FOLDER / f"{name}.png")
            _shrink(FOLDER / f"{name}.png")
            print(FOLDER / f"{name}.png")  # noqa: T201
            context.close()


def take_public(site: str) -> None:
    """Write the pictures of the page and the console into FOLDER."""
    from playwright.sync_api import sync_playwright

    from ledger_project.tests.pictures import take_pictures

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for picture in take_pictures(browser.new_page(base_url=site), FOLDER):
            _shrink(picture)
            print(picture)  # noqa: T201


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def _shrink(picture: Path) -> None:
    from PIL import Image

    with Image.open(picture) as image:
        smaller = image.convert("RGB").quantize(COLOURS)
    smaller.save(picture, optimize=True)


@contextmanager
def served() -> Iterator[str]:
    """The service in threads of this process; its address."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler, ipv6=False)
    server.set_app(get_wsgi_application())
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def filled() -> Demo:
    """A ledger with a month behind it, rolled up and verified; today's part posted by the engine itself."""
    from django.conf import settings
    from django.core.management import call_command

    from office import rollups
    from transactions import notices
    from transactions.meters import meters
    from transactions.verification import verify
    from users.models import User

    call_command("migrate", verbosity=0)
    demo = _people(User.objects.create_superuser(email="staff@ledger.local", name="Staff", password=None))
    _month(demo)
    _today(demo)
    notices.write_due(limit=20)
    meters.flush()
    verify()
    rollups.count_heads()
    lag = timedelta(seconds=settings.ROLL_UP_LAG_SECONDS + 2)
    rollups.roll_up_movements(seconds=60, now=datetime.now(UTC) + lag)
    return demo


def _people(staff: "User") -> Demo:
    from accounts.models import Account
    from accounts.opening import open_account, set_status
    from ledger_project.mongo import database
    from users.models import User

    customers = [
        User.objects.create_user(email=f"{name.split()[0].lower()}@example.com", name=name, password=None)
        for name in PEOPLE
    ]
    accounts = [open_account(user_id=user.pk, name="Savings") for user in customers]
    opened_at = datetime.now(UTC) - timedelta(days=DAYS)
    database()["accounts"].update_many({}, {"$set": {"created_at": opened_at}})
    set_status(account_id=open_account(user_id=customers[-1].pk, name="Old").pk, status=Account.Status.CLOSED)
    set_status(account_id=open_account(user_id=customers[-2].pk, name="Travel").pk, status=Account.Status.FROZEN)
    return Demo(staff, customers, accounts)


def _month(demo: Demo) -> None:
    """Funds on the first day, then payments to and fro, more from week to week; decided by the ledger's rules."""
    from accounts.models import Account
    from accounts.opening import ensure_system_account
    from ledger_project.mongo import database
    from transactions.management.commands.create_system_user import DEFAULT_EMAIL, ensure_system_user
    from transactions.posting import AccountState, Books, Order, Posting, Transfer, carry_out

    chance = random.Random(7)  # noqa: S311  (the same month every time; no secret)
    system, _ = ensure_system_user(email=DEFAULT_EMAIL)
    ensure_system_account(user_id=system.pk, currency="INR", kind=Account.Kind.EQUITY)
    rows = ((row, row["_id"]) for row in database()["accounts"].find())
    states = {key: AccountState(key, *(row[name] for name in AccountState._fields[1:])) for row, key in rows}
    books = Books(states)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    for day in range(DAYS):
        moment = start + timedelta(days=day)
        transfers = [
            Transfer(system.pk, None, account.pk, Decimal(chance.randint(20, 90) * 1000), f"funds-{day}-{account.pk}")
            for account in (demo.accounts if day == 0 else chance.sample(demo.accounts, 1))
        ]
        for number in range(chance.randint(20, 40) + 2 * day):
            payer, payee = chance.sample(demo.accounts, 2)
            amount = Decimal(chance.randint(50, 60_000)) / 10
            transfers.append(Transfer(payer.user.pk, payer.pk, payee.pk, amount, f"{day}-{number}"))
        decisions, books = carry_out(Order(tuple(transfers)), books, moment)
        postings = [decision for decision in decisions if isinstance(decision, Posting)]
        database()["transactions"].insert_many([posting.transaction for posting in postings])
        database()["entries"].insert_many([entry for posting in postings for entry in posting.entries])
    for account in books.accounts.values():
        told = {"balance_minor": account.balance_minor, "sequence": account.sequence, "chain_head": account.chain_head}
        database()["accounts"].update_one({"_id": account.id}, {"$set": told})


def _today(demo: Demo) -> None:
    """What the engine itself posts and refuses: its figures are measured."""
    from accounts.models import Account
    from transactions import ledger
    from transactions.posting import Transfer

    chance = random.Random(8)  # noqa: S311  (as above)
    closed = Account.objects.get(status=Account.Status.CLOSED)

    def transfers(count: int, amount: Callable[[], Decimal], payee: Any = None) -> None:
        for number in range(count):
            one, other = chance.sample(demo.accounts, 2)
            key = f"today-{amount}-{number}-{chance.random()}"
            ledger.post_together([Transfer(one.user.pk, one.pk, (payee or other).pk, amount(), key)])

    transfers(40, lambda: Decimal(chance.randint(50, 900)))
    transfers(9, lambda: Decimal(10**9))
    transfers(3, lambda: Decimal(5), payee=closed)
    one, two = demo.accounts[:2]
    ledger.post_together([Transfer(one.user.pk, one.pk, two.pk, Decimal(1), f"batch-{n}") for n in range(25)])


if __name__ == "__main__":
    main(sys.argv[1:])
