"""What the server itself refuses of an approval request: a decision by whoever asked for it, above all."""

from django.db import migrations

ID = {"bsonType": "objectId"}
TEXT = {"bsonType": "string", "minLength": 1, "maxLength": 500}

VALIDATOR = {
    "$and": [
        {
            "$jsonSchema": {
                "bsonType": "object",
                "required": [
                    "kind", "status", "amount_minor", "currency", "initiator", "reason", "requested_by", "requested_at",
                    "decided_by",
                ],
                "properties": {
                    "amount_minor": {"bsonType": ["int", "long"], "minimum": 1},
                    "initiator": ID,
                    "reason": TEXT,
                    "requested_by": ID,
                },
                "allOf": [
                    {
                        "oneOf": [
                            {"properties": {"kind": {"enum": ["FUNDS"]}, "account": ID}, "required": ["account"]},
                            {"properties": {"kind": {"enum": ["REVERSAL"]}, "original": ID}, "required": ["original"]},
                        ]
                    },
                    {
                        "oneOf": [
                            {"properties": {"status": {"enum": ["PENDING"]}, "decided_by": {"bsonType": "null"}}},
                            {
                                "properties": {
                                    "status": {"enum": ["REJECTED", "APPROVED", "REFUSED"]},
                                    "decided_by": ID,
                                    "decision_reason": TEXT,
                                    "transaction": {"bsonType": "null"},
                                }
                            },
                            {
                                "properties": {
                                    "status": {"enum": ["POSTED"]},
                                    "decided_by": ID,
                                    "decision_reason": TEXT,
                                    "transaction": ID,
                                }
                            },
                        ]
                    },
                ],
            }
        },
        {"$expr": {"$ne": ["$requested_by", "$decided_by"]}},
    ]
}  # fmt: skip


def apply(apps, schema_editor) -> None:
    database = schema_editor.connection.database
    database.command(
        "collMod", "approval_requests", validator=VALIDATOR, validationLevel="strict", validationAction="error"
    )
    database.approval_requests.create_index([("status", 1), ("_id", 1)], name="of_status")
    # A transaction has one request at a time that may still come to a reversal.
    database.approval_requests.create_index(
        "original",
        name="one_open_reversal",
        unique=True,
        partialFilterExpression={"kind": "REVERSAL", "status": {"$in": ["PENDING", "APPROVED"]}},
    )


class Migration(migrations.Migration):
    dependencies = [("transactions", "0005_approvalrequest")]
    operations = [migrations.RunPython(apply, migrations.RunPython.noop)]
