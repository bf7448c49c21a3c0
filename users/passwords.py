"""New passwords: by whoever knows the old one or has the mailbox, or by staff. Each ends all that the old one began."""

from http import HTTPStatus

from django.contrib.auth.hashers import check_password, make_password
from django.utils import timezone
from pymongo import ReturnDocument

from ledger_project.errors import LedgerError
from ledger_project.mongo import Unit, collection, from_document, run_transaction
from users import links, notifications
from users.managers import UserManager
from users.models import Notification, User
from users.signals import notice_queued
from users.tokens import end_sessions, revoke_tokens_in


class WrongPassword(LedgerError):
    """The current password is another one."""

    status = HTTPStatus.FORBIDDEN
    code = "wrong_password"
    message = "The current password is not right"


def change_password(*, user: User, current: str, new: str) -> User:
    """Give `user` a new password, and end all tokens and sessions from before; the user as it then is.

    Raises WrongPassword. Of two at once one gets through: the current password of the other is then the wrong one.
    """
    changed = _replace(user, new) if check_password(current, user.password) else None
    if changed is None:
        raise WrongPassword
    return changed


def ask_for_reset(email: str) -> None:
    """Have a link for a new password sent to this e-mail, if an active user has it. The answer does not tell.

    A user whom staff gave no password is to have none, and gets no link.
    """
    user = User.objects.filter(email=UserManager.normalize_email(email), is_active=True).first()
    notifications.queue_on_request(
        user if user and user.has_usable_password() else None, Notification.Kind.PASSWORD_RESET
    )


def reset_password(*, secret: str, new: str) -> None:
    """Give whoever reads that mailbox a new password, and end all tokens and sessions from before.

    Raises LinkRefused. A link is good once, of two at once, too: it is signed over the password that it replaces.
    """
    user = links.RESET_PASSWORD.reader(secret)
    if _replace(user, new, verified_email=user.email) is None:
        raise links.LinkRefused


def store_password(user: User) -> None:
    """Store the password that `user` was given here, by staff or an operator, and end all that the old one began."""

    def work(unit: Unit) -> None:
        user.save(update_fields=["password", "updated_at"])
        revoke_tokens_in(unit, user=user, reason="New password")

    run_transaction(work)


def _replace(user: User, password: str, **also: str) -> User | None:
    """Store the password in place of the one that `user` has here, unless that was replaced or the user disabled.

    One transaction with the end of all sessions and the word to the user. The hash is made before it begins.
    """
    fresh = {"password": make_password(password), "updated_at": timezone.now(), **also}

    def work(unit: Unit) -> User | None:
        document = collection(User).find_one_and_update(
            {"_id": user.pk, "password": user.password, "is_active": True},
            {"$set": fresh, "$inc": {"token_generation": 1}},
            return_document=ReturnDocument.AFTER,
            session=unit.session,
        )
        if document is None:
            return None
        end_sessions(unit, user.pk)
        notifications.queue(unit, [notifications.row(user.pk, Notification.Kind.PASSWORD_CHANGED, {})])
        unit.after_commit(lambda: notice_queued.send(Notification))
        return from_document(User, document)

    return run_transaction(work)
