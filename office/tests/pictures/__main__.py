"""The README's pictures, by one command: `make screenshots`.

    python -m office.tests.pictures [NAME...]

Starts servers of its own, fills a ledger with a month of a small bank's life, and takes each page of PAGES in the
system's Chromium (CHROMIUM names another); then the public page and the console. To add a picture of the admin, add a
line to PAGES.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

from ledger_project.embedded import Mongo, Redis
from ledger_project.tests.browser import chromium_path
from office.tests.pictures.public import take_pictures

if TYPE_CHECKING:
    from office.tests.pictures.demo import Demo
    from users.models import User

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "screenshots"
WIDTH, HEIGHT = 1440, 1080
COLOURS = 128  # of a palette, enough for pages like these, and a third of the bytes


@dataclass(frozen=True, slots=True)
class Shot:
    """A page, and for which of its visitors it is taken; None for anybody."""

    path: "Callable[[Demo], str]"
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
        from office.tests.pictures.demo import filled

        demo = filled()
        with served() as site:
            take(site, demo, {name: PAGES[name] for name in names or PAGES})
            if not names:
                take_public(site)


def take(site: str, demo: "Demo", shots: dict[str, Shot]) -> None:
    """Write a picture of each of `shots` into FOLDER."""
    from django.test import Client

    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        for picture in take_pictures(browser.new_page(base_url=site), FOLDER):
            _shrink(picture)
            print(picture)  # noqa: T201


def _shrink(picture: Path) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1:])
