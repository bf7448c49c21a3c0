"""Reversals: a transaction and its reversal name each other, and no transaction is reversed twice.

The three fields are added to the state only. Their absence is what a transaction that has nothing to do with a reversal
looks like; Django would write a null into every transaction there is.
"""

import django_mongodb_backend.fields
from django.db import migrations, models

ID = {"bsonType": "objectId"}
INTEGER = {"bsonType": ["int", "long"]}

TRANSACTION = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": [
            "from_account", "to_account", "amount_minor", "currency", "status", "kind", "initiator",
            "idempotency_key", "fingerprint", "debit_entry", "credit_entry", "parties", "created_at",
        ],
        "properties": {
            "from_account": ID,
            "to_account": ID,
            "initiator": ID,
            "debit_entry": ID,
            "credit_entry": ID,
            "amount_minor": INTEGER | {"minimum": 1},
            "idempotency_key": {"bsonType": "string", "minLength": 1, "maxLength": 255},
            "kind": {"enum": ["TRANSFER", "INITIAL_FUNDS", "REVERSAL"]},
            "status": {"enum": ["COMPLETED", "REVERSED"]},
            "reverses": ID,
            "reversed_by": ID,
            "reason": {"bsonType": "string", "minLength": 1, "maxLength": 500},
        },
        "dependencies": {"reverses": ["reason"]},
        # A reversal names its original and is never reversed; what was reversed names its reversal.
        "oneOf": [
            {
                "properties": {"kind": {"enum": ["TRANSFER", "INITIAL_FUNDS"]}, "status": {"enum": ["COMPLETED"]}},
                "not": {"anyOf": [{"required": ["reverses"]}, {"required": ["reversed_by"]}]},
            },
            {
                "properties": {"kind": {"enum": ["REVERSAL"]}, "status": {"enum": ["COMPLETED"]}},
                "required": ["reverses"],
                "not": {"required": ["reversed_by"]},
            },
            {
                "properties": {"kind": {"enum": ["TRANSFER", "INITIAL_FUNDS"]}, "status": {"enum": ["REVERSED"]}},
                "required": ["reversed_by"],
                "not": {"required": ["reverses"]},
            },
        ],
    }
}  # fmt: skip


def apply(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.command(
        "collMod", "transactions", validator=TRANSACTION, validationLevel="strict", validationAction="error"
    )
    # Only reversals are in it, so a transfer does not pay for it.
    database.transactions.create_index(
        "reverses", name="one_reversal", unique=True, partialFilterExpression={"reverses": {"$exists": True}}
    )


class Migration(migrations.Migration):
    dependencies = [("transactions", "0003_notices_due")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name="transaction",
                    name="reverses",
                    field=django_mongodb_backend.fields.ObjectIdField(null=True),
                ),
                migrations.AddField(
                    model_name="transaction",
                    name="reversed_by",
                    field=django_mongodb_backend.fields.ObjectIdField(null=True),
                ),
                migrations.AddField(
                    model_name="transaction",
                    name="reason",
                    field=models.CharField(max_length=500, null=True),
                ),
                migrations.AlterField(
                    model_name="transaction",
                    name="kind",
                    field=models.CharField(
                        choices=[
                            ("TRANSFER", "Transfer"),
                            ("INITIAL_FUNDS", "Initial Funds"),
                            ("REVERSAL", "Reversal"),
                        ],
                        max_length=20,
                    ),
                ),
                migrations.AlterModelOptions(
                    name="transaction",
                    options={
                        "abstract": False,
                        "base_manager_name": "objects",
                        "permissions": [("reverse_transaction", "Can reverse transactions")],
                    },
                ),
            ]
        ),
        migrations.RunPython(apply, migrations.RunPython.noop),
    ]
