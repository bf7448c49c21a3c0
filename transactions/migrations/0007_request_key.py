"""The idempotency key that a client asked for a reversal with: the same key from the same user is the same request.

Added to the state only: its absence is what a request without a key looks like. The index is of those that have one.
"""

from importlib import import_module

from django.db import migrations, models

(WITHOUT_KEY, DECIDED_BY_ANOTHER) = import_module("transactions.migrations.0006_approval_rules").VALIDATOR["$and"]
SCHEMA = WITHOUT_KEY["$jsonSchema"]
KEY = {"idempotency_key": {"bsonType": "string", "minLength": 1, "maxLength": 255}}
VALIDATOR = {"$and": [{"$jsonSchema": SCHEMA | {"properties": SCHEMA["properties"] | KEY}}, DECIDED_BY_ANOTHER]}


def apply(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.command(
        "collMod", "approval_requests", validator=VALIDATOR, validationLevel="strict", validationAction="error"
    )
    database.approval_requests.create_index(
        [("requested_by", 1), ("idempotency_key", 1)],
        name="one_request_a_key",
        unique=True,
        partialFilterExpression={"idempotency_key": {"$exists": True}},
    )


class Migration(migrations.Migration):
    dependencies = [("transactions", "0006_approval_rules")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name="approvalrequest",
                    name="idempotency_key",
                    field=models.CharField(max_length=255, null=True),
                ),
            ]
        ),
        migrations.RunPython(apply, migrations.RunPython.noop),
    ]
