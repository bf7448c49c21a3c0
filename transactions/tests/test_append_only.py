"""Nothing in the ledger is edited: not through the ORM, and what is wrong in itself not even by the server."""

import pytest
from asgiref.sync import async_to_sync
from bson import Int64, ObjectId
from django.db.models import F, ProtectedError
from pymongo.errors import DuplicateKeyError, WriteError

from accounts.models import GENESIS, Account, MoneyIsPosted
from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from transactions.models import Entry, LedgerIsAppendOnly, Transaction

DOCUMENT_FAILED_VALIDATION = 121
ANOTHER = ObjectId("a" * 24)


@pytest.fixture
def account(new_user, new_account):
    return new_account(new_user(), funds=500)


LEDGER_WRITES = {
    "save": lambda m, row: row.save(),
    "save a field": lambda m, row: row.save(update_fields=["amount_minor"]),
    "save by force": lambda m, row: row.save(force_insert=True),
    "save forced as an update": lambda m, row: row.save(force_update=True),
    "save_base": lambda m, row: row.save_base(raw=True),
    "refresh, then save": lambda m, row: (row.refresh_from_db(), row.save()),
    "a new row": lambda m, row: m(amount_minor=1).save(),
    "a copy": lambda m, row: (setattr(row, "pk", None), row.save()),
    "delete": lambda m, row: row.delete(),
    "asave": lambda m, row: row.asave(),
    "adelete": lambda m, row: row.adelete(),
    "update": lambda m, row: m.objects.update(amount_minor=1),
    "update by F": lambda m, row: m.objects.filter(pk=row.pk).update(amount_minor=F("amount_minor") + 1),
    "_update": lambda m, row: m.objects.all()._update([]),
    "_insert": lambda m, row: m.objects.all()._insert([row], m._meta.fields),
    "queryset delete": lambda m, row: m.objects.all().delete(),
    "_raw_delete": lambda m, row: m.objects.all()._raw_delete("default"),
    "create": lambda m, row: m.objects.create(amount_minor=1),
    "bulk_create": lambda m, row: m.objects.bulk_create([m(amount_minor=1)]),
    "bulk_update": lambda m, row: m.objects.bulk_update([row], ["amount_minor"]),
    "get_or_create": lambda m, row: m.objects.get_or_create(pk=ObjectId()),
    "update_or_create": lambda m, row: m.objects.update_or_create(pk=row.pk, defaults={"amount_minor": 1}),
    "acreate": lambda m, row: m.objects.acreate(amount_minor=1),
    "aupdate": lambda m, row: m.objects.aupdate(amount_minor=1),
    "adelete of a queryset": lambda m, row: m.objects.all().adelete(),
    "abulk_create": lambda m, row: m.objects.abulk_create([]),
    "abulk_update": lambda m, row: m.objects.abulk_update([], ["amount_minor"]),
    "aget_or_create": lambda m, row: m.objects.aget_or_create(pk=ObjectId()),
    "aupdate_or_create": lambda m, row: m.objects.aupdate_or_create(pk=row.pk),
    "base manager, update": lambda m, row: m._base_manager.update(amount_minor=1),
    "base manager, delete": lambda m, row: m._base_manager.all().delete(),
    "default manager, create": lambda m, row: m._default_manager.create(amount_minor=1),
    "another alias": lambda m, row: m.objects.using("default").update(amount_minor=1),
    "a sliced and sorted queryset": lambda m, row: m.objects.order_by("pk")[:1].delete(),
    "a chain of filters": lambda m, row: m.objects.exclude(pk=None).filter(amount_minor__gt=0).distinct().delete(),
}


@pytest.mark.parametrize("model", [Entry, Transaction])
@pytest.mark.parametrize("way", LEDGER_WRITES)
def test_no_way_of_the_orm_writes_the_ledger(account, model, way):
    row = model.objects.first()
    before = dump()
    with pytest.raises(LedgerIsAppendOnly):
        LEDGER_WRITES[way](model, row)
    assert dump() == before


def test_the_ledger_has_no_related_managers_to_write_through(account, new_user):
    names = {"entry_set", "transaction_set", "entries", "transactions"}
    assert not names & set(dir(account))
    assert not names & set(dir(new_user()))
    assert not names & set(dir(Transaction.objects.first()))


