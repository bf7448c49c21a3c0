"""Which commands the code sent to MongoDB and how they found their documents, as the server's own profiler saw it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from ledger_project.mongo import Document, database

# Enough that a test's commands never wrap around in the capped collection.
PROFILE_BYTES = 16 * 1024 * 1024


@contextmanager
def profiled() -> Iterator[list[Document]]:
    """The list that is filled, when the block ends, with a row for each command that this process sent in it."""
    commands: list[Document] = []
    profile = database()["system.profile"]
    database().create_collection(profile.name, capped=True, size=PROFILE_BYTES)
    try:
        database().command("profile", 2)
        yield commands
        database().command("profile", 0)
        app_name = settings.DATABASES["default"]["OPTIONS"]["appname"]
        commands += profile.find({"appName": app_name, "command.profile": {"$exists": False}})
    finally:
        database().command("profile", 0)
        profile.drop()


def scans(commands: list[Document], *, rows: int) -> list[str]:
    """The commands that read a collection from end to end when each has `rows` rows that are not the caller's.

    A walk over the whole of an index is as bad as one over the collection, and the profiler says nothing of the plans
    inside a $lookup; but it counts all documents and keys that were looked at on the way.
    """
    return [f"{command['op']} {command['ns']}" for command in commands if _scans(command, rows)]


def _scans(command: Document, rows: int) -> bool:
    looked_at = max(command.get("docsExamined", 0), command.get("keysExamined", 0))
    return "COLLSCAN" in command.get("planSummary", "") or looked_at >= rows
