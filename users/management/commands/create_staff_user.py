"""Create a member of staff who may do everything in the admin."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError

from ledger_project.commands import Answer, LedgerCommand, add_password_options, read_email, read_password
from users.models import User
from users.passwords import store_password


class Command(LedgerCommand):
    """Running it twice does no harm: the user stays as it is."""

    help = (
        "Create a superuser for the admin. The password comes from the environment variable STAFF_PASSWORD, from "
        "standard input, or from a prompt; never from the command line. If the user exists already nothing changes, "
        "unless --reset-password is given. A customer is never made staff: anybody can register anybody's e-mail."
    )
    example = "STAFF_PASSWORD=... ./manage.py create_staff_user --email admin@example.com"
    exit_codes = LedgerCommand.exit_codes | {1: "a customer has this e-mail, no password was given, or it is too weak"}

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--email", help="default: the environment variable STAFF_EMAIL")
        parser.add_argument("--name", default="Staff", help="default: %(default)s")
        parser.add_argument(
            "--reset-password",
            action="store_true",
            help="give an existing user the password, too, and end their tokens and sessions",
        )
        add_password_options(parser)

    def answer(self, **options: Any) -> Answer:
        """Find or create the user."""
        email = read_email(options["email"], "STAFF_EMAIL")
        user = _staff(email)
        created = user is None
        if user is None:
            user, created = _create(email, options)
        elif options["reset_password"]:
            user.set_password(read_password("STAFF_PASSWORD", options))
            store_password(user)
        reset = options["reset_password"] and not created
        done = "created" if created else "already there, with a new password" if reset else "already there"
        return Answer(
            {"user": user.pk, "email": user.email, "created": created, "password_reset": reset},
            [f"staff user {user.email}: {done}"],
        )


def _staff(email: str) -> User | None:
    """The member of staff with this e-mail. Raises CommandError when somebody else has it."""
    user = User.objects.filter(email=email).first()
    if user is not None and not (user.is_staff and user.is_superuser and user.is_active):
        raise CommandError(f"{email} belongs to a user who is not an active superuser; change that in the admin")
    return user


def _create(email: str, options: dict[str, Any]) -> tuple[User, bool]:
    """The new user, or the one that another run made at the same time."""
    password = read_password("STAFF_PASSWORD", options)
    try:
        return User.objects.create_superuser(email=email, name=options["name"], password=password), True
    except IntegrityError:
        user = _staff(email)
        assert user is not None
        return user, False
