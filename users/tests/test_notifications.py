"""What the messages say, and that nothing a user typed breaks out of its place."""

from datetime import timedelta

import pytest
from bson import ObjectId
from django.core import mail
from django.utils import timezone

from ledger_project.mongo import from_document, run_transaction
from transactions import ledger, notices
from users import notifications
from users.models import Notification, User

Kind = Notification.Kind
TRANSFER = {
    "amount": "10.5",
    "currency": "INR",
    "from_account": "a" * 24,
    "to_account": "b" * 24,
    "transaction": "c" * 24,
    "time": "2026-11-22T09:30:00.123Z",
}
FAILED = {
    "amount": "10.5",
    "currency": "INR",
    "from_account": "a" * 24,
    "to_account": "b" * 24,
    "idempotency_key": "rent-2026-11",
    "reason": "Insufficient balance",
    "time": "2026-11-22T09:30:00.123Z",
}


def message(user, kind, payload=None):
    """The message for an outbox row of `user`."""
    return notifications.message(from_document(Notification, notifications.row(user.pk, kind, payload or {})))


def html_of(sent) -> str:
    (alternative,) = sent.alternatives
    assert alternative[1] == "text/html"
    return alternative[0]


@pytest.mark.parametrize(
    ("kind", "payload", "subject"),
    [
        (Kind.WELCOME, {}, "Welcome to Backend Ledger"),
        (Kind.PASSWORD_CHANGED, {}, "Your password was changed"),
        (Kind.PASSWORD_RESET, {}, "Set a new password"),
        (Kind.VERIFY_EMAIL, {}, "Confirm your e-mail"),
        (Kind.TRANSFER_SENT, TRANSFER, "You sent 10.5 INR"),
        (Kind.TRANSFER_RECEIVED, TRANSFER, "You received 10.5 INR"),
        (Kind.TRANSFER_FAILED, FAILED, "Your transfer of 10.5 INR failed"),
    ],
)
def test_every_kind_has_a_subject_a_text_and_an_html_part_for_its_user(new_user, kind, payload, subject):
    user = new_user(name="Asha Rao")

    made = message(user, kind, payload)

    assert made.subject == subject
    assert made.to == [user.email]
    assert made.body.startswith("Hello Asha Rao,\n")
    assert "Hello Asha Rao," in html_of(made)
    for rendered in (made.body, html_of(made)):
        assert "{{" not in rendered
        assert "{%" not in rendered


@pytest.mark.parametrize("kind", [Kind.TRANSFER_SENT, Kind.TRANSFER_RECEIVED])
def test_a_notice_shows_amount_currency_both_accounts_time_and_transaction_in_both_parts(new_user, kind):
    made = message(new_user(), kind, TRANSFER)

    for rendered in (made.body, html_of(made)):
        for shown in ("10.5 INR", "a" * 24, "b" * 24, "c" * 24, "22 November 2026, 09:30:00 UTC"):
            assert shown in rendered


def test_a_failure_notice_shows_the_reason_and_the_callers_own_key(new_user):
    made = message(new_user(), Kind.TRANSFER_FAILED, FAILED)

    for rendered in (made.body, html_of(made)):
        for shown in ("Insufficient balance", "rent-2026-11", "22 November 2026, 09:30:00 UTC"):
            assert shown in rendered


def test_a_failure_notice_without_a_currency_shows_the_bare_amount(new_user):
    payload = {key: value for key, value in FAILED.items() if key != "currency"}

    made = message(new_user(), Kind.TRANSFER_FAILED, payload)

    assert made.subject == "Your transfer of 10.5 failed"
    assert "Amount:        10.5\n" in made.body


def test_names_are_escaped_in_html_and_nowhere_else(new_user, settings):
    settings.SITE_NAME = "O'Brien & <b>Sons</b>"

    made = message(new_user(name="D'Arcy & <i>Co</i>"), Kind.WELCOME)

    # A slash might be a link, so this one is not greeted by name.
    assert made.subject == "Welcome to O'Brien & <b>Sons</b>"
    assert "O'Brien & <b>Sons</b>" in made.body
    assert "O&#x27;Brien &amp; &lt;b&gt;Sons&lt;/b&gt;" in html_of(made)
    assert "<b>" not in html_of(made)