def test_the_ledger_reads_like_any_other(account):
    entry = Entry.objects.get(account=account)
    assert entry in Entry.objects.filter(transaction=entry.transaction)
    assert Entry.objects.count() == 2


def test_what_the_ledger_stands_on_cannot_be_deleted(account):
    before = dump()
    for delete in (account.delete, Account.objects.filter(pk=account.pk).delete, account.user.delete):
        with pytest.raises(ProtectedError):
            delete()
    assert dump() == before


def raised(row: Account, **fields) -> Account:
    for name, value in fields.items():
        setattr(row, name, value)
    return row


ACCOUNT_WRITES = {
    "save": lambda row: raised(row, balance_minor=1).save(),
    "save without a change": lambda row: row.save(),
    "save the balance": lambda row: raised(row, balance_minor=1).save(update_fields=["balance_minor"]),
    "save among others": lambda row: raised(row, balance_minor=1).save(update_fields=["name", "balance_minor"]),
    "save the sequence": lambda row: row.save(update_fields=["sequence"]),
    "save the chain": lambda row: row.save(update_fields=["chain_head"]),
    "save the currency": lambda row: row.save(update_fields=["currency"]),
    "save the overdraft": lambda row: row.save(update_fields=["may_overdraw"]),
    "save the owner": lambda row: row.save(update_fields=["user"]),
    "save by force": lambda row: row.save(force_update=True),
    "save_base": lambda row: raised(row, balance_minor=1).save_base(),
    "save_base of a field": lambda row: raised(row, balance_minor=1).save_base(update_fields=["balance_minor"]),
    "save_base raw": lambda row: raised(row, balance_minor=1).save_base(raw=True),
    "save an F": lambda row: raised(row, balance_minor=F("balance_minor") + 1).save(update_fields=["balance_minor"]),
    "asave": lambda row: async_to_sync(row.asave)(),
    "update": lambda row: Account.objects.filter(pk=row.pk).update(balance_minor=1),
    "update by F": lambda row: Account.objects.filter(pk=row.pk).update(balance_minor=F("balance_minor") * 2),
    "update the owner": lambda row: Account.objects.filter(pk=row.pk).update(user=row.user),
    "update the owner's id": lambda row: Account.objects.filter(pk=row.pk).update(user_id=ObjectId()),
    "aupdate": lambda row: async_to_sync(Account.objects.filter(pk=row.pk).aupdate)(balance_minor=1),
    "bulk_update": lambda row: Account.objects.bulk_update([row], ["balance_minor"]),
    "update_or_create": lambda row: Account.objects.update_or_create(pk=row.pk, defaults={"balance_minor": 1}),
    "base manager": lambda row: Account._base_manager.filter(pk=row.pk).update(balance_minor=1),
    "the user's accounts": lambda row: row.user.account_set.update(balance_minor=1),
    "an account with money": lambda row: Account(user=row.user, currency="INR", balance_minor=1).save(),
    "create with money": lambda row: Account.objects.create(user=row.user, currency="INR", balance_minor=1),
    "bulk_create with money": lambda row: Account.objects.bulk_create(
        [Account(user=row.user, currency="INR", balance_minor=1)]
    ),
    "create with entries": lambda row: Account.objects.create(user=row.user, currency="INR", sequence=1),
    "a copy": lambda row: raised(row, pk=None).save(force_insert=True),
}


@pytest.mark.parametrize("way", ACCOUNT_WRITES)
def test_no_way_of_the_orm_moves_money(account, way):
    before = dump()
    with pytest.raises(MoneyIsPosted):
        ACCOUNT_WRITES[way](account)
    assert dump() == before


def test_what_is_no_money_may_be_saved(account):
    account.name = "Wallet"
    account.save(update_fields=["name"])
    Account.objects.filter(pk=account.pk).update(status=Account.Status.FROZEN)
    account.refresh_from_db()
    assert (account.name, account.status, account.balance_minor) == ("Wallet", "FROZEN", 50000)


