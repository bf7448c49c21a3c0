"""Registering and logging in: the business actions behind the auth endpoints and the commands."""

from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from pymongo.errors import PyMongoError

from ledger_project.errors import LedgerError
from ledger_project.mongo import Unit, is_duplicate_key, run_transaction
from users import notifications
from users.managers import UserManager
from users.models import Notification, User
from users.signals import user_registered
from users.verification import EmailNotVerified


class EmailTaken(LedgerError):
    """Another user has this e-mail."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "email_taken"
    message = "User already exists with email."


class WrongCredentials(LedgerError):
    """Unknown e-mail, wrong password or disabled user: the answer does not tell which."""

    status = HTTPStatus.UNAUTHORIZED
    code = "wrong_credentials"
    message = "Email or password is INVALID"


def register_user(*, email: str, name: str, password: str, is_system: bool = False) -> User:
    """Store a user and the messages that are to be sent to it, all or nothing. Raises EmailTaken.

    Two at once with one e-mail: the unique index lets one through. The password is hashed before the transaction
    begins, for a hash takes longer than a transaction should be open.
    """
    email = UserManager.normalize_email(email)
    if User.objects.filter(email=email).exists():
        raise EmailTaken
    hashed = make_password(password)
    owed = [Notification.Kind.WELCOME]
    if settings.EMAIL_VERIFICATION_REQUIRED and not is_system:
        owed.append(Notification.Kind.VERIFY_EMAIL)

    def work(unit: Unit) -> User:
        # A fresh instance each time: one that an attempt before this one saved believes that it is stored.
        user = User(email=email, name=name, password=hashed, is_system=is_system)
        user.save(force_insert=True)
        notifications.queue(unit, [notifications.row(user.pk, kind, {}) for kind in owed])
        unit.after_commit(lambda: user_registered.send(User, user_id=user.pk))
        return user

    try:
        return run_transaction(work)
    except PyMongoError as error:
        if is_duplicate_key(error):
            raise EmailTaken from None
        raise


def authenticate(*, email: str, password: str) -> User:
    """The active user with this e-mail and password.

    Raises WrongCredentials, in the same time whatever was wrong; EmailNotVerified, where that is a condition.
    """
    user = User.objects.filter(email=UserManager.normalize_email(email)).first()
    if user is None:
        make_password(password)  # as slow as checking one
        raise WrongCredentials
    if not check_password(password, user.password) or not user.is_active:
        raise WrongCredentials
    if not user.is_verified:
        raise EmailNotVerified
    return user