def test_what_a_client_typed_is_escaped_in_html_and_plain_in_the_text(new_user):
    made = message(new_user(name="O'Brien & <b>"), Kind.TRANSFER_FAILED, {**FAILED, "idempotency_key": "<script>'&"})

    assert made.body.startswith("Hello O'Brien & <b>,\n")
    assert "<script>'&" in made.body
    assert "Hello O&#x27;Brien &amp; &lt;b&gt;," in html_of(made)
    assert "&lt;script&gt;&#x27;&amp;" in html_of(made)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028", "\x0b", "\x85"])
def test_a_subject_is_one_line_whatever_its_values_hold(new_user, settings, line_break):
    settings.SITE_NAME = f"Ledger{line_break}Bcc: everyone@example.com"

    made = message(new_user(), Kind.WELCOME)

    assert len(made.subject.splitlines()) == 1
    assert made.message()["Bcc"] is None


@pytest.mark.parametrize("name", ["Win at http://evil.example", "evil.example", "www/evil", "me@evil.example"])
def test_a_name_that_reads_like_a_link_is_not_repeated_to_whoever_owns_the_address(new_user, name):
    made = message(new_user(name=name), Kind.WELCOME)

    assert made.body.startswith("Hello,\n")
    assert "evil" not in made.body + html_of(made)


def test_a_name_is_greeted_on_one_line(new_user):
    assert message(new_user(name="Dr. Asha\n\nRao"), Kind.WELCOME).body.startswith("Hello Dr. Asha Rao,\n")


def test_a_message_sent_twice_has_one_id_and_asks_for_no_automatic_answer(new_user, settings):
    settings.DEFAULT_FROM_EMAIL = "Backend Ledger <ledger@bank.example>"
    row = from_document(Notification, notifications.row(new_user().pk, Kind.WELCOME, {}))

    first, second = (notifications.message(row).message() for _ in range(2))

    assert first["Message-ID"] == second["Message-ID"] == f"<{row.pk}@bank.example>"
    assert first["Auto-Submitted"] == "auto-generated"


def test_a_message_for_a_user_who_is_gone_is_refused():
    with pytest.raises(User.DoesNotExist):
        notifications.message(from_document(Notification, notifications.row(ObjectId(), Kind.WELCOME, {})))


def test_the_keys_that_the_ledger_writes_are_those_the_templates_show(new_user, new_account):
    """A worked example: what a real transfer queues, rendered and handed to Django's mail."""
    payer, payee = new_user(), new_user()
    source, target = new_account(payer, funds=100), new_account(payee)
    moved = ledger.post(transfer_of(payer, source, target)).transaction
    notices.write_due(limit=100)

    rows = Notification.objects.filter(pk__in=[moved.debit_entry, moved.credit_entry])

    for row in rows:
        notifications.message(row).send()
    assert sorted(sent.subject for sent in mail.outbox) == ["You received 30.25 INR", "You sent 30.25 INR"]
    for sent in mail.outbox:
        for shown in (source.pk, target.pk, moved.pk):
            assert str(shown) in sent.body


def transfer_of(payer, source, target):
    from decimal import Decimal

    from transactions.posting import Transfer

    return Transfer(
        initiator=payer.pk,
        from_account=source.pk,
        to_account=target.pk,
        amount=Decimal("30.25"),
        idempotency_key="once",
    )


def test_a_row_is_due_at_once_and_stored_only_with_what_it_tells_of(new_user):
    user = new_user()

    def fail(unit):
        notifications.queue(unit, [notifications.row(user.pk, Kind.WELCOME, {})])
        raise RuntimeError("what it tells of could not be written")

    with pytest.raises(RuntimeError):
        run_transaction(fail)
    assert not Notification.objects.exists()

    run_transaction(lambda unit: notifications.queue(unit, [notifications.row(user.pk, Kind.WELCOME, {})]))
    (row,) = Notification.objects.all()
    assert (row.status, row.attempts) == (Notification.Status.PENDING, 0)
    assert row.due_at <= timezone.now() < row.due_at + timedelta(seconds=30)
