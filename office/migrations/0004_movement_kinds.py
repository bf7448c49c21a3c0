from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("office", "0003_recount_reversals")]
    operations = [
        migrations.AlterField(
            model_name="hourlymovement",
            name="kind",
            field=models.CharField(
                choices=[
                    ("TRANSFER", "Transfer"),
                    ("INITIAL_FUNDS", "Initial Funds"),
                    ("REVERSAL", "Reversal"),
                    ("FUNDS_REVERSAL", "Reversal of initial funds"),
                ],
                max_length=20,
            ),
        ),
    ]
