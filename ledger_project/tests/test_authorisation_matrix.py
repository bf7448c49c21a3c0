"""Who may do what: every operation of the OpenAPI document, tried by everybody, with their own ids and with others'.

ROWS has one line for each operation. One that is missing fails the first test, and so does an id that no line fills in.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from bson import ObjectId, json_util
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from ledger_project.mongo import collection, database
from ledger_project.tests.dumps import dump
from ledger_project.tests.test_openapi import operations, resolved
from office.groups import AUDITOR, GROUPS, ensure_groups
from transactions import ledger
from transactions.models import Transaction
from transactions.posting import Transfer
from users.api_sessions import Device, begin
from users.models import ApiSession, User
from users.tokens import issue_token, revoke_tokens

# --- What must come ----------------------------------------------------------------------------------------------

# Tokens that open nothing, but that one may log out with.
NO_TOKEN = ("nobody", "forged token", "expired token", "disabled user", "deleted user")
ENDED_TOKEN = ("logged out", "revoked")
USERS = ("customer", "system user", "staff without groups", "Support", "Operations", "Approver", "Auditor", "superuser")
ROLES = (*NO_TOKEN, *ENDED_TOKEN, *USERS)
REVERSERS = ("Operations", "superuser")

REGISTRATION = {"name": "Eve", "email": "{new_email}", "password": "mango-harbour-92"}
TRANSFER = {"fromAccount": "{account}", "toAccount": "{payee}", "amount": 1, "idempotencyKey": "{key}"}
FUNDS = {"toAccount": "{payee}", "amount": 1, "idempotencyKey": "{key}"}


class Row(NamedTuple):
    """Who gets past the door, what is sent (the parameters of path and query, and the body), and what comes of it.

    {account}, {transaction} and {session} are the caller's own, which nobody else may name. {payee} and
    {any_transaction} belong to others by right. {start} and {end} are no ids of anything: places in a list.
    """

    who: tuple[str, ...] = USERS
    takes: dict[str, str] = {}
    body: Any = None
    comes: str | int = "in"  # for those past the door; a status where a secret is asked for that nobody here has


ROWS = {
    "register": Row(ROLES, body=REGISTRATION),
    "login": Row(ROLES, body={"email": "{email}", "password": "{password}"}),
    "logout": Row((*ENDED_TOKEN, *USERS)),
    "getCurrentUser": Row(),
    "openAccount": Row(body={"name": "Savings"}),
    "listAccounts": Row(takes={"cursor": "{start}"}),
    "getAccount": Row(takes={"accountId": "{account}"}),
    "getBalance": Row(takes={"accountId": "{account}"}),
    "getBalanceAt": Row(takes={"accountId": "{account}"}),
    "listEntries": Row(takes={"accountId": "{account}"}),
    "getBalanceHistory": Row(takes={"accountId": "{account}"}),
    "getStatement": Row(takes={"accountId": "{account}"}),
    "createTransfer": Row(body=TRANSFER),
    "createTransferBatch": Row(body={"transfers": [TRANSFER]}),
    "listTransactions": Row(takes={"account": "{account}", "cursor": "{end}"}),
    "getTransaction": Row(takes={"transactionId": "{transaction}"}),
    "issueInitialFunds": Row(("system user",), body=FUNDS),
    "issueInitialFundsBatch": Row(("system user",), body={"transfers": [FUNDS]}),
    "reverseTransaction": Row(
        REVERSERS, {"transactionId": "{any_transaction}"}, {"reason": "Paid twice", "idempotencyKey": "{key}"}
    ),
    "refresh": Row(ROLES, body={"refreshToken": "nobodys"}, comes=401),
    "askForPasswordReset": Row(ROLES, body={"email": "{email}"}),
    "resetPassword": Row(ROLES, body={"token": "nobodys", "newPassword": "staple-wagon-71"}, comes=400),
    "verifyEmail": Row(ROLES, body={"token": "nobodys"}, comes=400),
    "askForVerification": Row(ROLES, body={"email": "{email}"}),
    "listSessions": Row(),
    "endSession": Row(takes={"sessionId": "{session}"}),
    "endAllSessions": Row(),
    "changePassword": Row(body={"currentPassword": "{password}", "newPassword": "staple-wagon-71"}),
    **dict.fromkeys(("getHealth", "getReadiness", "getSchema", "getDocs"), Row(ROLES)),
}

OWN = ("account", "transaction", "session")
# Nobody's to set: ids, owners, money, roles, times, and what our own documents call them.
INJECTED = ObjectId("5eed5eed5eed5eed5eed5eed")
EXTRAS: dict[str, Any] = {
    "_id": str(INJECTED),
    "id": str(INJECTED),
    "user": "{victim}",
    "user_id": "{victim}",
    "initiator": "{victim}",
    "is_staff": True,
    "is_superuser": True,
    "is_system": True,
    "is_active": False,
    "token_generation": 7,
    "balance": 999,
    "balance_minor": 999,
    "sequence": 999,
    "may_overdraw": True,
    "chain_head": "f" * 64,
    "status": "CLOSED",
    "kind": "EQUITY",
    "groups": ["Operations"],
    "role": "admin",
    "reverses": "{victim}",
    "createdAt": "2001-01-01T00:00:00Z",
    "created_at": "2001-01-01T00:00:00Z",
    "updatedAt": "2001-01-01T00:00:00Z",
}
HEX_OF_24 = "{24}$"

# --- How it is tried ---------------------------------------------------------------------------------------------


class Caller:
    """Somebody with a token, or without one, who has an account with money in it, and sends what a row says."""

    def __init__(self, role: str, user: User, things: dict[str, str]) -> None:
        self.user, self.things = user, things
        self.authorization = authorization_of(role, user)
        self.gets_tokens = role in USERS
        self.client = APIClient(raise_request_exception=False)

    def send(self, operation_id: str, *, extras: dict[str, Any] | None = None, **instead: str) -> HttpResponse:
        """What the operation's row says; `instead` of the caller's own things, others; `extras` in every object."""
        method, path, _ = OPERATIONS[operation_id]
        row = ROWS[operation_id]
        things = self.things | {"key": uuid4().hex, "new_email": f"{uuid4().hex}@example.com"} | instead
        named, added = filled(row.takes, things), filled(extras or {}, things)
        address = re.sub(r"{(\w+)}", lambda found: named.pop(found[1]), path)
        call = getattr(self.client, method)
        if method == "get":
            return call(address, added | named, headers=self.headers())
        return call(address, with_extras(filled(row.body, things), added), headers=self.headers())

    def headers(self) -> dict[str, str]:
        """A fresh token each time, for who gets one: what was sent before may have ended the last."""
        if self.gets_tokens:
            self.authorization = f"Bearer {issue_token(User.objects.get(pk=self.user.pk))}"
        authorization = {"Authorization": self.authorization} if self.authorization else {}
        return {"X-Request-Id": "the-same-for-every-request", **authorization}


OPERATIONS = {operation["operationId"]: (method, path, operation) for method, path, operation in operations()}


def filled(template: Any, things: dict[str, str]) -> Any:
    """`template` with each "{thing}" in it replaced."""
    if isinstance(template, dict):
        return {name: filled(value, things) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, things) for value in template]
    return template.format_map(things) if isinstance(template, str) else template


def with_extras(body: Any, extras: dict[str, Any]) -> Any:
    """`body` with `extras` in every object of it that has no field of that name."""
    if isinstance(body, list):
        return [with_extras(each, extras) for each in body]
    if isinstance(body, dict):
        return extras | {name: with_extras(value, extras) for name, value in body.items()}
    return body


def inputs(operation: dict) -> Iterator[tuple[str, dict]]:
    """The name and the schema of each parameter, and of each field of the body at any depth."""
    for parameter in map(resolved, operation["parameters"]):
        yield parameter["name"], parameter["schema"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from fields_of(resolved(content["schema"]))


def fields_of(schema: dict) -> Iterator[tuple[str, dict]]:
    for name, described in schema.get("properties", {}).items():
        field = resolved(described)
        yield name, field
        yield from fields_of(field)
        yield from fields_of(resolved(field.get("items", {})))


def names_in(template: Any) -> set[str]:
    """Every name of a field in `template`, at any depth."""
    if isinstance(template, dict):
        return {*template, *(name for value in template.values() for name in names_in(value))}
    return {name for value in template for name in names_in(value)} if isinstance(template, list) else set()


def outcome(response: HttpResponse) -> str | int:
    """ "in" for what was carried out, else the status; a batch whose items are all refused was not carried out."""
    if response.status_code >= 400:
        return response.status_code
    answer = json.loads(response.content) if "json" in response["Content-Type"] else {}
    statuses = [item["status"] for item in answer.get("results", [])]
    return min(statuses) if statuses and min(statuses) >= 400 else "in"


def seen(response: HttpResponse) -> tuple[int, dict[str, str], bytes]:
    """All that a client sees of an answer, but for RateLimit, which counts the caller's own requests."""
    headers = {name: value for name, value in response.items() if name != "RateLimit"}
    return response.status_code, headers, response.content


