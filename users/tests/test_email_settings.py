"""EMAIL_PROVIDER and the variables of each provider."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from importlib.util import find_spec

import anymail.backends
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends import smtp

from ledger_project.settings.email import ANYMAIL_PROVIDERS, OWN_PROVIDERS, email_settings
from users import gmail, mail_files, notifications
from users.models import Notification

GMAIL = ("EMAIL_USER", "CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")
# What each provider that needs credentials needs.
NEEDED = {**{name: needed for name, needed in ANYMAIL_PROVIDERS.items() if needed}, "gmail": GMAIL}
# anymail's modules that are no provider, or the old name of one
NO_PROVIDER = {"base", "base_requests", "console", "test", "sendinblue"}


@pytest.fixture
def environ(monkeypatch):
    """Set variables, and none besides: `environ(EMAIL_PROVIDER="smtp")`."""
    names = {"EMAIL_PROVIDER", "DEFAULT_FROM_EMAIL", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_USE_TLS", *GMAIL}
    for name in names.union(*ANYMAIL_PROVIDERS.values()):
        monkeypatch.delenv(name, raising=False)

    def fill(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return fill


@pytest.fixture
def use(settings):
    """Put what email_settings found into force."""

    def apply(found):
        for name, value in found.items():
            setattr(settings, name, value)

    return apply


def values(names) -> dict[str, str]:
    """A value for each variable; a URL for those that want one."""
    return {name: "https://api.example/" if name.endswith("_URL") else f"a-{name.lower()}" for name in names}


@pytest.mark.parametrize(("provider", "missing"), [(p, name) for p, names in NEEDED.items() for name in names])
@pytest.mark.parametrize("how", ["unset", "empty"])
def test_a_credential_that_is_missing_is_named(environ, provider, missing, how):
    given = {name: value for name, value in values(NEEDED[provider]).items() if name != missing}
    environ(EMAIL_PROVIDER=provider, **given, **({missing: ""} if how == "empty" else {}))

    with pytest.raises(ImproperlyConfigured, match=f"{missing} is not set: EMAIL_PROVIDER={provider} needs it"):
        email_settings(default="file")


def test_an_unknown_provider_is_refused_with_the_list_of_those_there_are(environ):
    environ(EMAIL_PROVIDER="pigeon")

    with pytest.raises(ImproperlyConfigured, match=r"'pigeon' is not one of: file, smtp, gmail, amazon_ses, brevo"):
        email_settings(default="file")


@pytest.mark.parametrize("provider", ANYMAIL_PROVIDERS)
def test_every_provider_in_the_table_can_be_used_as_anymail_has_it(environ, use, provider):
    if provider == "amazon_ses" and find_spec("boto3") is None:
        pytest.skip("boto3 is installed only where Amazon SES is used")
    environ(EMAIL_PROVIDER=provider, AWS_DEFAULT_REGION="eu-west-1", **values(ANYMAIL_PROVIDERS[provider]))

    use(email_settings(default="file"))

    backend = mail.get_connection()
    assert type(backend) is import_module(f"anymail.backends.{provider}").EmailBackend


def test_the_table_names_every_provider_that_anymail_has():
    from pkgutil import iter_modules

    offered = {module.name for module in iter_modules(anymail.backends.__path__)} - NO_PROVIDER

    assert set(ANYMAIL_PROVIDERS) == offered


@pytest.mark.parametrize(
    ("provider", "backend"),
    [("file", mail_files.EmailBackend), ("smtp", smtp.EmailBackend), ("gmail", gmail.EmailBackend)],
)
def test_our_own_ways_out_can_be_used(environ, use, tmp_path, monkeypatch, provider, backend):
    monkeypatch.setattr("ledger_project.settings.email.DATA_DIR", tmp_path)
    environ(EMAIL_PROVIDER=provider, **values(NEEDED.get(provider, ())))

    use(email_settings(default="file"))

    assert provider in OWN_PROVIDERS
    assert type(mail.get_connection()) is backend


@pytest.mark.parametrize("provider", [None, ""])
def test_without_a_provider_messages_land_as_files_under_the_data_folder(environ, monkeypatch, tmp_path, provider):
    monkeypatch.setattr("ledger_project.settings.email.DATA_DIR", tmp_path)
    environ(**({} if provider is None else {"EMAIL_PROVIDER": provider}))

    found = email_settings(default="file")

    assert found["EMAIL_BACKEND"] == "users.mail_files.EmailBackend"
    assert found["EMAIL_FILE_PATH"] == str(tmp_path / "mail")


def test_gmail_always_speaks_tls(environ):
    environ(EMAIL_PROVIDER="gmail", EMAIL_USE_TLS="false", **values(GMAIL))

    found = email_settings(default="file")

    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("smtp.gmail.com", 587, True)
    assert found["GMAIL"]["token_uri"] == "https://oauth2.googleapis.com/token"


@pytest.mark.parametrize(
    ("variables", "sender"),
    [
        ({}, "Backend Ledger <ledger@localhost>"),
        ({"EMAIL_USER": "me@gmail.example"}, "Backend Ledger <me@gmail.example>"),
        ({"EMAIL_USER": "me@gmail.example", "DEFAULT_FROM_EMAIL": "Bank <b@x.example>"}, "Bank <b@x.example>"),
    ],
)
def test_the_sender_is_the_one_named_or_the_seeds_email_user(environ, variables, sender):
    environ(**variables)

    assert email_settings(default="file")["DEFAULT_FROM_EMAIL"] == sender


def test_a_message_goes_to_a_providers_api_with_its_key_and_none_of_our_headers(environ, use, api, new_user):
    environ(EMAIL_PROVIDER="postmark", POSTMARK_SERVER_TOKEN="the-token", POSTMARK_API_URL=api.url)
    use(email_settings(default="file"))
    user = new_user()
    row = Notification(user=user, kind=Notification.Kind.WELCOME, payload={})

    assert notifications.message(row).send() == 1

    ((headers, body),) = api.requests
    assert headers["X-Postmark-Server-Token"] == "the-token"
    assert (body["To"], body["Subject"]) == (user.email, "Welcome to Backend Ledger")
    assert body["TextBody"].startswith("Hello Asha,")
    assert "<html" in body["HtmlBody"]
    assert "Headers" not in body


@pytest.fixture
def api():
    """Postmark on loopback: keeps what it was sent, and says that it is on its way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.requests.append((self.headers, body))
            answer = json.dumps({"ErrorCode": 0, "Message": "OK", "MessageID": "m-1", "To": body["To"]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
