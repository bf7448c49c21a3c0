"""Take the second factor away from a member of staff who has lost it."""

from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ledger_project.commands import Answer, LedgerCommand, read_email
from office import second_factor
from users import audit
from users.models import User


class Command(LedgerCommand):
    """The way back in for whoever has lost device and recovery codes: an operator's word."""

    help = (
        "Take the second factor away from a member of staff: device and recovery codes are forgotten. Where one is "
        "required, the next page that they open sets up a new one."
    )
    example = "./manage.py reset_second_factor --email asha@example.com"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--email", metavar="E-MAIL", required=True, help="the member of staff")

    def answer(self, **options: Any) -> Answer:
        """Forget it."""
        email = read_email(options["email"], "")
        user = User.objects.filter(email=email, is_staff=True).first()
        if user is None:
            raise CommandError(f"{email} is no member of staff")
        record = partial(audit.record_by_command, command="reset_second_factor")
        had_one = second_factor.switch_off(user, record=record)
        said = "has no second factor any more" if had_one else "had no second factor"
        return Answer({"email": email, "reset": had_one}, [f"{email} {said}"])