def told(response: HttpResponse, before: dict[str, Any]) -> str:
    """The answer, and every collection, with names for the ids, tokens and times that are new since `before`."""
    text = response.content.decode() + json_util.dumps(dump(), sort_keys=True)
    known = json_util.dumps(before)
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return found[0] if found[0] in known else names.setdefault(found[0], f"<new {len(names)}>")

    moments = rf"({timezone.now().year}|{(timezone.now() - timedelta(days=1)).year})-\d\d-\d\dT[\d:.]+Z"
    text = re.sub(moments, "<now>", text)
    return re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|bcrypt\w*\$\$[^\"]+|[0-9a-f]{24,64}", named, text)


def restore(before: dict[str, list[dict[str, Any]]]) -> None:
    """Put the database back as it was."""
    for name, documents in before.items():
        database()[name].delete_many({})
        if documents:
            database()[name].insert_many(documents)


# --- Those who try it --------------------------------------------------------------------------------------------


@pytest.fixture
def caller(new_user: Callable, new_account: Callable, system_user: User) -> Callable[[str], Caller]:
    """`caller("Operations")`: somebody of that role. There is a victim, too, who has never dealt with anyone."""

    def belongings(user: User) -> dict[str, str]:
        account = new_account(user, funds=100)
        transaction = collection(Transaction).find_one({"to_account": account.pk})
        return {"account": str(account.pk), "transaction": str(transaction["_id"]), "session": session_of(user)}

    def make(role: str) -> Caller:
        email, password = f"{role.replace(' ', '.').lower()}@example.com", "mango-harbour-92"
        staff = role in USERS and role not in ("customer", "system user")
        user = new_user(
            email=email,
            password=password,
            is_staff=staff,
            is_system=role == "system user",
            is_superuser=role == "superuser",
        )
        if role in (*GROUPS, AUDITOR):
            ensure_groups()
            user.groups.add(Group.objects.get(name=role))
        if role == "system user":  # one that has the account to issue money from
            user = system_user
            user.set_password(password)
            user.save()
        other = belongings(new_user(name="Other"))
        things = belongings(user) | {
            "email": user.email,
            "password": password,
            "payee": other["account"],
            "any_transaction": other["transaction"],
            "start": "0" * 24,
            "end": "f" * 24,
        }
        return Caller(role, user, things)

    return make


