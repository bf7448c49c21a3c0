from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0002_indexes")]
    operations = [
        migrations.AlterField(
            model_name="notification",
            name="kind",
            field=models.CharField(
                choices=[
                    ("WELCOME", "Welcome"),
                    ("TRANSFER_SENT", "Transfer Sent"),
                    ("TRANSFER_RECEIVED", "Transfer Received"),
                    ("TRANSFER_FAILED", "Transfer Failed"),
                    ("MONEY_RETURNED", "Money Returned"),
                    ("MONEY_TAKEN_BACK", "Money Taken Back"),
                ],
                max_length=20,
            ),
        ),
    ]
