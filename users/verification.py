"""Whether an e-mail is its user's: shown by a link that is sent to it. A condition where a setting makes it one."""

from http import HTTPStatus

from ledger_project.errors import LedgerError
from ledger_project.mongo import collection
from users import links, notifications
from users.managers import UserManager
from users.models import Notification, User


class EmailNotVerified(LedgerError):
    """The user has not shown yet that the e-mail is theirs."""

    status = HTTPStatus.FORBIDDEN
    code = "email_not_verified"
    message = "Confirm your e-mail first: follow the link that was sent to you, or ask for another"


def ask_for_verification(email: str) -> None:
    """Have the link sent to this e-mail, if an active user has it and has yet to show it. The answer tells neither."""
    user = User.objects.filter(email=UserManager.normalize_email(email), is_active=True).first()
    owed = user is not None and user.verified_email != user.email
    notifications.queue_on_request(user if owed else None, Notification.Kind.VERIFY_EMAIL)


def verify_email(secret: str) -> None:
    """Note that the e-mail is its user's. Raises LinkRefused. Doing it twice is doing it once.

    If the e-mail was changed at the same moment, the other one is not verified by this: what is noted is which one was.
    """
    user = links.VERIFY_EMAIL.reader(secret)
    collection(User).update_one({"_id": user.pk}, {"$set": {"verified_email": user.email}})
