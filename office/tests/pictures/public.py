"""Pictures of the page and the console for the README, of people who are made for it."""

from pathlib import Path

from playwright.sync_api import Page, expect

from ledger_project.tests.browser import DESKTOP, PHONE

# Who pays (0 is Asha, 1 Ben), and how much.
PAYMENTS = [(0, 120), (1, 40), (0, 75.5), (0, 18.25), (1, 210), (0, 64), (1, 12.5), (0, 150), (1, 95), (0, 33.4)] * 3


def take_pictures(page: Page, directory: Path) -> list[Path]:
    """Pictures of the page, of a call tried on it, and of the console, where settings.DEMO is on; the files made."""
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    taken = [*_landing(page, directory), *_console(page, directory)]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark")
    return [*taken, _picture(page, directory / "console-phone.png")]


def _landing(page: Page, directory: Path) -> list[Path]:
    page.goto("/")
    top = _picture(page, directory / "page.png")
    page.get_by_role("button", name="Create Asha and Ben").click()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answer-says")).to_be_visible()
    page.locator("#try").evaluate("section => section.scrollIntoView()")
    return [top, _picture(page, directory / "page-try.png")]


def _console(page: Page, directory: Path) -> list[Path]:
    page.goto("/console/")
    people = page.request.post("/demo/", data={}).json()["people"]
    for number, payment in enumerate(PAYMENTS):
        _pay(page, people, *payment, key=f"picture-{number}")
    payees = [{"account": people[1]["account"]["_id"], "label": "Ben, Everyday"}]
    session = {"token": people[0]["token"], "user": people[0]["user"], "payees": payees}
    page.evaluate("session => sessionStorage.setItem('ledger.session', JSON.stringify(session))", session)
    page.goto(f"/console/?#/accounts/{people[0]['account']['_id']}")
    expect(page.locator("#statement-rows tr")).not_to_have_count(0)
    expect(page.locator(".chart")).to_be_visible()
    return [_picture(page, directory / "console.png")]


def _pay(page: Page, people: list[dict], payer: int, amount: float, *, key: str) -> None:
    body = {
        "fromAccount": people[payer]["account"]["_id"],
        "toAccount": people[1 - payer]["account"]["_id"],
        "amount": amount,
        "idempotencyKey": key,
    }
    headers = {"Authorization": f"Bearer {people[payer]['token']}"}
    page.request.post("/api/transactions/", data=body, headers=headers, max_retries=3)  # the key makes it once


def _picture(page: Page, path: Path) -> Path:
    page.screenshot(path=path)
    return path
