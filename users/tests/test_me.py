"""GET /api/auth/me"""

import pytest

from ledger_project.tests.dumps import dump


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/auth/me/"])
def test_it_tells_whose_token_it_is(client_of, new_user, path):
    user = new_user(name="Asha", email="asha@example.com")
    new_user()
    response = client_of(user).get(path)
    assert response.status_code == 200
    assert response.json() == {"user": {"_id": str(user.pk), "email": "asha@example.com", "name": "Asha"}}


def test_it_writes_nothing(client_of, new_user):
    client = client_of(new_user())
    before = dump()
    client.get("/api/auth/me")
    assert dump() == before


def test_a_changed_name_shows_at_once(client_of, new_user):
    user = new_user(name="Asha")
    client = client_of(user)
    user.name = "Asha Rao"
    user.save()
    assert client.get("/api/auth/me").json()["user"]["name"] == "Asha Rao"


def test_without_a_token_it_is_401(client_of):
    response = client_of().get("/api/auth/me")
    assert response.status_code == 401
    assert response.json()["message"]
