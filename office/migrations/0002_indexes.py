"""Indexes for the back office. None is on a field that a transfer writes, so no transfer pays for one."""

from django.db import migrations


def create(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    # All that is asked of the counts by status: they never read a document.
    database.accounts.create_index([("kind", 1), ("status", 1), ("currency", 1)], name="heads")
    database.users.create_index([("is_active", 1), ("is_staff", 1), ("is_system", 1)], name="heads")
    # Staff search by the beginning of a name, in whatever case.
    database.users.create_index("name", name="by_name", collation={"locale": "en", "strength": 2})
    # The filters of the list of accounts, each in the order of the list.
    for name in ("status", "currency", "kind"):
        database.accounts.create_index([(name, 1), ("_id", 1)], name=f"by_{name}")
    database.create_collection("roll_ups")  # now, for it is written in a transaction


class Migration(migrations.Migration):
    dependencies = [
        ("office", "0001_initial"),
        ("accounts", "0002_rules"),
        ("users", "0005_tokens_and_sessions"),
        ("transactions", "0002_rules"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
