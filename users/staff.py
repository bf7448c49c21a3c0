"""What the staff's pages of every app need to know of users."""

from bson import ObjectId
from django.db.models import QuerySet
from django.http import HttpRequest

from users.managers import UserManager
from users.models import User


def named_id(term: str) -> ObjectId | None:
    """The id that `term` names: itself when it is one, else that of the user with this e-mail."""
    if ObjectId.is_valid(term):
        return ObjectId(term)
    return next(iter(with_email(User.objects.all(), term).values_list("pk", flat=True)[:1]), None)


def acting(request: HttpRequest) -> User:
    """Who is asking: the admin lets nobody in but users."""
    assert isinstance(request.user, User)
    return request.user


def with_email(users: QuerySet[User], term: str) -> QuerySet[User]:
    return users.filter(email=UserManager.normalize_email(term))
