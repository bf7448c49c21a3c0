"""Staff sessions in MongoDB: as durable as the ledger, found by `_id`, deleted by a TTL index when they expire."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """Django's database sessions on our model."""

    @classmethod
    def get_model_class(cls):
        """The model that holds them."""
        from users.models import Session

        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """The row, with whose session it is, so that all of a user's can be found and ended."""
        session: Any = super().create_model_instance(data)
        session.user_id = data.get(SESSION_KEY)
        return session
