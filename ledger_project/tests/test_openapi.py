"""The OpenAPI document is complete, valid, committed, and true."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from accounts.models import Account
from accounts.opening import set_status
from ledger_project import openapi
from transactions import refusals
from users.registration import EmailTaken, WrongCredentials

COMMITTED = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"
DOCUMENT = "urn:openapi"


def operations() -> Iterator[tuple[str, str, dict]]:
    """(method, path, operation) of the document."""
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def resolved(described: dict) -> dict:
    """What `described` refers to, or itself."""
    found = described
    if reference := described.get("$ref"):
        found = openapi.document()
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    return found


def validator(schema: dict) -> Draft202012Validator:
    """Validates against `schema`, a part of the document."""
    resource = Resource(openapi.document(), DRAFT202012)
    return Draft202012Validator(
        json.loads(json.dumps(schema).replace('"#/', f'"{DOCUMENT}#/')),
        registry=Registry().with_resource(DOCUMENT, resource),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def described_as(response: Any, operation_id: str) -> dict:
    """The body of `response`, once it has been found to be what the document says of `operation_id`."""
    (operation,) = [operation for _, _, operation in operations() if operation["operationId"] == operation_id]
    answer = resolved(operation["responses"][str(response.status_code)])
    media_type = response["Content-Type"].partition(";")[0]
    body = json.loads(response.content)
    assert list(validator(answer["content"][media_type]["schema"]).iter_errors(body)) == []
    assert body.keys() >= {"code"} or body.keys() == example_of(answer, media_type).keys()
    for header in ("Idempotent-Replay", "Retry-After", "WWW-Authenticate", "X-Request-Id"):
        assert header not in response or header in answer["headers"]
    return body


def example_of(answer: dict, media_type: str) -> dict:
    """The first example of `answer`."""
    return next(iter(answer["content"][media_type]["examples"].values()))["value"]


def problems(operation: dict) -> dict[tuple[int, str], str]:
    """The message of each refusal that `operation` describes, by status and code; one code may come several times."""
    found = {}
    for status, answer in operation["responses"].items():
        for content in resolved(answer)["content"].values():
            for example in content.get("examples", {}).values():
                if "code" in example["value"]:
                    found[int(status), example["value"]["code"]] = example["value"]["message"]
    return found


def paths_of(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """(path with {} for each id, methods) of every URL below /api/, as the URLconf has it."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from paths_of(pattern.url_patterns, path)
        elif path.startswith("api/") or "^api/" in path:
            actions = getattr(pattern.callback, "actions", None) or {"get": ""}
            plain = re.sub(r"\(\?P<\w+>.*?\](\+)?\)", "{}", path.replace("^", "").replace("$", ""))
            yield "/" + plain.removesuffix("/?"), set(actions) - {"head", "options"}


def test_the_schema_is_generated_without_a_warning_and_is_valid_for_its_own_generator():
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


def test_the_schema_is_a_valid_openapi_3_1_document():
    OpenAPIV31SpecValidator(openapi.document()).validate()
    assert openapi.document()["openapi"] == "3.1.0"


def test_the_committed_schema_is_the_generated_one():
    assert COMMITTED.read_bytes() == openapi.as_yaml(), "docs/openapi.yaml has drifted: run `make schema` and commit it"


def test_every_path_and_method_of_the_api_is_described():
    described: dict[str, set[str]] = {}
    for method, path, _ in operations():
        described.setdefault(re.sub(r"{\w+}", "{}", path).rstrip("/"), set()).add(method)
    served = dict(paths_of(get_resolver().url_patterns))
    assert len(served) >= 12
    assert {path: described.get(path) for path in served} == served


def test_every_operation_says_what_it_does_and_shows_what_it_takes_and_answers():
    for _, path, operation in operations():
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"][0] in openapi.TAGS
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"])
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for described in [*bodies, *map(resolved, operation["responses"].values())]:
            for media_type, content in described["content"].items():
                assert content.get("examples") or path in ("/api/docs/", "/api/schema/"), (path, media_type)


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_every_example_is_valid_for_the_schema_beside_it():
    for _, path, operation in operations():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for described in [*bodies, *map(resolved, operation["responses"].values())]:
            for content in described["content"].values():
                check = validator(content["schema"])
                for name, example in content.get("examples", {}).items():
                    assert list(check.iter_errors(example["value"])) == [], (path, name)


