"""The running service against its own OpenAPI document: what that allows, what it does not, and chains of calls.

schemathesis.toml says what is expected. `make fuzz` is the long form: FUZZ_SECONDS of fresh cases for each user.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from transactions.tests.web import web
from transactions.verification import verify
from users.tokens import issue_token

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
# The same cases each time: what is new in them, the long form finds.
SHORT = ("--max-examples", "4", "--generation-deterministic")
OF_THE_OPERATOR = "system|reverse"


@pytest.mark.slow
@pytest.mark.parametrize("operator", [False, True], ids=["customer", "operator"])
def test_the_service_does_what_its_document_says_and_the_ledger_stays_whole(
    tmp_path: Path, new_user: Callable, new_account: Callable, operator: bool
):
    user = new_user(is_system=operator, is_staff=operator, is_superuser=operator)
    accounts = [new_account(user, funds=100_000), new_account(user), new_account(new_user(), funds=100)]
    shutil.copy(CONFIGURATION, tmp_path)
    (tmp_path / "accounts.dict").write_text("".join(f'"{account.pk}"\n' for account in accounts))
    seconds = os.environ.get("FUZZ_SECONDS")
    with web(tmp_path / "web.log") as server:
        done = subprocess.run(
            [
                *(str(SCHEMATHESIS), "--no-color", "run"),
                f"http://127.0.0.1:{server.port}/api/schema/?format=json",
                *("--header", f"Authorization: Bearer {issue_token(user)}"),
                *(("--include-path-regex", OF_THE_OPERATOR) if operator else ()),
                *(("--max-time", seconds) if seconds else SHORT),
            ],
            cwd=tmp_path,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    assert done.returncode == 0, done.stdout
    assert verify().findings == []
