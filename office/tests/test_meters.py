"""The engine's counts: in memory while money moves, in the hour's document after a flush."""

from collections import Counter
from decimal import Decimal
from uuid import uuid4

import pytest

from ledger_project.tests.profiler import profiled
from office.models import EngineHour
from transactions import ledger
from transactions.meters import Meters, meters
from transactions.posting import Transfer
from transactions.refusals import InsufficientFunds
from users.tests.browsing import browser
from users.tests.waiting import together, wait_until


@pytest.fixture
def accounts(new_user, new_account):
    found = new_account(new_user(), funds=10), new_account(new_user())
    meters.begin_anew()
    return found


def transfer(accounts, amount):
    payer, payee = accounts
    return Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)


def total(name):
    """A number of all hours together: a full one may strike in the middle of a test."""
    return sum(EngineHour.objects.values_list(name, flat=True))


def totals(name):
    """The same of numbers by their names."""
    return sum(map(Counter, EngineHour.objects.values_list(name, flat=True)), Counter())


def test_postings_and_refusals_are_counted(accounts):
    ledger.post_together([transfer(accounts, 1), transfer(accounts, 2)])
    with pytest.raises(InsufficientFunds):
        ledger.post(transfer(accounts, 100))

    meters.flush()

    assert (total("calls"), total("groups"), total("transfers")) == (2, 1, 2)
    assert totals("refusals") == {"insufficient_funds": 1}
    assert totals("sizes") == {"2": 1}
    assert totals("milliseconds").total() == 2


def test_a_posting_writes_no_count(accounts):
    with profiled() as commands:
        ledger.post(transfer(accounts, 1))

    assert not [command for command in commands if command["ns"].endswith(".engine_hours")]


def test_several_processes_add_to_one_hour():
    processes = [Meters() for _ in range(4)]
    for process in processes:
        process.committed(3)
    together([process.flush for process in processes])

    assert total("groups") == 4


def test_what_could_not_be_written_waits_for_the_next_flush(fail_command):
    counts = Meters()
    counts.committed(3)
    fail_command("update", times="alwaysOn", errorCode=96)
    counts.flush()
    assert not EngineHour.objects.exists()
    fail_command("update", times="off")
    counts.flush()
    counts.flush()

    assert total("groups") == 1


def test_values_past_the_last_bound_are_counted_under_it():
    counts = Meters()
    counts.committed(10**6)
    counts.answered([], seconds=1000)
    counts.flush()

    assert (totals("sizes"), totals("milliseconds")) == ({"1000": 1}, {"60000": 1})


def test_a_thread_of_its_own_writes_them_down(settings):
    settings.METERS_FLUSH_SECONDS = 0.05
    counts = Meters()
    counts.answered([], seconds=0.001)
    wait_until(EngineHour.objects.exists)
    counts.answered([], seconds=0.001)
    wait_until(lambda: total("calls") == 2)


def test_staff_see_an_hour_in_which_nothing_was_refused(accounts, new_user):
    ledger.post(transfer(accounts, 1))
    meters.flush()
    hour = EngineHour.objects.all()[0].pk
    client = browser(new_user(is_staff=True, is_superuser=True))
    for address in ("", f"{hour}/change/", "export/csv/"):
        assert client.get(f"/admin/office/enginehour/{address}").status_code == 200
