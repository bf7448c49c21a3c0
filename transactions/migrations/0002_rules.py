"""The ledger's indexes, the fewest that serve its reads, and what the server itself refuses.

The unique indexes are made here because Django's would be partial, and the planner does not use those.
"""

from django.db import migrations

INTEGER = {"bsonType": ["int", "long"]}
ID = {"bsonType": "objectId"}

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
        },
    }
}  # fmt: skip

ENTRY = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": [
            "account", "sequence", "transaction", "counter_account", "direction", "amount_minor", "currency",
            "balance_after_minor", "created_at", "hash",
        ],
        "properties": {
            "account": ID,
            "transaction": ID,
            "counter_account": ID,
            "sequence": INTEGER | {"minimum": 1},
            "direction": {"enum": ["DEBIT", "CREDIT"]},
            "amount_minor": INTEGER | {"minimum": 1},
            "balance_after_minor": INTEGER,
        },
    }
}  # fmt: skip


def apply(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    strict = {"validationLevel": "strict", "validationAction": "error"}
    database.command("collMod", "transactions", validator=TRANSACTION, **strict)
    database.command("collMod", "entries", validator=ENTRY, **strict)
    # One transaction for each (initiator, key). The key comes first, so that staff find one by its key alone.
    database.transactions.create_index([("idempotency_key", 1), ("initiator", 1)], name="one_per_key", unique=True)
    # The transactions of a user or an account, newest first.
    database.transactions.create_index([("parties", 1), ("_id", 1)], name="parties")
    # The statement of an account, and the guard that its sequence has no number twice.
    database.entries.create_index([("account", 1), ("sequence", 1)], name="one_per_sequence", unique=True)


class Migration(migrations.Migration):
    dependencies = [("transactions", "0001_initial")]
    operations = [migrations.RunPython(apply, migrations.RunPython.noop)]