def authorization_of(role: str, user: User) -> str | None:
    """The header of somebody of that role, who has come to be so: logged out, disabled, …"""
    token = issue_token(user)
    if role == "expired token":
        expired = AccessToken.for_user(user)
        expired.set_exp(from_time=timezone.now() - timedelta(days=30), lifetime=timedelta(days=1))
        token = str(expired)
    elif role == "forged token":
        token = token.rpartition(".")[0] + "." + "A" * 43
    elif role == "logged out":
        APIClient().post("/api/auth/logout", headers={"Authorization": f"Bearer {token}"})
    elif role == "revoked":
        revoke_tokens(user=user, reason="lost")
    elif role == "disabled user":
        User.objects.filter(pk=user.pk).update(is_active=False)
    elif role == "deleted user":
        database()["users"].delete_one({"_id": user.pk})
    return None if role == "nobody" else f"Bearer {token}"


@pytest.fixture
def victim(new_user: Callable, new_account: Callable) -> dict[str, str]:
    """The ids of somebody who got money from the system user, and else dealt with nobody."""
    user = new_user(name="Victim", email="victim@example.com")
    account, savings = new_account(user, funds=777), new_account(user)
    saved = ledger.post(
        Transfer(
            initiator=user.pk,
            from_account=account.pk,
            to_account=savings.pk,
            amount=Decimal(7),
            idempotency_key="saved",
        )
    )
    return {
        "victim": str(user.pk),
        "account": str(account.pk),
        "transaction": str(saved.document["_id"]),
        "session": session_of(user),
    }


