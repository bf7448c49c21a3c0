"""Indexes for staff's lists of the few transactions that are no transfers, or were reversed.

A list shows the newest rows first, and a filter that matches next to nothing would walk the whole collection for them.
A transfer is in none of these, so none of them costs it anything.
"""

from django.db import migrations

NO_TRANSFERS = {"kind": {"$in": ["INITIAL_FUNDS", "REVERSAL"]}}
REVERSED = {"status": "REVERSED"}


def create(apps, schema_editor) -> None:
    transactions = schema_editor.connection.database.transactions
    transactions.create_index([("kind", 1), ("_id", 1)], name="no_transfers", partialFilterExpression=NO_TRANSFERS)
    transactions.create_index([("status", 1), ("_id", 1)], name="reversed", partialFilterExpression=REVERSED)


class Migration(migrations.Migration):
    dependencies = [("transactions", "0008_proofs")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
