"""Sessions of the API that can be refreshed, e-mails that were verified, and what is written about both."""

import django.db.models.deletion
import django_mongodb_backend.fields
from django.conf import settings
from django.db import migrations, models


def create(apps, schema_editor) -> None:
    schema_editor.connection.database.api_sessions.create_index("expires_at", name="expire", expireAfterSeconds=0)


class Migration(migrations.Migration):
    dependencies = [("users", "0005_tokens_and_sessions")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="verified_email",
            field=models.EmailField(blank=True, default="", editable=False, max_length=254),
        ),
        migrations.AlterField(
            model_name="notification",
            name="kind",
            field=models.CharField(
                choices=[
                    ("WELCOME", "Welcome"),
                    ("TRANSFER_SENT", "Transfer Sent"),
                    ("TRANSFER_RECEIVED", "Transfer Received"),
                    ("TRANSFER_FAILED", "Transfer Failed"),
                    ("MONEY_RETURNED", "Money Returned"),
                    ("MONEY_TAKEN_BACK", "Money Taken Back"),
                    ("PASSWORD_CHANGED", "Password Changed"),
                    ("PASSWORD_RESET", "Password Reset"),
                    ("VERIFY_EMAIL", "Verify Email"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="ApiSession",
            fields=[
                (
                    "id",
                    django_mongodb_backend.fields.ObjectIdAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "refresh_hash",
                    models.CharField(help_text="SHA-256 of the one refresh token that is good now.", max_length=64),
                ),
                (
                    "generation",
                    models.IntegerField(help_text="Of the user's tokens, when it began: it ends with them."),
                ),
                (
                    "second_factor",
                    models.BooleanField(default=False, help_text="Whether it began with a second factor."),
                ),
                ("rotations", models.IntegerField(default=0)),
                ("user_agent", models.CharField(blank=True, max_length=200)),
                (
                    "address",
                    models.CharField(blank=True, help_text="The network it was last used from.", max_length=50),
                ),
                ("created_at", models.DateTimeField()),
                ("used_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        db_column="user",
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "api_sessions",
                "indexes": [models.Index(fields=["user", "-used_at"], name="sessions_of_user")],
            },
        ),
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
