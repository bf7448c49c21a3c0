"""Where reversals were counted before those of initial funds were a kind for themselves: count everything anew."""

from django.db import migrations

from ledger_project.mongo import Unit, run_transaction


def forget(apps, schema_editor) -> None:
    def work(unit: Unit) -> None:
        # First what every roll-up writes first, so that one which runs now starts again behind this.
        unit.database.roll_ups.delete_one({"_id": "movements"}, session=unit.session)
        unit.database.hourly_movements.delete_many({}, session=unit.session)

    if schema_editor.connection.database.hourly_movements.find_one({"kind": "REVERSAL"}):
        run_transaction(work)


class Migration(migrations.Migration):
    dependencies = [("office", "0002_indexes")]
    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
