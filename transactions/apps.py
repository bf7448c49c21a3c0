from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TransactionsConfig(AppConfig):
    name = "transactions"

    def ready(self) -> None:
        from transactions import receivers  # noqa: F401  (importing connects them)
        from transactions.groups import ensure_groups

        # The last of our apps: when it is migrated, all of them have their permissions.
        post_migrate.connect(ensure_groups, sender=self)
