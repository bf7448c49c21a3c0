from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OfficeConfig(AppConfig):
    name = "office"
    verbose_name = "Figures"

    def ready(self) -> None:
        from office import groups, receivers

        # The last of the apps: when it is migrated, all of them have their permissions. The groups take what there is.
        post_migrate.connect(receivers.make_export_permissions, sender=self)
        post_migrate.connect(groups.ensure_groups, sender=self)
