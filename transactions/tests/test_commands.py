"""The operators' commands about money, called in this process and run as programs."""

import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from bson import ObjectId
from django.conf import settings
from django.core.management import CommandError, call_command, load_command_class
from django.db import connection

from accounts.models import Account
from ledger_project.mongo import database
from transactions.models import Transaction
from transactions.verification import verify
from users.models import Notification, User
from users.tests.waiting import together

PASSWORD = "correct horse battery"


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, on this test's database."""
    return subprocess.run(
        [sys.executable, "manage.py", name, *arguments],
        cwd=settings.BASE_DIR,
        env=os.environ | {"MONGODB_DATABASE": connection.settings_dict["NAME"]} | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )


def ask(name: str, *arguments: str) -> dict[str, Any]:
    """Call the command in this process, with --json, and read its answer."""
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue(), parse_float=Decimal)


def refusal(name: str, *arguments: str) -> str:
    """Call the command, which must fail with exit code 1 and one line; return the line."""
    with pytest.raises(CommandError) as caught:
        call_command(name, *arguments, stdout=io.StringIO(), stderr=io.StringIO())
    assert caught.value.returncode == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def balance(account: Any) -> Decimal:
    return Account.objects.get(pk=account).balance


def nothing_moved() -> bool:
    return not Transaction.objects.exists()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SYSTEM_USER_EMAIL", "SYSTEM_USER_PASSWORD", "DEMO_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("transactions", "create_system_user"),
        ("transactions", "seed_system_funds"),
        ("transactions", "verify_ledger"),
        ("transactions", "create_demo_data"),
        ("users", "create_staff_user"),
    ],
)
def test_help_explains_the_command_with_an_example_and_the_exit_codes(app: str, name: str) -> None:
    shown = load_command_class(app, name).create_parser("manage.py", name).format_help()
    assert f"./manage.py {name}" in shown
    assert "exit codes:\n  0  " in shown
    assert "--json" in shown


@pytest.mark.parametrize("name", ["verify_ledger", pytest.param("create_system_user", marks=pytest.mark.slow)])
def test_a_database_that_is_away_is_one_line_and_exit_code_2(name: str) -> None:
    """The one asks PyMongo, the other the ORM, which wraps its errors."""
    away = run(name, "--json", MONGODB_URI="mongodb://127.0.0.1:1/?replicaSet=ledger")
    assert away.returncode == 2
    assert json.loads(away.stdout)["error"]["code"] == "unavailable"
    assert away.stderr.startswith("CommandError: the database cannot be reached: ")
    assert away.stderr.count("\n") == 1


