"""What the ledger holds, to compare before and after: a refusal must leave all of it as it was."""

from typing import Any

from ledger_project.mongo import database

COLLECTIONS = (
    "users",
    "blacklisted_tokens",
    "api_sessions",
    "accounts",
    "transactions",
    "entries",
    "notices_due",
    "notifications",
    "approval_requests",
    "audit_log",
)


def dump(*names: str) -> dict[str, list[dict[str, Any]]]:
    """Every document of the named collections, or of all that business writes to."""
    return {name: list(database()[name].find().sort("_id", 1)) for name in names or COLLECTIONS}
