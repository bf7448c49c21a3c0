"""Create MongoDB's roles for the ledger."""

from typing import Any

from django.core.management.base import CommandParser

from ledger_project.commands import Answer, LedgerCommand
from ledger_project.mongo import database
from transactions.roles import create_roles, definitions


class Command(LedgerCommand):
    """Before every migration: the roles follow the models of the release."""

    help = (
        "Create or update the roles ledger_application, ledger_migrator, ledger_auditor and ledger_backup in the "
        "ledger's database. Run it as a database administrator (userAdmin on that database) before `migrate`, with "
        "every release: a role knows the collections of its release only. It creates no users."
    )
    example = "MONGODB_URI=mongodb://administrator@... ./manage.py create_database_roles"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument(
            "--dry-run", action="store_true", help="only tell what they are (with --json in full, for Atlas and others)"
        )

    def answer(self, **options: Any) -> Answer:
        """Create them, or tell."""
        roles = definitions(database().name)
        if not options["dry_run"]:
            create_roles()
        done = "would be" if options["dry_run"] else "is"
        lines = [f"{role} {done} there: {len(made['privileges'])} privileges" for role, made in roles.items()]
        return Answer({"database": database().name, "created": not options["dry_run"], "roles": roles}, lines)
