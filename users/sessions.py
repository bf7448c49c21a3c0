"""Staff sessions in MongoDB: as durable as the ledger, found by `_id`, deleted by a TTL index when they expire."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """Django's database sessions on our model."""

    @classmethod
    def get_model_class(cls):
        """The model that holds them."""
        from users.models import Session

        return Session
