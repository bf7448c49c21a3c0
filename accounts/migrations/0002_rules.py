"""What the server itself refuses: a balance that is no integer, and a customer's balance below zero.

Also one equity and one treasury account for each system user and currency, however many ask for it at once.
"""

from django.db import migrations

INTEGER = {"bsonType": ["int", "long"]}

VALIDATOR = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["user", "kind", "status", "currency", "may_overdraw", "balance_minor", "sequence", "chain_head"],
        "properties": {
            "user": {"bsonType": "objectId"},
            "kind": {"enum": ["CUSTOMER", "EQUITY", "TREASURY"]},
            "status": {"enum": ["ACTIVE", "FROZEN", "CLOSED"]},
            "currency": {"bsonType": "string", "minLength": 3, "maxLength": 3},
            "may_overdraw": {"bsonType": "bool"},
            "balance_minor": INTEGER,
            "sequence": INTEGER | {"minimum": 0},
            "chain_head": {"bsonType": "string", "minLength": 64, "maxLength": 64},
        },
        "anyOf": [
            {"properties": {"may_overdraw": {"enum": [True]}}},
            {"properties": {"balance_minor": {"minimum": 0}}},
        ],
    }
}


def apply(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.command("collMod", "accounts", validator=VALIDATOR, validationLevel="strict", validationAction="error")
    database.accounts.create_index([("user", 1), ("_id", 1)], name="of_user")
    database.accounts.create_index(
        [("user", 1), ("kind", 1), ("currency", 1)],
        name="one_system_account",
        unique=True,
        partialFilterExpression={"kind": {"$in": ["EQUITY", "TREASURY"]}},
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(apply, migrations.RunPython.noop)]
