"""Sending through Gmail with OAuth2: Google's library against a token endpoint and an SMTP server on loopback."""

import smtplib
import ssl

import pytest
from django.core import mail
from django.utils import timezone
from google.auth.exceptions import RefreshError, TransportError

from ledger_project.mongo import run_transaction
from users import gmail, notifications, tasks
from users.models import Notification
from users.tests.google import GmailServer, TokenEndpoint, make_certificate
from users.tests.waiting import together

USER = "ledger@gmail.example"
Status = Notification.Status


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture
def endpoint():
    with TokenEndpoint() as running:
        yield running


@pytest.fixture
def server(certificate, endpoint, settings, monkeypatch):
    """Gmail, and settings that send through it. Each test begins without a token, for each has its own token URL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with GmailServer(certificate, user=USER) as running:
        settings.EMAIL_BACKEND = "users.gmail.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", running.port, True
        settings.EMAIL_TIMEOUT = 5
        settings.GMAIL = {
            "user": USER,
            "client_id": "the-client",
            "client_secret": "the-secret",
            "refresh_token": "the-refresh-token",
            "token_uri": endpoint.url,
        }
        yield running


def send(subject: str = "Hello") -> None:
    mail.EmailMessage(subject, "How are you?", "ledger@gmail.example", ["asha@example.com"]).send()


@pytest.fixture
def owed(new_user):
    """A welcome in the outbox."""
    row = notifications.row(new_user().pk, Notification.Kind.WELCOME, {})
    run_transaction(lambda unit: notifications.queue(unit, [row]))
    return Notification.objects.get(pk=row["_id"])


def test_it_signs_in_with_a_token_refreshed_for_the_clients_credentials(server, endpoint):
    send()

    assert server.subjects() == ["Hello"]
    assert server.signed_in_with == ["token-1"]
    assert endpoint.requests == [
        {
            "grant_type": "refresh_token",
            "client_id": "the-client",
            "client_secret": "the-secret",
            "refresh_token": "the-refresh-token",
        }
    ]


def test_a_token_serves_until_it_expires(server, endpoint):
    send("one")
    send("two")

    assert server.signed_in_with == ["token-1", "token-1"]
    assert len(endpoint.requests) == 1


def test_a_token_that_expired_is_refreshed(server, endpoint):
    endpoint.expires_in = 1  # Google's library takes a token that has less than some minutes left for expired
    send("one")
    send("two")

    assert server.signed_in_with == ["token-1", "token-2"]


def test_threads_that_need_a_token_at_once_fetch_one(server, endpoint):
    assert together([gmail.access_token] * 8) == ["token-1"] * 8
    assert len(endpoint.requests) == 1


def test_a_token_that_gmail_refuses_is_noted_and_the_next_attempt_fetches_another(server, owed):
    server.revoked.add("token-1")

    assert tasks.send_notifications() == 0

    owed.refresh_from_db()
    assert (owed.status, owed.attempts, owed.last_error) == (Status.PENDING, 1, "SMTPAuthenticationError")
    assert server.messages == []

    Notification.objects.update(due_at=timezone.now())
    assert tasks.send_notifications() == 1
    owed.refresh_from_db()
    assert (owed.status, owed.attempts) == (Status.SENT, 2)
    assert server.signed_in_with == ["token-2"]


def test_a_refresh_token_that_google_refuses_is_noted_and_tried_again(server, endpoint, owed, caplog):
    endpoint.refuses = True

    assert tasks.send_notifications() == 0

    owed.refresh_from_db()
    assert (owed.status, owed.attempts, owed.last_error) == (Status.PENDING, 1, "RefreshError")
    for secret in ("the-secret", "the-refresh-token", "invalid_grant"):
        assert secret not in caplog.text

    endpoint.refuses = False
    Notification.objects.update(due_at=timezone.now())
    assert tasks.send_notifications() == 1


def test_no_log_line_holds_a_token_or_a_secret(server, caplog):
    send()

    ours = " ".join(record.getMessage() for record in caplog.records if record.name != "mail.log")
    for secret in ("token-1", "the-secret", "the-refresh-token", "How are you?"):
        assert secret not in ours


def test_a_token_endpoint_that_is_away_is_an_error_not_a_wait(server, settings):
    settings.GMAIL = {**settings.GMAIL, "token_uri": "http://127.0.0.1:1/token"}

    with pytest.raises(TransportError):
        send()


def test_what_goes_wrong_while_signing_in_leaves_no_connection_open(server, endpoint):
    endpoint.refuses = True
    connection = mail.get_connection()

    with pytest.raises(RefreshError):
        connection.open()
    assert connection.connection is None

    endpoint.refuses = False
    server.revoked.add("token-2")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        connection.open()
    assert connection.connection is None


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_token(server, endpoint, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")

    with pytest.raises(ssl.SSLCertVerificationError):
        send()
    assert endpoint.requests == []
