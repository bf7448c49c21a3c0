"""Staff are told of findings, and of anchors."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0006_api_sessions"),
    ]

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
                    ("PASSWORD_CHANGED", "Password Changed"),
                    ("PASSWORD_RESET", "Password Reset"),
                    ("VERIFY_EMAIL", "Verify Email"),
                    ("LEDGER_FINDING", "Ledger Finding"),
                    ("LEDGER_ANCHOR", "Ledger Anchor"),
                ],
                max_length=20,
            ),
        ),
    ]
