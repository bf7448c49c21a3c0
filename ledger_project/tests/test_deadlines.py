"""A MongoDB that hangs: every request of the API is answered at its deadline, and nobody waits for the network's."""

import pytest

from ledger_project.tests.test_problems import assert_problem

PASSWORD = "a-long-passphrase"
NOTHING = "0" * 24
FUNDS = {"toAccount": NOTHING, "amount": 1, "idempotencyKey": "k"}


@pytest.mark.parametrize(
    ("hangs", "method", "path", "body"),
    [
        # The token is looked up by an aggregation, also for requests that move money.
        ("aggregate", "get", "/api/auth/me", None),
        ("aggregate", "post", "/api/transactions/batch", {"transfers": []}),
        ("aggregate", "post", "/api/transactions/system/initial-funds", FUNDS),
        ("aggregate", "post", "/api/auth/login", {"email": "asha@example.com", "password": PASSWORD}),
        ("find", "get", "/api/accounts", None),
        ("find", "get", "/api/transactions", None),
        ("insert", "post", "/api/accounts", {}),
        ("update", "post", "/api/auth/logout", {}),
        ("delete", "delete", f"/api/auth/sessions/{NOTHING}", None),
    ],
)
def test_a_primary_that_hangs_is_answered_for_at_the_deadline(
    client_of, new_user, fail_command, settings, hangs, method, path, body
):
    client = client_of(new_user(email="asha@example.com", password=PASSWORD))
    settings.POSTING_DEADLINE_SECONDS = 0.2
    fail_command(hangs, times="alwaysOn", blockConnection=True, blockTimeMS=1500)
    assert_problem(getattr(client, method)(path, body), 503, "unavailable")