# --- What the server refuses, whoever asks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        *({"balance_minor": -1}, {"balance_minor": Int64(-1)}, {"balance_minor": 500.0}, {"balance_minor": 0.5}),
        *({"balance_minor": "500"}, {"balance_minor": None}, {"balance_minor": float("nan")}, {"sequence": -1}),
        *({"sequence": 1.5}, {"status": "OPEN"}, {"kind": "OTHER"}, {"currency": "RUPEE"}, {"chain_head": "short"}),
        *({"may_overdraw": 1}, {"user": "somebody"}),
    ],
    ids=str,
)
def test_the_server_refuses_an_impossible_account(account, change):
    before = dump()
    with pytest.raises(WriteError) as refused:
        database()["accounts"].update_one({"_id": account.pk}, {"$set": change})
    assert refused.value.code == DOCUMENT_FAILED_VALIDATION
    assert dump() == before


def test_the_server_refuses_to_take_more_than_there_is(account):
    before = dump()
    with pytest.raises(WriteError) as refused:
        database()["accounts"].update_one({"_id": account.pk}, {"$inc": {"balance_minor": -50001}})
    assert refused.value.code == DOCUMENT_FAILED_VALIDATION
    assert dump() == before


def test_the_server_refuses_a_sum_that_left_the_range_of_an_int64(account):
    """MongoDB would go on with a double, silently."""
    database()["accounts"].update_one({"_id": account.pk}, {"$set": {"balance_minor": Int64(2**63 - 1)}})
    before = dump()
    with pytest.raises(WriteError):
        database()["accounts"].update_one({"_id": account.pk}, {"$inc": {"balance_minor": Int64(1)}})
    assert dump() == before


def test_the_server_refuses_an_account_without_a_balance(account):
    row = database()["accounts"].find_one({"_id": account.pk}) | {"_id": ObjectId()}
    del row["balance_minor"]
    before = dump()
    with pytest.raises(WriteError):
        database()["accounts"].insert_one(row)
    assert dump() == before


def test_the_server_lets_an_equity_account_go_below_zero(account):
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    database()["accounts"].update_one({"_id": equity.pk}, {"$set": {"balance_minor": Int64(-(10**15))}})
    equity.refresh_from_db()
    assert equity.balance_minor == -(10**15)


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        *(("entries", {"amount_minor": amount}) for amount in (0, -1, 1.0, "1", None)),
        *(("entries", change) for change in ({"sequence": 0}, {"direction": "UP"}, {"balance_after_minor": 0.5})),
        *(("transactions", {"amount_minor": amount}) for amount in (0, -1, 1.0, "1", None)),
        *(("transactions", {"idempotency_key": key}) for key in ("", "k" * 256, 7, None)),
        ("transactions", {"from_account": "somewhere"}),
        *(("transactions", {"reverses": ANOTHER, "kind": kind, "reason": "x"}) for kind in ("TRANSFER", "GIFT")),
        *(("transactions", change) for change in ({"kind": "REVERSAL"}, {"kind": "REVERSAL", "reverses": ANOTHER})),
        ("transactions", {"kind": "REVERSAL", "reverses": ANOTHER, "reason": ""}),
        ("transactions", {"kind": "REVERSAL", "reverses": ANOTHER, "reason": "x", "reversed_by": ANOTHER}),
        *(("transactions", change) for change in ({"status": "REVERSED"}, {"reversed_by": ANOTHER})),
        ("transactions", {"status": "LOST"}),
    ],
    ids=str,
)
def test_the_server_refuses_an_impossible_ledger_row(account, collection, change):
    fresh = {"entries": {"account": ObjectId()}, "transactions": {"initiator": ObjectId()}}[collection]
    row = database()[collection].find_one() | {"_id": ObjectId()} | fresh
    before = dump()
    with pytest.raises(WriteError) as refused:
        database()[collection].insert_one(row | change)
    assert refused.value.code == DOCUMENT_FAILED_VALIDATION
    assert dump() == before


@pytest.mark.parametrize("collection", ["entries", "transactions"])
def test_the_server_refuses_a_second_row_for_one_key_or_one_place_in_the_sequence(account, collection):
    row = database()[collection].find_one() | {"_id": ObjectId()}
    before = dump()
    with pytest.raises(DuplicateKeyError):
        database()[collection].insert_one(row)
    assert dump() == before


def test_a_new_account_starts_its_chain_at_genesis(new_user, new_account):
    assert new_account(new_user()).chain_head == GENESIS
