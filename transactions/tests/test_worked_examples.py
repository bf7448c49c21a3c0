"""Worked examples, as in a textbook of accounting: what happens in the shop, and how the books look after it.

Read each from top to bottom. A balance is what the owner of the account has; the system's equity account shows, below
zero, the money that it has issued. The trial balance, the sum of all accounts of a currency, is always zero.
"""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db.models import Sum

from accounts.models import Account
from accounts.opening import ensure_system_account, open_account
from transactions import ledger
from transactions.models import Entry
from transactions.posting import Transfer
from transactions.refusals import InsufficientFunds


class Town:
    """People with an account each, called by their names."""

    def __init__(self, new_user, system_user) -> None:
        self.new_user, self.system_user = new_user, system_user
        self.accounts: dict[str, Account] = {}

    def moves_in(self, *names: str, currency: str = "INR") -> None:
        for name in names:
            self.accounts[name] = open_account(user_id=self.new_user(name=name).pk, currency=currency)

    def is_issued(self, name: str, amount: str) -> None:
        account = self.accounts[name]
        ensure_system_account(user_id=self.system_user.pk, currency=account.currency, kind=Account.Kind.EQUITY)
        self._post(self.system_user.pk, None, account, amount)

    def pays(self, payer: str, payee: str, amount: str, key: str | None = None) -> None:
        payer_account = self.accounts[payer]
        self._post(payer_account.user_id, payer_account.pk, self.accounts[payee], amount, key)

    def _post(self, initiator, from_account, to: Account, amount: str, key: str | None = None) -> None:
        ledger.post(
            Transfer(
                initiator=initiator,
                from_account=from_account,
                to_account=to.pk,
                amount=Decimal(amount),
                idempotency_key=key or uuid4().hex,
            )
        )

    def balances(self) -> dict[str, str]:
        return {name: str(Account.objects.get(pk=account.pk).balance) for name, account in self.accounts.items()}

    def issued(self, currency: str = "INR") -> str:
        return str(Account.objects.get(kind=Account.Kind.EQUITY, currency=currency).balance)

    def trial_balance(self, currency: str = "INR") -> int:
        return Account.objects.filter(currency=currency).aggregate(total=Sum("balance_minor"))["total"]

    def statement(self, name: str) -> list[tuple[str, str, str]]:
        entries = Entry.objects.filter(account=self.accounts[name]).order_by("sequence")
        return [(entry.direction, str(entry.amount), str(entry.balance_after)) for entry in entries]


@pytest.fixture
def town(new_user, system_user) -> Town:
    return Town(new_user, system_user)


def test_issuing_funds(town):
    """Asha brings 500 rupees in cash. She has 500; the system owes 500; together that is nothing."""
    town.moves_in("Asha")

    town.is_issued("Asha", "500")

    assert town.balances() == {"Asha": "500.00"}
    assert town.issued() == "-500.00"
    assert town.trial_balance() == 0


def test_a_purchase(town):
    """Asha buys vegetables for 120.50. Nothing is issued: what she has less, the shop has more."""
    town.moves_in("Asha", "Shop")
    town.is_issued("Asha", "500")

    town.pays("Asha", "Shop", "120.50")

    assert town.balances() == {"Asha": "379.50", "Shop": "120.50"}
    assert town.statement("Asha") == [("CREDIT", "500.00", "500.00"), ("DEBIT", "120.50", "379.50")]
    assert town.statement("Shop") == [("CREDIT", "120.50", "120.50")]
    assert town.issued() == "-500.00"
    assert town.trial_balance() == 0


def test_a_refund_is_a_new_transaction(town):
    """The tomatoes were bad. The purchase stays in the books for ever; the refund is written under it."""
    town.moves_in("Asha", "Shop")
    town.is_issued("Asha", "500")
    town.pays("Asha", "Shop", "120.50")

    town.pays("Shop", "Asha", "20.50")

    assert town.balances() == {"Asha": "400.00", "Shop": "100.00"}
    assert town.statement("Asha") == [
        ("CREDIT", "500.00", "500.00"),
        ("DEBIT", "120.50", "379.50"),
        ("CREDIT", "20.50", "400.00"),
    ]
    assert town.statement("Shop") == [("CREDIT", "120.50", "120.50"), ("DEBIT", "20.50", "100.00")]
    assert town.trial_balance() == 0