def test_every_operation_that_needs_a_token_describes_401_and_the_scheme_to_use():
    protected = [operation for _, _, operation in operations() if {} not in operation["security"]]
    assert len(protected) >= 11
    for operation in protected:
        assert operation["security"] == [{"bearerAuth": []}]
        assert "WWW-Authenticate" in resolved(operation["responses"]["401"])["headers"]


def test_every_operation_takes_and_returns_a_request_id():
    for _, path, operation in operations():
        assert {"$ref": "#/components/parameters/RequestId"} in operation["parameters"], path
        assert all("X-Request-Id" in resolved(answer)["headers"] for answer in operation["responses"].values()), path


def test_every_503_of_the_api_says_when_to_come_back():
    for _, path, operation in operations():
        if path.startswith("/api/") and "503" in operation["responses"]:
            assert "Retry-After" in resolved(operation["responses"]["503"])["headers"]


def test_ids_in_paths_are_named_as_in_the_contract_and_have_24_hex_digits():
    for _, path, operation in operations():
        described = [p for p in map(resolved, operation["parameters"]) if p["in"] == "path"]
        assert [p["name"] for p in described] == re.findall(r"{(\w+)}", path)
        assert all(p["schema"]["pattern"] == "^[0-9a-fA-F]{24}$" for p in described)
    assert "/api/accounts/balance/{accountId}" in openapi.document()["paths"]


def test_a_transfer_describes_its_key_in_the_header_its_replay_and_an_amount_as_number_or_string():
    transfer = openapi.document()["paths"]["/api/transactions/"]["post"]
    assert "Idempotency-Key" in {p.get("name") for p in transfer["parameters"]}
    assert "Idempotent-Replay" in transfer["responses"]["200"]["headers"]
    amount = openapi.document()["components"]["schemas"]["TransferRequest"]["properties"]["amount"]
    assert [kind["type"] for kind in amount["anyOf"]] == ["number", "string"]


def test_the_lists_describe_their_filters():
    paths = openapi.document()["paths"]
    names = {p.get("name") for p in paths["/api/transactions/"]["get"]["parameters"]}
    assert names >= {"limit", "cursor", "account", "status", "createdAfter", "createdBefore", "minAmount", "maxAmount"}
    assert {p.get("name") for p in paths["/api/accounts/"]["get"]["parameters"]} >= {"limit", "cursor"}
    assert {p.get("name") for p in paths["/api/accounts/{accountId}/entries"]["get"]["parameters"]} >= {"limit"}


def test_every_refusal_of_the_contract_is_described_with_its_exact_message():
    paths = openapi.document()["paths"]
    assert problems(paths["/api/auth/register"]["post"])[422, "email_taken"] == EmailTaken.message
    assert problems(paths["/api/auth/login"]["post"])[401, "wrong_credentials"] == WrongCredentials.message
    assert problems(paths["/api/accounts/balance/{accountId}"]["get"])[404, "account_not_found"] == "Account not found"
    transfer = problems(paths["/api/transactions/"]["post"])
    assert transfer[400, "insufficient_funds"] == (
        "Insufficient balance. Current balance is 500. Requested amount is 1000"
    )
    named = (refusals.InvalidAccounts, refusals.AccountNotActive, refusals.SameAccount, refusals.CurrencyMismatch)
    for refusal in (*named, refusals.KeysDiffer, refusals.IdempotencyKeyReused, refusals.OutcomeUnknown):
        assert transfer[refusal.status, refusal.code] == refusal.message
    funds = problems(paths["/api/transactions/system/initial-funds"]["post"])
    for refusal in (refusals.NotSystemUser, refusals.InvalidToAccount, refusals.SystemAccountNotFound):
        assert funds[refusal.status, refusal.code] == refusal.message


