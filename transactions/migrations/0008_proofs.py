"""What proves the ledger: how far each account is verified, what was found, and the anchors."""

import django.db.models.deletion
import django_mongodb_backend.fields
from django.db import migrations, models


def create(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.account_proofs.create_index("proven_at", name="oldest")
    database.findings.create_index("key", name="one_per_key", unique=True)
    database.findings.create_index([("cleared_at", 1), ("_id", 1)], name="open")
    # Two at once cannot both be the next one.
    database.anchors.create_index("number", name="one_per_number", unique=True)
    database.anchors.create_index("hash", name="by_hash")
    database.anchor_pages.create_index([("anchor", 1), ("number", 1)], name="one_per_page", unique=True)
    for name in ("audit_cursor", "imports"):
        database.create_collection(name)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_rules"),
        ("transactions", "0007_request_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccountProof",
            fields=[
                (
                    "id",
                    django_mongodb_backend.fields.ObjectIdAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sequence", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
                ("balance_minor", models.BigIntegerField()),
                ("began_at", models.DateTimeField(help_text="When the last full pass began.")),
                ("is_complete", models.BooleanField(help_text="Whether that pass has ended.")),
                ("proven_at", models.DateTimeField(help_text="When the last full pass that ended began.")),
            ],
            options={
                "db_table": "account_proofs",
                "abstract": False,
                "default_permissions": (),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Anchor",
            fields=[
                (
                    "id",
                    django_mongodb_backend.fields.ObjectIdAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.BigIntegerField()),
                ("taken_at", models.DateTimeField()),
                ("accounts", models.BigIntegerField()),
                ("entries", models.BigIntegerField()),
                (
                    "heads",
                    models.CharField(
                        help_text="SHA-256 over the heads, in the order of the accounts' ids.", max_length=64
                    ),
                ),
                ("previous", models.CharField(max_length=64)),
                ("hash", models.CharField(max_length=64)),
            ],
            options={
                "db_table": "anchors",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AnchorPage",
            fields=[
                (
                    "id",
                    django_mongodb_backend.fields.ObjectIdAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("anchor", django_mongodb_backend.fields.ObjectIdField()),
                ("number", models.BigIntegerField()),
                ("heads", models.BinaryField()),
            ],
            options={
                "db_table": "anchor_pages",
                "abstract": False,
                "default_permissions": (),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="LedgerFinding",
            fields=[
                (
                    "id",
                    django_mongodb_backend.fields.ObjectIdAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=500)),
                ("code", models.CharField(max_length=40)),
                ("subject", models.CharField(max_length=200)),
                ("message", models.CharField(max_length=1000)),
                ("found_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("cleared_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_column="account",
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "db_table": "findings",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
