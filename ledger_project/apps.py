from django.apps import AppConfig


class LedgerProjectConfig(AppConfig):
    name = "ledger_project"

    def ready(self) -> None:
        from ledger_project import celery, checks  # noqa: F401  (tasks find their app; checks register themselves)