def test_a_missing_field_is_described_in_the_words_of_the_contract():
    said = {
        answer["content"]["application/problem+json"]["examples"]["MissingField"]["value"]["message"]
        for _, path, operation in operations()
        if path.startswith("/api/transactions/") and (answer := operation["responses"].get("400"))
        if "MissingField" in answer["content"]["application/problem+json"]["examples"]
    }
    assert said == {
        "FromAccount, toAccount, amount and idempotencyKey are required",
        "toAccount, amount and idempotencyKey are required",
        "transfers is required",
    }


# --- What the document says is what the service answers ----------------------------------------------------------


def test_the_examples_of_authentication_work_and_are_answered_as_described():
    client = Client()
    post = {"content_type": "application/json"}
    paths = openapi.document()["paths"]
    registration = next(iter(request_examples(paths["/api/auth/register"]["post"])))
    login = next(iter(request_examples(paths["/api/auth/login"]["post"])))
    described_as(client.post("/api/auth/register", registration, **post), "register")
    assert described_as(client.post("/api/auth/register", registration, **post), "register")["code"] == "email_taken"
    described_as(client.post("/api/auth/register", {}, **post), "register")
    token = described_as(client.post("/api/auth/login", login, **post), "login")["token"]
    described_as(client.post("/api/auth/login", login | {"password": "wrong-one"}, **post), "login")
    bearer = {"headers": {"Authorization": f"Bearer {token}"}}
    described_as(client.get("/api/auth/me", **bearer), "getCurrentUser")
    answered = described_as(client.post("/api/auth/logout", **bearer), "logout")
    assert answered == example_of(paths["/api/auth/logout"]["post"]["responses"]["200"], "application/json")
    assert described_as(client.get("/api/auth/me", **bearer), "getCurrentUser")["code"] == "token_revoked"
    assert described_as(client.get("/api/auth/me"), "getCurrentUser")["code"] == "not_authenticated"


def request_examples(operation: dict) -> list[dict]:
    """The bodies that `operation` shows."""
    return [
        example["value"] for example in operation["requestBody"]["content"]["application/json"]["examples"].values()
    ]


def test_accounts_answer_as_described(new_user: Callable, new_account: Callable, client_of: Callable):
    user = new_user()
    client = client_of(user)
    for body in request_examples(openapi.document()["paths"]["/api/accounts/"]["post"]):
        described_as(client.post("/api/accounts/", body), "openAccount")
    assert described_as(client.post("/api/accounts/", {"currency": "XXQ"}), "openAccount")["code"] == "unknown_currency"
    account = new_account(user, funds="10.50")
    described_as(client.get("/api/accounts/?limit=2"), "listAccounts")
    described_as(client.get("/api/accounts/?limit=0"), "listAccounts")
    described_as(client.get(f"/api/accounts/{account.pk}"), "getAccount")
    balance = described_as(client.get(f"/api/accounts/balance/{account.pk}"), "getBalance")
    assert balance["balance"] == 10.5
    described_as(client.get(f"/api/accounts/{account.pk}/entries"), "listEntries")
    for call in ("balance/nobody", "nobody", "nobody/entries"):
        operation_id = {"balance/nobody": "getBalance", "nobody": "getAccount", "nobody/entries": "listEntries"}[call]
        assert described_as(client.get(f"/api/accounts/{call}"), operation_id)["code"] == "account_not_found"


def test_transfers_answer_as_described(new_user: Callable, new_account: Callable, client_of: Callable):
    payer = new_user()
    source, target = new_account(payer, funds=500), new_account(new_user())
    client = client_of(payer)
    transfer = {"fromAccount": str(source.pk), "toAccount": str(target.pk), "amount": "100.00", "idempotencyKey": "k"}

    def post(**changes: Any) -> Any:
        return client.post("/api/transactions/", transfer | changes)

    posted = described_as(post(), "createTransfer")
    replayed = post()
    assert replayed["Idempotent-Replay"] == "true"
    assert described_as(replayed, "createTransfer")["message"] == "Transaction already processed"
    assert described_as(post(amount=1), "createTransfer")["code"] == "idempotency_key_reused"
    assert described_as(post(amount=1000, idempotencyKey="k2"), "createTransfer")["code"] == "insufficient_funds"
    assert described_as(post(amount=-1), "createTransfer")["code"] == "invalid_request"
    assert described_as(post(toAccount="nobody", idempotencyKey="k3"), "createTransfer")["code"] == "invalid_accounts"
    set_status(account_id=target.pk, status=Account.Status.FROZEN)
    assert described_as(post(idempotencyKey="k4"), "createTransfer")["code"] == "account_not_active"
    described_as(client.get("/api/transactions/?limit=1"), "listTransactions")
    described_as(client.get("/api/transactions/?status=LOST"), "listTransactions")
    described_as(client.get(f"/api/transactions/{posted['transaction']['_id']}"), "getTransaction")
    assert described_as(client.get("/api/transactions/nothing"), "getTransaction")["code"] == "not_found"


