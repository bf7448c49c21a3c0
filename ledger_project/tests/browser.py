"""A page in a real browser, on a web server over this worker's database: the fixtures `page`, `site` and `chromium`.

The browser is the system's Chromium (CHROMIUM names another). Where there is none, the tests that ask for it are
skipped, unless BROWSER_TESTS=required, as in CI.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections
from playwright.sync_api import Browser, Page, Playwright, Request, Response, expect, sync_playwright

DESKTOP = {"width": 1440, "height": 900}
PATIENCE_MILLISECONDS = 30_000  # for a page that changes; no test is about how soon
PHONE = {"width": 390, "height": 844}


def chromium_path() -> str | None:
    """The program of the system's browser, or the one that CHROMIUM names."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


class _Server(ThreadedWSGIServer):
    """Waits for its requests before it ends: none may write into the database of the test that follows."""

    daemon_threads = False


class _Handler(WSGIRequestHandler):
    """One request a connection, so that no idle connection keeps its thread."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *args: Any) -> None:
        """Say nothing: the service writes its own line."""


@pytest.fixture
def site() -> Iterator[str]:
    """The address of the whole service, on a port of its own, in threads of this process."""
    server: WSGIServer = _Server(("127.0.0.1", 0), _Handler, ipv6=False)
    server.set_app(get_wsgi_application())
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Driver:
    """Playwright, whose event loop is seen in this thread only while a page is open.

    It runs for as long as the worker. In its sight Django asks no database, and nobody else can run a loop.
    """

    def __init__(self, playwright: Playwright) -> None:
        self.chromium = playwright.chromium
        self._loop = asyncio.events._get_running_loop()
        asyncio.events._set_running_loop(None)

    @contextmanager
    def in_sight(self) -> Iterator[None]:
        """Around whatever speaks with the browser."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
            asyncio.events._set_running_loop(self._loop)
            # In a loop's sight Django keeps a connection of its own; the client that it had may be closed by now.
            with suppress(AttributeError):
                del connections["default"]
            try:
                yield
            finally:
                asyncio.events._set_running_loop(None)


@pytest.fixture(scope="session")
def _driver() -> Iterator[_Driver]:
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    manager = sync_playwright()
    driver = _Driver(manager.start())
    yield driver
    with driver.in_sight():
        manager.__exit__()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The browser, one for all tests of this worker."""
    executable = chromium_path()
    if executable is None:
        tell = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        tell("no Chromium here: `apt-get install chromium`, or CHROMIUM=/path/to/it, runs the tests in a browser")
    driver: _Driver = request.getfixturevalue("_driver")
    with driver.in_sight():
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
    yield browser
    with driver.in_sight():
        browser.close()


@pytest.fixture
def page(chromium: Browser, site: str, _driver: _Driver) -> Iterator[Page]:
    """A page of a fresh visitor at 1440 pixels: `page.goto("/console/")`.

    The test fails at its end when the page asked anybody but us, met an answer of 500 or above, or left an error in the
    console. `page.expected` takes parts of errors that the test means to cause.
    """
    with _driver.in_sight():
        yield from _page(chromium, site)


def _page(chromium: Browser, site: str) -> Iterator[Page]:
    context = chromium.new_context(base_url=site, viewport=DESKTOP)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    complaints: list[str] = []
    page.expected = []  # type: ignore[attr-defined]

    def asked(request: Request) -> None:
        if not request.url.startswith((site, "data:", "blob:")):
            complaints.append(f"asked {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 500:
            complaints.append(f"{response.status} from {response.url}")

    context.on("request", asked)
    context.on("response", answered)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("console", lambda line: complaints.append(f"console: {line.text}") if line.type == "error" else None)
    yield page
    context.close()
    unexpected = [said for said in complaints if not any(part in said for part in page.expected)]  # type: ignore[attr-defined]
    assert unexpected == []
