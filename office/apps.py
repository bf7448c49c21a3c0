from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OfficeConfig(AppConfig):
    name = "office"

    def ready(self) -> None:
        from office import receivers

        post_migrate.connect(receivers.make_export_permissions, sender=self)
