"""What several tests of the ledger stand on."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def books(new_user: Callable[..., Any], new_account: Callable[..., Any]) -> Any:
    """Alice was given 1000 and paid Bob 100, 50 and 25."""
    from transactions.tests.tampering import Ledger  # Django is not ready when pytest reads this file

    owner = new_user()
    made = Ledger(new_account(owner, funds=1000).pk, new_account(new_user()).pk, owner.pk)
    for amount in (100, 50, 25):
        made.pay(amount)
    return made
