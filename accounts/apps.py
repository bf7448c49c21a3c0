from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Ledger"  # what the admin calls them, as its sidebar does
