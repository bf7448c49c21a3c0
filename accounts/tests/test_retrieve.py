"""GET /api/accounts/:accountId"""

import pytest
from bson import ObjectId


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_account_of_the_callers(client_of, new_user, new_account, slash):
    user = new_user()
    account = new_account(user, funds="10.50", name="Wallet")

    response = client_of(user).get(f"/api/accounts/{account.pk}{slash}")

    assert response.status_code == 200
    shown = response.json()["account"]
    assert shown.keys() == {"_id", "user", "name", "status", "currency", "balance", "createdAt", "updatedAt"}
    assert (shown["_id"], shown["user"], shown["name"]) == (str(account.pk), str(user.pk), "Wallet")
    assert b'"balance":10.5,' in response.content


def test_anothers_an_unknown_and_a_malformed_id_are_word_for_word_the_same_404(client_of, new_user, new_account):
    another = new_account(new_user(), funds=500)
    client = client_of(new_user())
    answers = {
        client.get(f"/api/accounts/{account_id}", HTTP_X_REQUEST_ID="request-1").content
        for account_id in (another.pk, ObjectId(), "nothing", "0" * 23, "g" * 24)
    }
    assert len(answers) == 1
    assert b'"message":"Account not found"' in answers.pop()


def test_a_system_user_does_not_see_the_accounts_of_others_either(client_of, system_user, new_user, new_account):
    account = new_account(new_user())
    assert client_of(system_user).get(f"/api/accounts/{account.pk}").status_code == 404
