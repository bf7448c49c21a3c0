"""POST /api/auth/login"""

import pytest

from ledger_project.tests.dumps import dump
from users.models import User
from users.tests.hashers import CheapBCrypt

PASSWORD = "securepassword123"


@pytest.fixture
def user(new_user):
    return new_user(email="asha@example.com", password=PASSWORD)


@pytest.fixture
def client(client_of):
    return client_of()


@pytest.fixture
def hashes(monkeypatch):
    """The passwords that were hashed."""
    counted = []
    encode = CheapBCrypt.encode

    def counting(self, password, salt):
        counted.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(CheapBCrypt, "encode", counting)
    return counted


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/login/"])
def test_a_user_logs_in(client, user, path):
    response = client.post(path, {"email": "asha@example.com", "password": PASSWORD})

    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"user", "token"}
    assert body["user"] == {"_id": str(user.pk), "email": "asha@example.com", "name": "Asha"}
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {body['token']}")
    assert client.get("/api/auth/me").status_code == 200


@pytest.mark.parametrize("email", [" Asha@Example.com ", "ASHA@EXAMPLE.COM"])
def test_the_email_may_be_written_in_any_case(client, user, email):
    assert client.post("/api/auth/login", {"email": email, "password": PASSWORD}).status_code == 200


def test_each_log_in_gives_another_token(client, user):
    tokens = {
        client.post("/api/auth/login", {"email": user.email, "password": PASSWORD}).json()["token"] for _ in range(3)
    }
    assert len(tokens) == 3


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("nobody@example.com", PASSWORD),
        ("asha@example.com", "wrong-password"),
        ("asha@example.com", PASSWORD + " "),
        ("asha@example.com", PASSWORD.upper()),
        ("asha@example.com", "x"),
        ("not an email", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("unusable@example.com", PASSWORD),
        ("unusable@example.com", "!"),
        ("asha@example.com", PASSWORD * 1000),
        ("a" * 255 + "@example.com", PASSWORD),
        (12345, 67890),
    ],
)
def test_whatever_is_wrong_the_answer_is_word_for_word_the_same(client, user, new_user, email, password):
    new_user(email="disabled@example.com", password=PASSWORD, is_active=False)
    new_user(email="unusable@example.com", password=None)
    before = dump()

    response = client.post("/api/auth/login", {"email": email, "password": password}, HTTP_X_REQUEST_ID="request-1")

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "https://backend-ledger.example/problems/wrong_credentials",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Email or password is INVALID",
        "message": "Email or password is INVALID",
        "code": "wrong_credentials",
        "retryable": False,
        "requestId": "request-1",
    }
    assert dump() == before


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("asha@example.com", PASSWORD),
        ("asha@example.com", "wrong-password"),
        ("nobody@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("disabled@example.com", "wrong-password"),
        ("unusable@example.com", PASSWORD),
        ("asha@example.com", PASSWORD * 1000),
        ("a" * 255 + "@example.com", PASSWORD),
    ],
)
def test_one_password_is_hashed_whatever_is_wrong(client, user, new_user, hashes, email, password):
    """The hash is what takes time: nobody learns from the clock which e-mails are known."""
    new_user(email="disabled@example.com", password=PASSWORD, is_active=False)
    new_user(email="unusable@example.com", password=None)
    hashes.clear()

    client.post("/api/auth/login", {"email": email, "password": password})

    assert len(hashes) == 1


@pytest.mark.parametrize("field", ["email", "password"])
def test_a_missing_empty_or_null_field_is_400(client, user, field, hashes):
    hashes.clear()
    body = {"email": user.email, "password": PASSWORD}
    for wrong in ({k: v for k, v in body.items() if k != field}, body | {field: ""}, body | {field: None}):
        response = client.post("/api/auth/login", wrong)
        assert response.status_code == 400
        assert response.json()["message"] == "email and password are required"
    assert hashes == []


@pytest.mark.parametrize("email", [{"$ne": ""}, {"$gt": ""}, {"$regex": "."}, ["asha@example.com"], True])
def test_an_operator_instead_of_an_email_logs_nobody_in(client, user, email):
    response = client.post("/api/auth/login", {"email": email, "password": PASSWORD})
    assert response.status_code == 400
    assert "token" not in response.json()


def test_logging_in_writes_nothing(client, user):
    before = dump()
    client.post("/api/auth/login", {"email": user.email, "password": PASSWORD})
    assert dump() == before


def test_a_user_whose_email_was_stored_in_mixed_case_by_staff_still_logs_in(client, new_user):
    user = new_user(email="Mixed@Example.com", password=PASSWORD)
    user.email = "MIXED@example.com"
    user.save()
    assert User.objects.get(pk=user.pk).email == "mixed@example.com"
    assert client.post("/api/auth/login", {"email": "Mixed@example.com", "password": PASSWORD}).status_code == 200
