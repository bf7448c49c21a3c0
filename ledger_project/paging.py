"""Cursor paging: a page is a range scan of one index that starts behind the last row of the page before it.

Nothing is counted and nothing skipped, so page 10,000 costs what page 1 costs, and rows that arrive meanwhile neither
repeat nor hide others.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rest_framework import serializers

from ledger_project.serializers import RequestSerializer

Row = TypeVar("Row")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
CURSOR_HELP = "The nextCursor of the page before; leave it out for the first page."


class PageQuery(RequestSerializer):
    """`?limit=` of a list; subclasses add `cursor`, the nextCursor of the page before, in a type of their own."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text=f"Rows a page, {DEFAULT_LIMIT} by default."
    )


def page(rows: Sequence[Row], limit: int, cursor_of: Callable[[Row], Any]) -> tuple[Sequence[Row], str | None]:
    """Split `limit + 1` fetched rows into the page and the cursor of the next one, None at the end."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], str(cursor_of(rows[limit - 1]))