class TestCreateSystemUser:
    def test_makes_a_system_user_with_an_equity_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", PASSWORD)
        answer = ask("create_system_user", "--email", " Bank@Example.com ", "--currency", "EUR")
        user = User.objects.get()
        assert answer == {
            "user": str(user.pk),
            "email": "bank@example.com",
            "created": True,
            "equity_account": str(Account.objects.get().pk),
        }
        assert user.is_system
        assert user.check_password(PASSWORD)
        account = Account.objects.get()
        assert (account.kind, account.currency, account.may_overdraw) == ("EQUITY", "EUR", True)

    def test_sends_no_welcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", PASSWORD)
        call_command("create_system_user", stdout=io.StringIO())
        assert not Notification.objects.exists()

    def test_twice_leaves_user_password_and_account_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", PASSWORD)
        first = ask("create_system_user")
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", "another long password")
        second = ask("create_system_user")
        assert second == first | {"created": False}
        assert User.objects.get().check_password(PASSWORD)
        assert Account.objects.count() == 1

    def test_at_the_same_time_makes_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", PASSWORD)
        answers = together([lambda: ask("create_system_user")] * 4)
        assert sorted(answer["created"] for answer in answers) == [False, False, False, True]
        assert User.objects.count() == Account.objects.count() == 1

    def test_adds_a_currency_to_one_that_is_there(self, system_user: User) -> None:
        answer = ask("create_system_user", "--email", system_user.email, "--currency", "USD")
        assert not answer["created"]
        assert set(Account.objects.values_list("currency", flat=True)) == {"INR", "USD"}

    def test_never_turns_a_customer_into_a_system_user(self, new_user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_PASSWORD", PASSWORD)
        new_user(email="asha@example.com")
        assert "ordinary user" in refusal("create_system_user", "--email", "asha@example.com")
        assert not User.objects.get().is_system
        assert not Account.objects.exists()

    @pytest.mark.parametrize(
        ("arguments", "password", "said"),
        [
            (["--email", "nobody"], PASSWORD, "not an e-mail address"),
            (["--currency", "XYZ"], PASSWORD, "ISO 4217"),
            ([], "short", "too short"),
            ([], "password123", "too common"),
            ([], "x" * 129, "longer than 128"),
            ([], None, "set SYSTEM_USER_PASSWORD"),
        ],
    )
    def test_refuses_what_it_cannot_use_and_stores_nothing(
        self, monkeypatch: pytest.MonkeyPatch, arguments: list[str], password: str | None, said: str
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        if password is not None:
            monkeypatch.setenv("SYSTEM_USER_PASSWORD", password)
        assert said in refusal("create_system_user", *arguments)
        assert not User.objects.exists()
        assert not Account.objects.exists()

    def test_reads_the_password_from_standard_input_when_told_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
        call_command("create_system_user", "--password-stdin", stdout=io.StringIO())
        assert User.objects.get().check_password(PASSWORD)

    def test_is_a_program(self) -> None:
        made = run("create_system_user", SYSTEM_USER_EMAIL="bank@example.com", SYSTEM_USER_PASSWORD=PASSWORD)
        assert (made.returncode, made.stderr) == (0, "")
        assert made.stdout.startswith("system user bank@example.com: created\nequity account in INR: ")
        refused = run("create_system_user", "--currency", "XYZ", "--json", SYSTEM_USER_PASSWORD=PASSWORD)
        assert refused.returncode == 1
        assert json.loads(refused.stdout)["error"]["code"] == "unknown_currency"
        assert refused.stderr == "CommandError: currency must be an ISO 4217 code\n"


class TestSeedSystemFunds:
    def test_without_an_account_funds_the_treasury_from_equity(self) -> None:
        answer = ask("seed_system_funds", "--amount", "1000000", "--key", "opening")
        treasury, equity = Account.objects.get(kind="TREASURY"), Account.objects.get(kind="EQUITY")
        assert (treasury.balance, equity.balance) == (1_000_000, -1_000_000)
        assert (answer["key"], answer["amount"], answer["currency"]) == ("opening", 1_000_000, "INR")
        (result,) = answer["results"]
        made = Transaction.objects.get()
        assert result == {
            "account": str(treasury.pk),
            "result": "posted",
            "transaction": str(made.pk),
            "key": "opening",
        }
        assert made.kind == "INITIAL_FUNDS"
        assert verify().whole

    def test_makes_a_system_user_that_cannot_log_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_USER_EMAIL", "bank@example.com")
        ask("seed_system_funds", "--amount", "5")
        user = User.objects.get()
        assert (user.email, user.is_system, user.has_usable_password()) == ("bank@example.com", True, False)

    def test_uses_the_system_user_that_is_there(self, system_user: User) -> None:
        ask("seed_system_funds", "--amount", "5", "--system-user", system_user.email)
        assert User.objects.count() == 1
        assert Account.objects.get(kind="EQUITY").balance == -5

    def test_funds_each_of_the_given_accounts(self, new_user: Any, new_account: Any) -> None:
        first, second, third = (str(new_account(new_user()).pk) for _ in range(3))
        answer = ask("seed_system_funds", "--amount", "99.50", "--to", first, second, "--to", third, first)
        assert [row["account"] for row in answer["results"]] == [first, second, third]
        assert [balance(account) for account in (first, second, third)] == [Decimal("99.5")] * 3
        assert not Account.objects.filter(kind="TREASURY").exists()

    def test_twice_with_one_key_moves_money_once(self, new_user: Any, new_account: Any) -> None:
        account = str(new_account(new_user()).pk)
        arguments = ("seed_system_funds", "--amount", "10", "--key", "opening", "--to", account)
        first, second = ask(*arguments), ask(*arguments)
        assert [first["results"][0]["result"], second["results"][0]["result"]] == ["posted", "already processed"]
        assert first["results"][0]["transaction"] == second["results"][0]["transaction"]
        assert balance(account) == 10

    def test_again_with_an_account_more_funds_only_that_one(self, new_user: Any, new_account: Any) -> None:
        first, second = (str(new_account(new_user()).pk) for _ in range(2))
        ask("seed_system_funds", "--amount", "10", "--key", "opening", "--to", first)
        answer = ask("seed_system_funds", "--amount", "10", "--key", "opening", "--to", first, second)
        assert [row["result"] for row in answer["results"]] == ["already processed", "posted"]
        assert (balance(first), balance(second)) == (10, 10)

    def test_with_a_key_of_another_amount_is_refused(self) -> None:
        ask("seed_system_funds", "--amount", "10", "--key", "opening")
        assert "already used" in refusal("seed_system_funds", "--amount", "11", "--key", "opening")
        assert Account.objects.get(kind="TREASURY").balance == 10

    def test_at_the_same_time_with_one_key_moves_money_once(self) -> None:
        answers = together([lambda: ask("seed_system_funds", "--amount", "10", "--key", "opening")] * 4)
        results = sorted(answer["results"][0]["result"] for answer in answers)
        assert results == ["already processed"] * 3 + ["posted"]
        assert Account.objects.get(kind="TREASURY").balance == 10
        assert User.objects.count() == 1

    def test_without_a_key_prints_one_with_which_it_can_be_repeated(self) -> None:
        out = io.StringIO()
        call_command("seed_system_funds", "--amount", "10", stdout=out)
        key = out.getvalue().splitlines()[0].removeprefix("key: ")
        assert ask("seed_system_funds", "--amount", "10", "--key", key)["results"][0]["result"] == "already processed"
        assert ask("seed_system_funds", "--amount", "10")["results"][0]["result"] == "posted"
        assert Account.objects.get(kind="TREASURY").balance == 20

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--amount", "0"], "greater than zero"),
            (["--amount=-5"], "greater than zero"),
            (["--amount", "much"], "positive number"),
            (["--amount", "NaN"], "positive number"),
            (["--amount", "1.005"], "more decimals than INR"),
            (["--amount", "1.5", "--currency", "JPY"], "more decimals than JPY"),
            (["--amount", "1e30"], "out of range"),
            (["--amount", "5", "--currency", "XYZ"], "ISO 4217"),
            (["--amount", "5", "--to", "me"], "not an account id"),
            (["--amount", "5", "--to", "f" * 24], "no account"),
            (["--amount", "5", "--key", ""], "1 to 230"),
            (["--amount", "5", "--key", "k" * 231], "1 to 230"),
            (["--amount", "5", "--system-user", "nobody"], "not an e-mail address"),
        ],
    )
    def test_refuses_what_it_cannot_use_and_stores_nothing(self, arguments: list[str], said: str) -> None:
        assert said in refusal("seed_system_funds", *arguments)
        assert nothing_moved()
        assert not User.objects.exists()

    def test_refuses_all_when_one_account_is_of_another_currency(self, new_user: Any, new_account: Any) -> None:
        rupees, dollars = (str(new_account(new_user(), currency=currency).pk) for currency in ("INR", "USD"))
        assert f"account {dollars} holds USD" in refusal("seed_system_funds", "--amount", "5", "--to", rupees, dollars)
        assert nothing_moved()

    def test_refuses_a_customer_as_the_system_user(self, new_user: Any) -> None:
        new_user(email="asha@example.com")
        assert "ordinary" in refusal("seed_system_funds", "--amount", "5", "--system-user", "asha@example.com")
        assert nothing_moved()

    def test_tells_which_account_was_refused_and_funds_the_others(self, new_user: Any, new_account: Any) -> None:
        frozen, active = (new_account(new_user()) for _ in range(2))
        Account.objects.filter(pk=frozen.pk).update(status="FROZEN")
        out = io.StringIO()
        with pytest.raises(CommandError, match=r"1 of 2 refused: .* must be ACTIVE") as caught:
            call_command(
                "seed_system_funds", "--amount=5", "--to", str(frozen.pk), str(active.pk), "--json", stdout=out
            )
        assert caught.value.returncode == 1
        assert [row.get("code", row["result"]) for row in json.loads(out.getvalue())["results"]] == [
            "account_not_active",
            "posted",
        ]
        assert (balance(frozen.pk), balance(active.pk)) == (0, 5)

    @pytest.mark.slow
    def test_is_a_program_and_two_of_it_at_once_move_money_once(self) -> None:
        arguments = ("seed_system_funds", "--amount", "1000000", "--key", "opening", "--json")
        runs = together([lambda: run(*arguments)] * 2)
        assert [done.returncode for done in runs] == [0, 0], [done.stderr for done in runs]
        results = [json.loads(done.stdout)["results"][0]["result"] for done in runs]
        assert sorted(results) == ["already processed", "posted"]
        assert Account.objects.get(kind="TREASURY").balance == 1_000_000

    @pytest.mark.slow
    def test_ends_with_exit_code_1_and_one_line_when_refused(self) -> None:
        refused = run("seed_system_funds", "--amount", "much")
        assert refused.returncode == 1
        assert refused.stderr == "CommandError: amount must be a positive number\n"
        assert nothing_moved()


