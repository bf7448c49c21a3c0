"""POST /api/auth/register"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from ledger_project.tests.dumps import dump
from users.models import Notification, User

PATHS = ["/api/auth/register", "/api/auth/register/"]
BODY = {"name": "Asha Rao", "email": "asha@example.com", "password": "securepassword123"}


@pytest.fixture
def client(client_of):
    return client_of()


@pytest.mark.parametrize("path", PATHS)
def test_a_user_registers_and_is_logged_in(client, path):
    response = client.post(path, BODY)

    assert response.status_code == 201
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert body.keys() == {"user", "token"}
    assert body["user"].keys() == {"_id", "email", "name"}
    user = User.objects.get()
    assert body["user"] == {"_id": str(user.pk), "email": "asha@example.com", "name": "Asha Rao"}
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {body['token']}")
    assert client.get("/api/auth/me").json() == {"user": body["user"]}


def test_the_password_is_stored_as_a_hash_only(client):
    client.post("/api/auth/register", BODY)
    assert "securepassword123" not in str(dump())
    assert User.objects.get().password.startswith("bcrypt_sha256")


def test_one_welcome_is_owed(client):
    client.post("/api/auth/register", BODY)
    (row,) = Notification.objects.all()
    assert (row.kind, row.status, row.user) == ("WELCOME", "PENDING", User.objects.get())


def test_who_registers_is_nobody_special_whatever_the_body_says(client):
    client.post(
        "/api/auth/register", BODY | {"is_system": True, "isSystem": True, "is_staff": True, "is_superuser": True}
    )
    user = User.objects.get()
    assert (user.is_system, user.is_staff, user.is_superuser, user.is_active) == (False, False, False, True)


@pytest.mark.parametrize(
    "email", ["  Asha@Example.COM ", "ASHA@EXAMPLE.COM", "asha@example.com\n", "\tasha@Example.com"]
)
def test_an_email_is_trimmed_and_lower_cased(client, email):
    response = client.post("/api/auth/register", BODY | {"email": email})
    assert response.status_code == 201
    assert response.json()["user"]["email"] == User.objects.get().email == "asha@example.com"


@pytest.mark.parametrize("email", ["asha@example.com", "ASHA@example.com", " asha@EXAMPLE.com "])
def test_an_email_that_is_known_in_any_case_is_422(client, email):
    client.post("/api/auth/register", BODY)
    before = dump()

    response = client.post("/api/auth/register", BODY | {"email": email, "name": "Another"})

    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["message"] == "User already exists with email."
    assert response.json()["code"] == "email_taken"
    assert dump() == before


def test_of_eight_at_once_with_one_email_exactly_one_registers(client_of):
    gate = Barrier(8)

    def register(number: int) -> int:
        email = "Asha@Example.com" if number % 2 else "asha@example.com"
        client = client_of()
        gate.wait()
        return client.post("/api/auth/register", BODY | {"email": email}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(register, range(8)))

    assert statuses == [201] + [422] * 7
    assert User.objects.count() == 1
    assert Notification.objects.count() == 1


@pytest.mark.parametrize("commands", [("insert",), ("commitTransaction",)])
def test_a_registration_that_the_database_asks_to_repeat_succeeds(client, fail_command, commands):
    """A write conflict makes the transaction run again: the second attempt must store what the first could not."""
    fail_command(*commands, times=1, errorCode=112, errorLabels=["TransientTransactionError"])

    assert client.post("/api/auth/register", BODY).status_code == 201

    assert User.objects.count() == 1
    assert Notification.objects.count() == 1


def test_a_registration_that_fails_between_user_and_welcome_leaves_neither(client, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("users.registration.notifications.queue", broken)
    before = dump()

    assert client.post("/api/auth/register", BODY).status_code == 500

    assert dump() == before


@pytest.mark.parametrize(
    "password",
    [
        "x7#k29fQ",
        "x" * 127 + "y",
        "पासवर्ड-बहुत-लंबा",
        "  spaces around  ",
        "asha@example.com",
        "asha-rao-example",
        "🔑" * 8,
    ],
    ids=lambda password: ascii(password)[:20],
)
def test_a_decent_password_is_accepted_and_taken_literally(client, password):
    """Also one that resembles the e-mail: the seed accepts it."""
    assert client.post("/api/auth/register", BODY | {"password": password}).status_code == 201
    login = {"email": BODY["email"], "password": password}
    assert client.post("/api/auth/login", login).status_code == 200
    assert client.post("/api/auth/login", login | {"password": password + " "}).status_code in {400, 401}
    assert client.post("/api/auth/login", login | {"password": password[:-1] + "?"}).status_code == 401


@pytest.mark.parametrize(
    "password",
    ["short", "1234567", "x" * 129, "password", "password123", "PASSWORD123", "12345678", "qwertyuiop", 12345678],
)
def test_a_short_long_or_common_password_is_400(client, password):
    before = dump()
    response = client.post("/api/auth/register", BODY | {"password": password})
    assert response.status_code == 400
    assert [row["field"] for row in response.json()["errors"]] == ["password"]
    assert dump() == before


def test_passwords_that_differ_only_past_the_72nd_byte_are_different(client):
    """Bare bcrypt would cut both at 72 bytes and take either."""
    shared = "correct horse battery staple " * 3
    assert len(shared.encode()) > 73
    client.post("/api/auth/register", BODY | {"password": shared + "one"})
    login = {"email": BODY["email"]}
    assert client.post("/api/auth/login", login | {"password": shared + "two"}).status_code == 401
    assert client.post("/api/auth/login", login | {"password": shared}).status_code == 401
    assert client.post("/api/auth/login", login | {"password": shared + "one"}).status_code == 200


@pytest.mark.parametrize("field", ["name", "email", "password"])
def test_a_missing_empty_or_null_field_is_400(client, field):
    before = dump()
    bodies = [{name: value for name, value in BODY.items() if name != field}, BODY | {field: ""}, BODY | {field: None}]
    for body in bodies:
        response = client.post("/api/auth/register", body)
        assert response.status_code == 400
        assert response.json()["message"] == "name, email and password are required"
        assert [row["field"] for row in response.json()["errors"]] == [field]
    assert dump() == before


@pytest.mark.parametrize(
    "email",
    [
        "asha",
        "asha@",
        "@example.com",
        "a b@example.com",
        "asha@example",
        "asha@@example.com",
        "a" * 250 + "@example.com",
    ],
)
def test_what_is_no_email_is_400(client, email):
    before = dump()
    response = client.post("/api/auth/register", BODY | {"email": email})
    assert response.status_code == 400
    assert [row["field"] for row in response.json()["errors"]] == ["email"]
    assert dump() == before


def test_a_name_of_150_characters_fits_and_one_more_does_not(client):
    assert client.post("/api/auth/register", BODY | {"name": "अ" * 150}).status_code == 201
    response = client.post("/api/auth/register", BODY | {"email": "b@example.com", "name": "अ" * 151})
    assert response.status_code == 400
    assert User.objects.count() == 1


def test_a_token_that_comes_along_does_not_matter(client):
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    assert client.post("/api/auth/register", BODY).status_code == 201


@pytest.mark.parametrize("path", ["register", "login"])
def test_a_wrong_method_is_told_so_and_not_asked_for_a_token(client_of, path):
    assert client_of().get(f"/api/auth/{path}").status_code == 405
