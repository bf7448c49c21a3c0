"""What the tests of the admin share: a member of staff's browser, and a look at what a page cost the database."""

from typing import Any

from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client

from ledger_project.mongo import Document
from ledger_project.tests.profiler import profiled

LARGE = {"users", "accounts", "transactions", "entries", "notifications", "blacklisted_tokens"}


def browser(user: Any, *permissions: str) -> Client:
    """The browser of `user`, logged in, who is first given `permissions` ("app.codename")."""
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def cheap(client: Client, address: str, *, most: int = 50) -> HttpResponse:
    """The page at `address`, once it is shown that no large collection was counted or read whole for it.

    Nor does any command look at more than `most` documents, or keys of an index: a list shows 50.
    """
    with profiled() as commands:
        response = client.get(address)
    assert response.status_code == 200
    large = [command for command in commands if command["ns"].partition(".")[2] in LARGE]
    assert large
    assert [command for command in large if _counts(command) or _scans(command, most)] == []
    return response


def ids(response: HttpResponse) -> list[Any]:
    """The ids of the rows that a list shows, in its order."""
    return [row.pk for row in response.context["cl"].result_list]


def said(response: HttpResponse) -> str:
    """What the messages on the page say."""
    return " ".join(map(str, response.context["messages"]))


def _scans(command: Document, most: int) -> bool:
    looked_at = max(command.get("docsExamined", 0), command.get("keysExamined", 0))
    return "COLLSCAN" in command.get("planSummary", "") or looked_at > most


def _counts(command: Document) -> bool:
    sent = command.get("command", {})
    stages = {name for stage in sent.get("pipeline", ()) for name in stage}
    return "count" in sent or bool(stages & {"$count", "$group", "$facet"})
