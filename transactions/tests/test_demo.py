"""Two people with money in one click, on one's own machine and nowhere else."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Account
from ledger_project.mongo import Document, database
from transactions.verification import verify
from users.models import User


def create(client: Client | None = None, content_type: str = "application/json") -> Any:
    return (client or Client()).post("/demo/", "{}", content_type=content_type)


@pytest.fixture
def demo(settings: Any) -> None:
    settings.DEMO = True


def count() -> Document:
    return {name: database()[name].count_documents({}) for name in ("users", "accounts", "transactions", "entries")}


@pytest.mark.usefixtures("demo")
def test_two_people_get_funded_accounts_and_tokens_that_work():
    answer = create()
    assert answer.status_code == 201
    people = answer.json()["people"]
    assert [person["user"]["name"] for person in people] == ["Asha", "Ben"]
    assert [person["account"]["balance"] for person in people] == [1000, 250]
    for person in people:
        headers = {"Authorization": f"Bearer {person['token']}"}
        listed = Client().get("/api/accounts/", headers=headers).json()["accounts"]
        assert listed == [person["account"]]
        assert User.objects.get(email=person["user"]["email"]).check_password(person["password"])


@pytest.mark.usefixtures("demo")
def test_each_click_brings_two_others_and_the_ledger_stays_whole():
    first, second = (create().json()["people"] for _ in range(2))
    assert len({person["user"]["_id"] for person in [*first, *second]}) == 4
    assert verify().whole
    assert sum(Account.objects.values_list("balance_minor", flat=True)) == 0


def test_where_the_settings_do_not_say_so_there_is_none():
    before = count()
    assert create().status_code == 404
    assert count() == before


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_cannot_ask_for_it(content_type: str):
    before = count()
    assert create(content_type=content_type).status_code == 415
    assert count() == before


@pytest.mark.usefixtures("demo")
def test_a_link_cannot_ask_for_it():
    assert Client().get("/demo/").status_code == 405