def test_a_salary_run(town):
    """The factory pays three workers on Friday; on Saturday the clerk, unsure, runs the same list again."""
    town.moves_in("Factory", "Chitra", "Dev", "Esha")
    town.is_issued("Factory", "100000")
    salaries = {"Chitra": "30000", "Dev": "25000.75", "Esha": "28000.10"}

    for _ in ("Friday", "Saturday"):
        for worker, salary in salaries.items():
            town.pays("Factory", worker, salary, key=f"salary-{worker}-2026-11")

    assert town.balances() == {"Factory": "16999.15", "Chitra": "30000.00", "Dev": "25000.75", "Esha": "28000.10"}
    assert len(town.statement("Factory")) == 4
    assert town.trial_balance() == 0


def test_a_salary_run_that_runs_out_of_money(town):
    """50 thousand do for the first worker, not for the second. Nobody is paid a part; the third, cheaper, is paid."""
    town.moves_in("Factory", "Chitra", "Dev", "Esha")
    town.is_issued("Factory", "50000")

    town.pays("Factory", "Chitra", "30000")
    with pytest.raises(InsufficientFunds, match=r"Current balance is 20000\. Requested amount is 25000\.75"):
        town.pays("Factory", "Dev", "25000.75")
    town.pays("Factory", "Esha", "20000")

    assert town.balances() == {"Factory": "0.00", "Chitra": "30000.00", "Dev": "0.00", "Esha": "20000.00"}
    assert town.trial_balance() == 0


def test_money_goes_round_and_comes_home(town):
    """A 100 rupee note passes through the whole town and pays every debt on its way."""
    town.moves_in("Hotel", "Butcher", "Farmer", "Miller")
    town.is_issued("Hotel", "100")

    for payer, payee in (("Hotel", "Butcher"), ("Butcher", "Farmer"), ("Farmer", "Miller"), ("Miller", "Hotel")):
        town.pays(payer, payee, "100")

    assert town.balances() == {"Hotel": "100.00", "Butcher": "0.00", "Farmer": "0.00", "Miller": "0.00"}
    assert town.issued() == "-100.00"
    assert town.trial_balance() == 0


def test_sharing_a_bill_to_the_last_paisa(town):
    """100 rupees for three: 33.33, 33.33 and 33.34. No rounding is left over, for there is none."""
    town.moves_in("Asha", "Ben", "Chitra", "Cook")
    for guest in ("Asha", "Ben", "Chitra"):
        town.is_issued(guest, "50")

    town.pays("Asha", "Cook", "33.33")
    town.pays("Ben", "Cook", "33.33")
    town.pays("Chitra", "Cook", "33.34")

    assert town.balances() == {"Asha": "16.67", "Ben": "16.67", "Chitra": "16.66", "Cook": "100.00"}
    assert town.trial_balance() == 0


@pytest.mark.parametrize(
    ("currency", "issued", "price", "left"),
    [("JPY", "1000", "333", "667"), ("BHD", "1", "0.001", "0.999"), ("INR", "1", "0.01", "0.99")],
)
def test_each_currency_in_its_own_smallest_coin(town, currency, issued, price, left):
    """Yen have no coins below one, dinars have thousandths; each currency has its own trial balance."""
    town.moves_in("Asha", "Shop", currency=currency)
    town.is_issued("Asha", issued)

    town.pays("Asha", "Shop", price)

    assert town.balances() == {"Asha": left, "Shop": price}
    assert Decimal(town.issued(currency)) == -Decimal(issued)
    assert town.trial_balance(currency) == 0


def test_a_month_in_the_shop(town):
    """Takings, rent, a supplier, a refund: the statement tells the month, and its last line is the balance."""
    town.moves_in("Shop", "Customers", "Landlord", "Supplier")
    town.is_issued("Customers", "5000")

    town.pays("Customers", "Shop", "1250.40")
    town.pays("Shop", "Landlord", "800")
    town.pays("Customers", "Shop", "2000")
    town.pays("Shop", "Supplier", "1499.99")
    town.pays("Shop", "Customers", "50.40")

    assert town.statement("Shop") == [
        ("CREDIT", "1250.40", "1250.40"),
        ("DEBIT", "800.00", "450.40"),
        ("CREDIT", "2000.00", "2450.40"),
        ("DEBIT", "1499.99", "950.41"),
        ("DEBIT", "50.40", "900.01"),
    ]
    assert town.balances()["Shop"] == "900.01"
    assert town.trial_balance() == 0