def session_of(user: User) -> str:
    begin(user=user, device=Device("", ""))
    return str(ApiSession.objects.get(user=user).pk)


# --- The matrix --------------------------------------------------------------------------------------------------


def test_every_operation_has_its_row_and_every_row_its_operation():
    assert ROWS.keys() == OPERATIONS.keys(), "say in ROWS who may call it, and what is sent"


def test_every_id_that_an_operation_takes_is_filled_in_by_its_row():
    for operation_id, (_, _, operation) in OPERATIONS.items():
        row = ROWS[operation_id]
        ids = {name for name, schema in inputs(operation) if schema.get("pattern", "").endswith(HEX_OF_24)}
        assert ids <= names_in(row.takes) | names_in(row.body), operation_id
        assert ("requestBody" in operation) == (row.body is not None), operation_id


def test_no_operation_takes_an_address_to_call():
    for operation_id, (_, _, operation) in OPERATIONS.items():
        for name, schema in inputs(operation):
            assert not re.search(r"ur[il]s?$|host|callback|hook", name.lower()), (operation_id, name)
            assert "uri" not in schema.get("format", ""), (operation_id, name)


@pytest.mark.parametrize("role", ROLES)
def test_each_gets_past_its_own_doors_and_no_other(caller: Callable, victim: dict[str, str], role: str):
    somebody = caller(role)
    shut = 401 if role in NO_TOKEN + ENDED_TOKEN else 403
    expected = {each: row.comes if role in row.who else shut for each, row in ROWS.items()}
    if role in ("disabled user", "deleted user"):
        expected["login"] = 401
    before, found = dump(), {}
    for operation_id in sorted(ROWS, key=lambda each: expected[each] == "in"):  # those that are refused come first
        if expected[operation_id] == "in" and before:
            assert dump() == before, "something was refused, and yet it changed something"
            before = {}
        response = somebody.send(operation_id)
        found[operation_id] = outcome(response)
        assert not any(each in response.content.decode() for each in victim.values()), operation_id
    assert found == expected


@pytest.mark.parametrize("role", USERS)
def test_anothers_ids_are_answered_byte_for_byte_like_ids_of_nothing(
    caller: Callable, victim: dict[str, str], role: str
):
    somebody = caller(role)
    before, tried = dump(), set()
    for operation_id, row in ROWS.items():
        for thing in OWN:
            if f"{{{thing}}}" in str(row):
                theirs = somebody.send(operation_id, **{thing: victim[thing], "key": "k"})
                nothing = somebody.send(operation_id, **{thing: str(ObjectId()), "key": "k"})
                assert outcome(theirs) in (400, 404), operation_id
                assert seen(theirs) == seen(nothing), operation_id
                tried.add(operation_id)
    assert dump() == before
    assert tried >= {"getAccount", "getStatement", "createTransfer", "createTransferBatch", "getTransaction"}


BODIES = [name for name, row in ROWS.items() if row.body]


@pytest.mark.parametrize("operation_id", BODIES)
def test_fields_that_are_not_the_callers_to_set_change_nothing(
    caller: Callable, victim: dict[str, str], operation_id: str
):
    allowed = [role for role in ("customer", "system user", "Operations") if role in ROWS[operation_id].who]
    somebody = caller(allowed[0])
    before = dump()
    same = {"key": "k", "new_email": "eve@example.com", "victim": victim["victim"]}
    plain = told(somebody.send(operation_id, **same), before)
    restore(before)
    response = somebody.send(operation_id, extras=EXTRAS, **same)
    assert outcome(response) == ROWS[operation_id].comes
    assert told(response, before) == plain
    assert str(INJECTED) not in response.content.decode() + json_util.dumps(dump())


def test_parameters_that_are_not_the_callers_to_set_change_nothing(caller: Callable, victim: dict[str, str]):
    somebody = caller("customer")
    extras = EXTRAS | {"userId": "{victim}", "owner": "{victim}", "account_id": victim["account"]}
    for operation_id, (method, _, operation) in OPERATIONS.items():
        if method == "get" and "customer" in ROWS[operation_id].who:
            declared = {parameter["name"] for parameter in map(resolved, operation["parameters"])}
            undeclared = {name: value for name, value in extras.items() if name not in declared}
            response = somebody.send(operation_id, extras=undeclared, victim=victim["victim"])
            assert outcome(response) == "in", operation_id
            assert not any(each in response.content.decode() for each in victim.values()), operation_id
