"""The user model: one e-mail one user, and nobody becomes a system user afterwards."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import ProtectedError
from pymongo.errors import DuplicateKeyError

from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from users.models import User


def test_an_email_is_normalised_whoever_stores_it():
    user = User(email="  Asha@EXAMPLE.com ", name="Asha")
    user.save()
    assert User.objects.get().email == "asha@example.com"
    assert User.objects.get_by_natural_key(" ASHA@example.com") == user


def test_an_email_is_unique_whatever_its_case(new_user):
    new_user(email="asha@example.com")
    before = dump()
    with pytest.raises(IntegrityError):
        new_user(email="ASHA@example.com")
    assert dump() == before


def test_the_server_itself_refuses_a_second_user_with_an_email(new_user):
    new_user(email="asha@example.com")
    row = database()["users"].find_one()
    row.pop("_id")
    with pytest.raises(DuplicateKeyError):
        database()["users"].insert_one(row)


def test_a_superuser_is_staff(new_user):
    user = User.objects.create_superuser(email="Root@example.com", name="Root", password="a-long-passphrase")
    assert (user.email, user.is_staff, user.is_superuser, user.is_system) == ("root@example.com", True, True, False)


def test_a_user_without_a_password_has_no_usable_one(new_user):
    assert not new_user(password=None).has_usable_password()


@pytest.mark.parametrize("was", [True, False])
def test_is_system_never_changes(new_user, was):
    user = new_user(is_system=was)
    user.is_system = not was
    before = dump()
    for write in (
        user.save,
        lambda: user.save(update_fields=["is_system"]),
        lambda: User.objects.filter(pk=user.pk).update(is_system=not was),
        lambda: User.objects.bulk_update([user], ["is_system"]),
        lambda: User.objects.update_or_create(pk=user.pk, defaults={"is_system": not was}),
    ):
        with pytest.raises(ValidationError, match="is_system"):
            write()
    assert dump() == before


def test_everything_else_about_a_user_may_change(new_user):
    user = new_user(is_system=True)
    user.name = "Renamed"
    user.save()
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.refresh_from_db()
    assert (user.name, user.is_active, user.is_system) == ("Renamed", False, True)


def test_a_user_with_an_account_cannot_be_deleted(new_user, new_account):
    user = new_user()
    new_account(user)
    before = dump()
    with pytest.raises(ProtectedError):
        user.delete()
    with pytest.raises(ProtectedError):
        User.objects.filter(pk=user.pk).delete()
    assert dump() == before