class TestVerifyLedger:
    def test_says_that_an_untouched_ledger_is_whole(self, new_user: Any, new_account: Any) -> None:
        new_account(new_user(), funds="10.50")
        proven = run("verify_ledger")
        assert (proven.returncode, proven.stderr) == (0, "")
        first, second, last = proven.stdout.splitlines()
        assert first.startswith("verified 2 accounts, 1 transactions and 2 entries in ")
        assert second == "INR: 10.5 issued; the balances of 2 accounts sum to 0"
        assert last == "The ledger is whole."

    @pytest.mark.slow
    def test_names_what_was_tampered_with_and_ends_with_exit_code_1(self, new_user: Any, new_account: Any) -> None:
        account = new_account(new_user(), funds=10)
        database().accounts.update_one({"_id": account.pk}, {"$inc": {"balance_minor": 1}})
        tampered = run("verify_ledger")
        assert tampered.returncode == 1
        assert f"account_balance  {account.pk}  balance is 1001, its 1 entries make 1000\n" in tampered.stdout
        assert "The ledger is whole." not in tampered.stdout
        assert tampered.stderr == "CommandError: The ledger is not whole: sum_not_zero 1, account_balance 1\n"

    def test_with_json_prints_one_object_whatever_it_finds(self, new_user: Any, new_account: Any) -> None:
        account = new_account(new_user(), funds=10)
        assert ask("verify_ledger")["whole"] is True
        database().accounts.update_one({"_id": account.pk}, {"$inc": {"balance_minor": 1}})
        out = io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command("verify_ledger", "--json", "--limit-findings=1", stdout=out)
        assert caught.value.returncode == 1
        answer = json.loads(out.getvalue())
        assert answer.pop("seconds") > 0
        assert answer == {
            "whole": False,
            "accounts": 2,
            "transactions": 1,
            "entries": 2,
            "currencies": {"INR": {"accounts": 2, "issued_minor": 1000, "sum_minor": 1}},
            "counts": {"sum_not_zero": 1, "account_balance": 1},
            "findings": [
                {"code": "sum_not_zero", "subject": "INR", "message": "2 balances of INR sum to 1, not 0"},
            ],
        }

    def test_prints_the_first_findings_and_how_many_it_left_out(self, new_user: Any, new_account: Any) -> None:
        new_account(new_user(), funds=10)
        database().transactions.delete_many({})
        out = io.StringIO()
        with pytest.raises(CommandError, match="transaction_missing 2"):
            call_command("verify_ledger", "--limit-findings=1", stdout=out)
        assert out.getvalue().count("transaction_missing") == 1
        assert out.getvalue().endswith("... and 1 more\n")

    def test_verifies_one_account(self, new_user: Any, new_account: Any) -> None:
        account = new_account(new_user(), funds=10)
        assert ask("verify_ledger", "--account", str(account.pk))["entries"] == 1

    def test_survives_a_currency_that_there_is_not(self, new_user: Any, new_account: Any) -> None:
        account = new_account(new_user())
        database().accounts.update_one({"_id": account.pk}, {"$set": {"currency": "???"}})
        out = io.StringIO()
        call_command("verify_ledger", stdout=out)
        assert "???: 0 minor units issued" in out.getvalue()

    @pytest.mark.parametrize(("account", "said"), [("me", "not an account id"), ("f" * 24, "Account not found")])
    def test_refuses_an_account_that_there_is_not(self, account: str, said: str) -> None:
        assert said in refusal("verify_ledger", "--account", account)


