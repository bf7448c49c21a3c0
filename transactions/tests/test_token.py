"""The token of a transfer is looked up in the snapshot in which its money moves, and what it finds comes first."""

from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from bson import ObjectId
from django.utils import timezone
from rest_framework.test import APIClient

from ledger_project.mongo import collection
from ledger_project.tests.dumps import dump
from transactions import ledger
from transactions.posting import Transfer
from transactions.tests.crowd import in_one_group, word
from users import api_sessions
from users.models import ApiSession, BlacklistedToken, User
from users.tokens import Token, TokenRefused, issue_token

PATH = "/api/transactions/"


class Scene:
    """Asha has 500 and a token, Ben has nothing."""

    def __init__(self, new_user, new_account) -> None:
        self.asha, self.ben = new_user(), new_user()
        self.payer, self.payee = new_account(self.asha, funds=500), new_account(self.ben)
        self.client = APIClient()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_token(self.asha)}")

    def body(self, **changes) -> dict:
        accounts = {"fromAccount": str(self.payer.pk), "toAccount": str(self.payee.pk)}
        return accounts | {"amount": 1, "idempotencyKey": "k"} | changes

    def post(self, **changes):
        return self.client.post(PATH, self.body(**changes), format="json")

    def begin_session(self) -> None:
        """From now on with a token of a session."""
        self.session = api_sessions.begin(user=self.asha, device=api_sessions.Device("", ""))
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.session.access}")

    def end_session(self) -> None:
        api_sessions.end(user=self.asha, session=str(ApiSession.objects.get(user=self.asha).pk))

    def use_refresh_token_twice(self) -> None:
        for _ in range(2):
            answer = self.client.post("/api/auth/refresh", {"refreshToken": self.session.refresh}, format="json")
        assert answer.status_code == 401

    def log_out(self) -> None:
        assert self.client.post("/api/auth/logout").status_code == 200

    def disable(self) -> None:
        User.objects.filter(pk=self.asha.pk).update(is_active=False)

    def delete(self) -> None:
        collection(User).delete_one({"_id": self.asha.pk})

    def transfer(self) -> Transfer:
        return Transfer(self.asha.pk, self.payer.pk, self.payee.pk, Decimal(1), uuid4().hex)


@pytest.fixture
def scene(new_user, new_account) -> Scene:
    return Scene(new_user, new_account)


ENDS = {"log_out": "token_revoked", "disable": "token_invalid", "delete": "token_invalid"}
SESSION_ENDS = ["log_out", "end_session", "use_refresh_token_twice"]
WRONG = {
    "nothing": {},
    "an amount that is none": {"amount": "x"},
    "no key": {"idempotencyKey": None},
    "an unknown account": {"toAccount": str(ObjectId())},
    "a malformed account": {"toAccount": "x"},
    "more than there is": {"amount": 501},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("end", ENDS)
def test_a_token_that_has_ended_is_401_whatever_else_is_wrong_and_moves_nothing(scene, end, wrong):
    getattr(scene, end)()
    before = dump()
    response = scene.post(**wrong)
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert (response.json()["message"], response.json()["code"]) == (TokenRefused.message, ENDS[end])
    assert dump() == before


@pytest.mark.parametrize("end", ENDS)
def test_a_token_that_has_ended_does_not_get_the_answer_to_its_earlier_transfer(scene, end):
    assert scene.post().status_code == 201
    getattr(scene, end)()
    assert scene.post().status_code == 401


@pytest.mark.parametrize("end", SESSION_ENDS)
def test_a_token_of_a_session_that_has_ended_moves_nothing(scene, end):
    scene.begin_session()
    assert scene.post().status_code == 201
    getattr(scene, end)()
    before = dump()
    for key in ("k", "l"):
        response = scene.post(idempotencyKey=key)
        assert (response.status_code, response.json()["code"]) == (401, "token_revoked")
    assert dump() == before


def test_in_one_group_tokens_of_sessions_stand_beside_those_without(scene):
    scene.begin_session()
    lasting, ended = ApiSession.objects.get().pk, ObjectId()
    tokens = [Token(scene.asha.pk, uuid4().hex, session=session) for session in (lasting, ended, None)]
    results = in_one_group([partial(ledger.post, scene.transfer(), token=token) for token in tokens])
    assert [word(result) for result in results] == ["posted", "token_invalid", "posted"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"amount": NaN}'])
def test_a_body_that_is_no_json_does_not_hide_that_the_token_has_ended(scene, raw):
    assert scene.client.post(PATH, raw, content_type="application/json").status_code == 400
    scene.log_out()
    assert scene.client.post(PATH, raw, content_type="application/json").status_code == 401


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c"])
def test_without_a_token_of_ours_the_body_is_not_even_looked_at(scene, header):
    scene.client.credentials(**({"HTTP_AUTHORIZATION": header} if header else {}))
    before = dump()
    assert scene.client.post(PATH, b"{", content_type="application/json").status_code == 401
    assert scene.post().status_code == 401
    assert dump() == before


def test_in_one_group_a_token_that_has_ended_is_refused_and_its_neighbours_are_posted(scene):
    ended, good = (Token(scene.asha.pk, uuid4().hex) for _ in range(2))
    BlacklistedToken.objects.create(jti=ended.jti, user=scene.asha, expires_at=timezone.now())
    tokens = [good, ended, good, None]
    results = in_one_group([partial(ledger.post, scene.transfer(), token=token) for token in tokens])
    assert [word(result) for result in results] == ["posted", "token_invalid", "posted", "posted"]


def test_a_token_of_a_user_that_has_ended_does_not_count_for_another(scene):
    scene.disable()
    results = in_one_group(
        [partial(ledger.post, scene.transfer(), token=Token(user.pk, uuid4().hex)) for user in (scene.asha, scene.ben)]
    )
    assert [word(result) for result in results] == ["token_invalid", "posted"]


def test_what_is_posted_by_no_token_needs_none(scene):
    scene.disable()
    assert word(ledger.post(scene.transfer())) == "posted"


def test_while_the_database_fails_the_answer_says_what_became_of_the_transfer(scene, fail_command, settings):
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("aggregate", "insert", times="alwaysOn", closeConnection=True)
    response = scene.post()
    assert (response.status_code, response.json()["code"]) == (503, "not_posted")
