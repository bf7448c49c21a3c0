import django.db.models.deletion
import django_mongodb_backend.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_rules'),
        ('transactions', '0004_reversals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ApprovalRequest',
            fields=[
                ('id', django_mongodb_backend.fields.ObjectIdAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('FUNDS', 'Funds'), ('REVERSAL', 'Reversal')], max_length=10)),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('REJECTED', 'Rejected'), ('APPROVED', 'Approved, to be posted'), ('POSTED', 'Posted'), ('REFUSED', 'Approved, refused by the ledger')], max_length=10)),
                ('amount_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('reason', models.CharField(max_length=500)),
                ('requested_at', models.DateTimeField()),
                ('decision_reason', models.CharField(max_length=500)),
                ('decided_at', models.DateTimeField(null=True)),
                ('leased_until', models.DateTimeField(help_text='Nobody else posts it before this time.', null=True)),
                ('outcome', models.CharField(help_text='Why the ledger refused it.', max_length=500)),
                ('settled_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(db_column='account', db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('decided_by', models.ForeignKey(db_column='decided_by', db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('initiator', models.ForeignKey(db_column='initiator', db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('original', models.ForeignKey(db_column='original', db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='transactions.transaction')),
                ('requested_by', models.ForeignKey(db_column='requested_by', db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('transaction', models.ForeignKey(db_column='transaction', db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='transactions.transaction')),
            ],
            options={
                'db_table': 'approval_requests',
                'permissions': [('request_funds', 'Can request funds'), ('decide_approvalrequest', 'Can approve and reject')],
                'abstract': False,
                'default_permissions': ('view',),
                'base_manager_name': 'objects',
            },
        ),
    ]
