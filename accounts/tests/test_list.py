"""GET /api/accounts/"""

import pytest

from accounts.opening import open_account


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.fixture
def client(client_of, user):
    return client_of(user)


def ids(response) -> list[str]:
    return [account["_id"] for account in response.json()["accounts"]]


@pytest.mark.parametrize("path", ["/api/accounts", "/api/accounts/"])
def test_the_callers_accounts_oldest_first_and_nobody_elses(client, user, new_user, new_account, path):
    mine = [new_account(user, name="Wallet"), new_account(user, funds="10.5"), new_account(user, currency="JPY")]
    new_account(new_user())

    response = client.get(path)

    assert response.status_code == 200
    assert response.json().keys() == {"accounts", "nextCursor"}
    assert ids(response) == [str(account.pk) for account in mine]
    assert [account["balance"] for account in response.json()["accounts"]] == [0, 10.5, 0]
    assert response.json()["nextCursor"] is None
    keys = {"_id", "user", "name", "status", "currency", "balance", "createdAt", "updatedAt"}
    assert all(account.keys() == keys for account in response.json()["accounts"])


def test_without_accounts_the_list_is_empty(client):
    assert client.get("/api/accounts").json() == {"accounts": [], "nextCursor": None}


def test_a_system_user_sees_the_equity_account_and_what_it_has_issued(client_of, system_user, new_user, new_account):
    new_account(new_user(), funds=500)
    (equity,) = client_of(system_user).get("/api/accounts").json()["accounts"]
    assert equity["balance"] == -500


def test_pages_follow_each_other_without_gap_or_repetition(client, user):
    every = [str(open_account(user_id=user.pk).pk) for _ in range(7)]
    seen, query = [], {"limit": 3}
    while True:
        response = client.get("/api/accounts", query)
        seen += ids(response)
        open_account(user_id=user.pk)  # a new one while paging: it comes at the end
        if len(seen) >= 7:
            break
        query["cursor"] = response.json()["nextCursor"]
    assert seen[:7] == every


def test_the_last_page_has_no_cursor_even_when_it_is_full(client, user):
    for _ in range(4):
        open_account(user_id=user.pk)
    first = client.get("/api/accounts", {"limit": 2}).json()
    second = client.get("/api/accounts", {"limit": 2, "cursor": first["nextCursor"]}).json()
    assert first["nextCursor"] == first["accounts"][-1]["_id"]
    assert len(second["accounts"]) == 2
    assert second["nextCursor"] is None


@pytest.mark.parametrize(("limit", "status"), [("1", 200), ("1000", 200), ("0", 400), ("1001", 400), ("x", 400)])
def test_a_page_has_1_to_1000_accounts(client, limit, status):
    assert client.get("/api/accounts", {"limit": limit}).status_code == status


@pytest.mark.parametrize("cursor", ["x", "g" * 24, "0" * 23, "66f0c1b2a4  e5d6f708192a", "\x00", '{"$gt": ""}'])
def test_a_malformed_cursor_is_400(client, cursor):
    assert client.get("/api/accounts", {"cursor": cursor}).status_code == 400


def test_anothers_account_as_cursor_shows_nothing_of_it(client, user, new_user, new_account):
    another = new_account(new_user())
    mine = new_account(user)
    assert ids(client.get("/api/accounts", {"cursor": str(another.pk)})) == [str(mine.pk)]
