"""What the staff's pages of every app need to know of users."""

from bson import ObjectId
from django.db.models import QuerySet
from django.http import HttpRequest
from pymongo.collation import Collation

from ledger_project.mongo import collection
from users.managers import UserManager
from users.models import User

NAMES = Collation(locale="en", strength=2)  # of the index `by_name`
NAMESAKES = 50


def named_id(term: str) -> ObjectId | None:
    """The id that `term` names: itself when it is one, else that of the user with this e-mail."""
    if ObjectId.is_valid(term):
        return ObjectId(term)
    return next(iter(with_email(User.objects.all(), term).values_list("pk", flat=True)[:1]), None)


def named_ids(term: str) -> list[ObjectId]:
    """The ids that `term` names: itself, the user with this e-mail, or the users whose name begins like this."""
    if (key := named_id(term)) is not None:
        return [key]
    # A range in the order of an index that knows no case; a regular expression would read every key of it.
    found = collection(User).find({"name": {"$gte": term, "$lt": term + "\uffff"}}, {"_id": 1})
    return [user["_id"] for user in found.collation(NAMES).sort("name", 1).limit(NAMESAKES)]


def acting(request: HttpRequest) -> User:
    """Who is asking: the admin lets nobody in but users."""
    assert isinstance(request.user, User)
    return request.user


def may(user: User, permission: str) -> bool:
    """Whether `user` is an active member of staff with `permission` ("app.codename")."""
    return user.is_staff and user.has_perm(permission)  # nobody has a permission who is not active


def with_email(users: QuerySet[User], term: str) -> QuerySet[User]:
    """Those of `users` that have this e-mail, however it is written."""
    return users.filter(email=UserManager.normalize_email(term))
