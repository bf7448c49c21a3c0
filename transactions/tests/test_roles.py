"""create_database_roles, and what the roles say. What the server makes of them: test_roles_enforced.py."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command

from ledger_project.mongo import database
from transactions.models import Entry, LedgerRow
from transactions.roles import APPLICATION, AUDITOR, BACKUP, OF_MIGRATIONS, ROLES, create_roles, definitions
from users.models import AuditEntry

DANGEROUS = {"bypassDocumentValidation", "anyAction", "renameCollectionSameDB", "internal"}


@pytest.fixture
def no_roles() -> Iterator[None]:
    yield
    database().command("dropAllRolesFromDatabase")


def actions(role: str, collection: str) -> set[str]:
    privileges = definitions("ledger")[role]["privileges"]
    return {a for p in privileges if p["resource"]["collection"] in (collection, "") for a in p["actions"]}


def stored() -> dict[str, Any]:
    return {role["role"]: role for role in database().command("rolesInfo", 1, showPrivileges=True)["roles"]}


def test_there_are_four_and_twice_is_as_good_as_once(no_roles: None, capsys: Any) -> None:
    call_command("create_database_roles", json=True)
    told = json.loads(capsys.readouterr().out)
    assert set(told["roles"]) == set(ROLES) == set(stored())
    before = stored()
    call_command("create_database_roles")
    assert stored() == before


def test_a_role_that_somebody_widened_is_put_right(no_roles: None) -> None:
    create_roles()
    before = stored()
    wide = {"resource": {"db": database().name, "collection": "entries"}, "actions": ["remove"]}
    database().command("grantPrivilegesToRole", APPLICATION, privileges=[wide])
    create_roles()
    assert stored() == before


def test_a_dry_run_creates_nothing(capsys: Any) -> None:
    call_command("create_database_roles", dry_run=True, json=True)
    assert json.loads(capsys.readouterr().out)["created"] is False
    assert stored() == {}


@pytest.mark.parametrize("model", [Entry, AuditEntry])
def test_the_application_only_finds_and_inserts(model: Any) -> None:
    assert actions(APPLICATION, model._meta.db_table) == {"find", "insert", "listCollections", "listIndexes"}


def test_nothing_that_knows_of_money_is_removed_or_dropped_by_anybody() -> None:
    ledger = ["accounts", *(m._meta.db_table for m in apps.get_models() if issubclass(m, LedgerRow))]
    assert {"entries", "transactions", "approval_requests"} <= set(ledger)
    for collection in ledger:
        for role in ROLES:
            assert not actions(role, collection) & {"remove", "dropCollection", *DANGEROUS}


def test_no_role_may_do_what_goes_round_a_validator() -> None:
    for role in definitions("ledger").values():
        assert not DANGEROUS & {action for privilege in role["privileges"] for action in privilege["actions"]}


def test_every_collection_that_the_service_made_is_the_application_s_to_write() -> None:
    named = {p["resource"]["collection"] for p in definitions("ledger")[APPLICATION]["privileges"]} | set(OF_MIGRATIONS)
    there = database().list_collection_names(filter={"type": "collection"})
    assert {name for name in there if not name.startswith("system.")} <= named


def test_auditor_and_backup_have_no_right_to_write() -> None:
    for role in (AUDITOR, BACKUP):
        named = {action for p in definitions("ledger")[role]["privileges"] for action in p["actions"]}
        assert named == {"find", "listCollections", "listIndexes"}
