"""What the tests of the back office share: a member of staff in a real browser."""

from typing import Any

from django.test import Client
from playwright.sync_api import Page


def enter(page: Page, user: Any) -> None:
    """Let `user` be logged in on `page`, without the form."""
    client = Client()
    client.force_login(user)
    session = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "domain": "127.0.0.1", "path": "/"}])
