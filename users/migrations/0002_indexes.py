"""Indexes that Django cannot declare on MongoDB: expiry by time, and the outbox's queue."""

from django.db import migrations

# A row that was sent is kept this long for staff to look at; one that was not is kept until it is.
KEEP_SENT_SECONDS = 90 * 24 * 3600


def create(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.blacklisted_tokens.create_index("expires_at", name="expire", expireAfterSeconds=0)
    database.sessions.create_index("expire_date", name="expire", expireAfterSeconds=0)
    database.notifications.create_index(
        "sent_at",
        name="forget_sent",
        expireAfterSeconds=KEEP_SENT_SECONDS,
        partialFilterExpression={"status": "SENT"},  # a transfer's rows are not in it when they are written
    )
    database.notifications.create_index("due_at", name="due", partialFilterExpression={"status": "PENDING"})


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