class TestCreateDemoData:
    def test_makes_two_users_with_money_and_payments_between_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEMO_PASSWORD", PASSWORD)
        answer = ask("create_demo_data")
        assert [row["email"] for row in answer["users"]] == ["demo1@ledger.local", "demo2@ledger.local"]
        assert (answer["posted"], answer["refused"]) == (8, 0)
        for row in answer["users"]:
            assert row["password"] == PASSWORD
            assert User.objects.get(email=row["email"]).check_password(PASSWORD)
            assert balance(ObjectId(row["account"])) == 1000  # paid as much as it was paid
        assert verify().whole

    def test_twice_changes_nothing(self) -> None:
        first, second = ask("create_demo_data"), ask("create_demo_data")
        assert second["posted"] == 0
        assert [row["account"] for row in second["users"]] == [row["account"] for row in first["users"]]
        assert [row["password"] for row in second["users"]] == [None, None]
        assert User.objects.get(email="demo1@ledger.local").check_password(first["users"][0]["password"])
        assert Transaction.objects.count() == 8

    def test_makes_as_many_users_as_it_is_told_to(self) -> None:
        assert len(ask("create_demo_data", "--users", "3")["users"]) == 3
        assert Account.objects.filter(kind=Account.Kind.CUSTOMER).count() == 3

    @pytest.mark.parametrize("users", ["1", "0", "-1", "1001"])
    def test_refuses_too_few_and_too_many(self, users: str) -> None:
        assert "--users is 2 to 1000" in refusal("create_demo_data", f"--users={users}")
        assert not User.objects.exists()

    def test_refuses_to_run_in_production(self, settings: Any) -> None:
        settings.ENVIRONMENT = "production"
        assert "production" in refusal("create_demo_data")
        assert not User.objects.exists()

    @pytest.mark.slow
    def test_is_a_program(self) -> None:
        made = run("create_demo_data", DEMO_PASSWORD=PASSWORD)
        assert (made.returncode, made.stderr) == (0, "")
        first, second, last = made.stdout.splitlines()
        assert first.startswith(f"demo1@ledger.local  password {PASSWORD}  account ")
        assert second.startswith(f"demo2@ledger.local  password {PASSWORD}  account ")
        assert last == "8 of 8 transfers posted now"
        refused = run("create_demo_data", "--users", "0")
        assert (refused.returncode, refused.stdout) == (1, "")


class TestFundingEverybody:
    def test_every_active_customer_account_of_the_currency_is_funded_once(self, new_user, new_account, monkeypatch):
        monkeypatch.setattr("transactions.ledger.GROUP_LIMIT", 2)  # more than one group
        funded = [new_account(new_user()) for _ in range(5)]
        yen = new_account(new_user(), currency="JPY")
        for _ in range(2):
            ask("seed_system_funds", "--amount", "10", "--all", "--key", "everybody")
        assert [balance(account.pk) for account in funded] == [10] * 5
        assert balance(yen.pk) == 0

    def test_with_to_it_is_refused(self, new_user, new_account):
        account = new_account(new_user())
        assert "exclude" in refusal("seed_system_funds", "--amount", "10", "--all", "--to", str(account.pk))
        assert nothing_moved()

    def test_nobody_to_fund_is_said(self):
        assert "no active account" in refusal("seed_system_funds", "--amount", "10", "--all")