def test_initial_funds_answer_as_described(
    new_user: Callable, new_account: Callable, system_user: Any, client_of: Callable
):
    account = new_account(new_user())
    funds = {"toAccount": str(account.pk), "amount": 10000, "idempotencyKey": uuid4().hex}
    for user in (system_user, system_user, account.user):
        described_as(client_of(user).post("/api/transactions/system/initial-funds", funds), "issueInitialFunds")
    assert Account.objects.get(pk=account.pk).balance == 10000


@pytest.mark.parametrize(
    ("body", "content_type", "status"), [("{", "application/json", 400), ("a=1", "text/plain", 415)]
)
def test_a_body_that_cannot_be_read_is_answered_as_described(
    new_user: Callable, client_of: Callable, body: str, content_type: str, status: int
):
    response = client_of(new_user()).generic("POST", "/api/transactions/", body, content_type=content_type)
    assert response.status_code == status
    described_as(response, "createTransfer")


def test_health_answers_as_described():
    client = Client()
    described_as(client.get("/healthz"), "getHealth")
    described_as(client.get("/readyz"), "getReadiness")


# --- /api/schema/ and /api/docs/ ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/schema", "/api/schema/"])
def test_anybody_gets_the_schema_as_yaml(path: str):
    response = Client().get(path)
    assert response["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.content) == openapi.document()


@pytest.mark.parametrize(
    "accept", ["application/json", "application/vnd.oai.openapi+json", "text/html, application/json"]
)
def test_who_prefers_json_gets_json(accept: str):
    response = Client().get("/api/schema/", headers={"Accept": accept})
    assert "json" in response["Content-Type"]
    assert "Accept" in response["Vary"].split(", ")
    assert response.json() == openapi.document()


def test_the_format_in_the_query_goes_before_accept():
    as_json = Client().get("/api/schema/?format=json", headers={"Accept": "application/yaml"})
    as_yaml = Client().get("/api/schema/?format=yaml", headers={"Accept": "application/json"})
    assert (as_json["Content-Type"], as_yaml["Content-Type"]) == ("application/json", "application/yaml")


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/", "/"])
def test_a_method_that_a_page_does_not_have_is_answered_as_a_problem(path: str):
    response = Client(enforce_csrf_checks=True).post(path, headers={"Accept": "text/html"})
    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
    assert response.json()["code"] == "method_not_allowed"


def test_a_stale_token_does_not_keep_anybody_from_the_schema_or_the_docs():
    stale = {"Authorization": "Bearer stale"}
    assert Client().get("/api/schema/", headers=stale).status_code == 200
    assert Client().get("/api/docs/", headers=stale).status_code == 200


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_swagger_ui_comes_from_here_and_all_that_it_loads_as_well(path: str):
    client = Client()
    html = client.get(path, headers={"Accept": "text/html"}).content.decode()
    assert "://" not in html
    loaded = re.findall(r'(?:src|href|data-schema)="([^"#]+)"', html)
    assert any("swagger-ui-bundle.js" in address for address in loaded)
    assert [client.get(address).status_code for address in loaded] == [200] * len(loaded)


def test_swagger_ui_keeps_no_token_and_asks_no_validator_elsewhere():
    script = b"".join(Client().get("/static/docs.js").streaming_content).decode()
    assert "persistAuthorization: false" in script
    assert "validatorUrl: null" in script
    assert "://" not in script
