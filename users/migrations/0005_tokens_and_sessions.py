"""Tokens know their generation, sessions their user; and the outbox's failures have an index of their own."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def create(apps, schema_editor) -> None:
    # What the audit log asks for by name once a process; Django's own index is partial and is not used.
    schema_editor.connection.database.django_content_type.create_index([("app_label", 1), ("model", 1)], name="by_name")
    # A row is in it only once it has failed: nothing is paid when it is written.
    schema_editor.connection.database.notifications.create_index(
        [("status", 1), ("_id", 1)], name="failed", partialFilterExpression={"status": "FAILED"}
    )


class Migration(migrations.Migration):
    dependencies = [("users", "0004_audit_log")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="token_generation",
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="session",
            name="user",
            field=models.ForeignKey(
                db_column="user",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
