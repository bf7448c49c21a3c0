from django.db import migrations, models
from django_mongodb_backend.fields import ArrayField, ObjectIdAutoField, ObjectIdField


class Migration(migrations.Migration):
    dependencies = [("transactions", "0002_rules")]
    operations = [
        migrations.CreateModel(
            name="NoticesDue",
            fields=[
                ("id", ObjectIdAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("transactions", ArrayField(base_field=ObjectIdField())),
                ("created_at", models.DateTimeField()),
            ],
            options={"db_table": "notices_due"},
        ),
    ]
