"""The sender against a real SMTP server that is down, refuses or hangs; claims that race; the wake-up's thread."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from bson import ObjectId
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings as configured
from django.utils import timezone

from ledger_project.celery import app
from ledger_project.mongo import run_transaction
from users import notifications, tasks
from users.models import Notification
from users.tests.mail_server import MailServer
from users.tests.waiting import wait_until

Status = Notification.Status


@pytest.fixture
def smtp(settings):
    """A mail server, and settings that send to it."""
    with MailServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
        yield server


@pytest.fixture
def owe(new_user):
    """Put a welcome for `user` (a new one) into the outbox."""

    def make(user_id: ObjectId | None = None) -> Notification:
        row = notifications.row(user_id or new_user().pk, Notification.Kind.WELCOME, {})
        run_transaction(lambda unit: notifications.queue(unit, [row]))
        return Notification.objects.get(pk=row["_id"])

    return make


@pytest.fixture
def published():
    """How many wake-ups wait in the broker."""
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        yield lambda: client.llen("celery")


def fall_due() -> None:
    """Let the time pass until every row may be tried again."""
    Notification.objects.update(due_at=timezone.now())


def test_what_is_due_is_sent_once_over_one_connection(smtp, owe):
    rows = [owe() for _ in range(3)]

    assert tasks.send_notifications() == 3
    assert tasks.send_notifications() == 0

    assert sorted(m["To"] for m in smtp.messages) == sorted(row.user.email for row in rows)
    for row in Notification.objects.all():
        assert (row.status, row.attempts, row.last_error) == (Status.SENT, 1, "")
        assert row.sent_at is not None


def test_a_row_that_is_not_due_yet_is_left_alone(smtp, owe):
    owe()
    Notification.objects.update(due_at=timezone.now() + timedelta(minutes=1))

    assert tasks.send_notifications() == 0


def test_a_server_that_is_down_costs_one_attempt_of_one_row_and_the_rest_stays_due(smtp, owe, settings):
    rows = [owe() for _ in range(3)]
    settings.EMAIL_PORT = 1  # nobody listens there

    assert tasks.send_notifications() == 0

    tried, *others = (Notification.objects.get(pk=row.pk) for row in rows)
    assert (tried.status, tried.attempts, tried.last_error) == (Status.PENDING, 1, "ConnectionRefusedError")
    assert [(row.attempts, row.last_error) for row in others] == [(0, ""), (0, "")]

    settings.EMAIL_PORT = smtp.port
    fall_due()
    assert tasks.send_notifications() == 3
    assert set(Notification.objects.values_list("status", flat=True)) == {Status.SENT}


def test_each_failure_is_counted_and_waits_longer_until_the_row_is_given_up(smtp, owe, settings):
    settings.EMAIL_PORT = 1
    settings.NOTIFICATION_MAX_ATTEMPTS = 5
    row = owe()

    for seconds in (15, 60, 240, 960, 3600):
        fall_due()
        begin = timezone.now()
        tasks.send_notifications()
        row.refresh_from_db()
        assert timedelta(seconds=seconds) <= row.due_at - begin < timedelta(seconds=seconds + 30)

    assert (row.status, row.attempts, row.last_error) == (Status.FAILED, 5, "ConnectionRefusedError")
    fall_due()
    assert tasks.claim() is None


def test_an_address_that_is_refused_does_not_hold_up_the_others(smtp, owe):
    refused, *others = (owe() for _ in range(4))
    smtp.refused.add(refused.user.email)

    assert tasks.send_notifications() == 3

    refused.refresh_from_db()
    assert (refused.status, refused.attempts) == (Status.PENDING, 1)
    assert refused.last_error == "SMTPRecipientsRefused"
    assert sorted(m["To"] for m in smtp.messages) == sorted(row.user.email for row in others)


def test_a_message_that_cannot_be_rendered_does_not_hold_up_the_others(smtp, owe):
    broken, good = owe(), owe()
    Notification.objects.filter(pk=broken.pk).update(kind="UNHEARD_OF")

    assert tasks.send_notifications() == 1

    broken.refresh_from_db()
    good.refresh_from_db()
    assert (broken.status, broken.last_error) == (Status.PENDING, "ValueError")
    assert good.status == Status.SENT


def test_a_notice_to_a_user_who_is_gone_is_given_up_at_once(smtp, owe):
    run_transaction(
        lambda unit: notifications.queue(unit, [notifications.row(ObjectId(), Notification.Kind.WELCOME, {})])
    )
    good = owe()

    assert tasks.send_notifications() == 1

    lost = Notification.objects.exclude(pk=good.pk).get()
    assert (lost.status, lost.last_error) == (Status.FAILED, "DoesNotExist")


def test_the_time_limit_ends_the_task_and_the_row_is_tried_again(smtp, owe, monkeypatch):
    rows = [owe(), owe()]

    def out_of_time(notification):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(notifications, "message", out_of_time)
    with pytest.raises(SoftTimeLimitExceeded):
        tasks.send_notifications()

    tried, untouched = (Notification.objects.get(pk=row.pk) for row in rows)
    assert (tried.status, tried.attempts, tried.last_error) == (Status.PENDING, 1, "SoftTimeLimitExceeded")
    assert untouched.attempts == 0


def test_a_row_that_kills_every_worker_is_given_up_in_the_end(smtp, owe, settings):
    settings.NOTIFICATION_MAX_ATTEMPTS = 2
    row = owe()
    for _ in range(2):  # claimed by workers that were never heard of again
        assert tasks.claim() is not None
        fall_due()

    assert tasks.send_notifications() == 0

    row.refresh_from_db()
    assert (row.status, row.last_error) == (Status.FAILED, "WorkerLost")
    assert smtp.messages == []


def test_many_who_claim_at_once_get_each_row_once(owe):
    rows = [owe() for _ in range(40)]

    def claim_all(_):
        return list(iter(tasks.claim, None))

    with ThreadPoolExecutor(8) as pool:
        claimed = [row.pk for found in pool.map(claim_all, range(8)) for row in found]

    assert sorted(claimed) == sorted(row.pk for row in rows)


def test_a_claimed_row_is_due_again_when_its_lease_is_over(owe, settings):
    settings.NOTIFICATION_LEASE_SECONDS = 30
    owe()
    claimed = tasks.claim()

    assert tasks.claim() is None

    wait = (claimed.due_at - timezone.now()).total_seconds()
    assert 25 < wait <= 30


def test_a_worker_that_is_late_does_not_overwrite_what_the_next_one_does(smtp, owe, settings):
    row = owe()
    settings.NOTIFICATION_LEASE_SECONDS = 0
    smtp.hang()
    late = threading.Thread(target=tasks.send_notifications)
    late.start()
    assert smtp.waiting.wait(10)

    settings.NOTIFICATION_LEASE_SECONDS = 60
    claimed = tasks.claim()
    smtp.go_on()  # the late one is turned down, and would note a failure
    late.join(10)

    row.refresh_from_db()
    assert (row.pk, row.attempts) == (claimed.pk, 2)
    assert (row.status, row.last_error, row.due_at) == (Status.PENDING, "", claimed.due_at)


def test_a_turn_ends_after_so_many_messages_and_asks_for_another(smtp, owe, monkeypatch, published):
    monkeypatch.setattr(tasks, "TURN_MESSAGES", 2)
    before = published()
    for _ in range(3):
        owe()

    assert tasks.send_notifications() == 2
    wait_until(lambda: published() > before)


def test_a_turn_ends_after_so_long_and_asks_for_another(smtp, owe, monkeypatch, published):
    monkeypatch.setattr(tasks, "TURN_SECONDS", -1)
    before = published()
    owe()

    assert tasks.send_notifications() == 0
    wait_until(lambda: published() > before)


def test_no_log_line_and_no_row_tells_an_address_or_a_body(smtp, owe, caplog):
    row = owe()
    smtp.refused.add(row.user.email)

    tasks.send_notifications()

    row.refresh_from_db()
    ours = " ".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail.log"))
    assert "SMTPRecipientsRefused" in ours
    assert row.user.email not in ours + row.last_error
    assert "Hello" not in ours


def test_without_a_cache_e_mail_is_sent_all_the_same(smtp, owe, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    owe()

    assert tasks.send_notifications() == 1


def test_locally_each_message_lands_in_a_file_of_its_own(owe, settings, tmp_path):
    settings.EMAIL_BACKEND = "users.mail_files.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    rows = [owe(), owe()]

    assert tasks.send_notifications() == 2

    files = sorted((tmp_path / "mail").glob("*.eml"))
    for row, file in zip(rows, files, strict=True):
        assert f"To: {row.user.email}" in file.read_text()


def test_a_wake_up_reaches_the_broker_and_many_at_once_are_few(published):
    before = published()

    for _ in range(500):
        tasks.wake_sender.ask()

    wait_until(lambda: published() > before)
    assert published() - before <= 3


def test_a_wake_up_asked_for_while_another_is_on_its_way_is_published_after_it(published):
    before = published()

    tasks.wake_sender.ask()
    wait_until(lambda: published() > before)
    tasks.wake_sender.ask()

    wait_until(lambda: published() > before + 1)


def test_asking_for_a_wake_up_does_not_wait_though_the_broker_hangs(monkeypatch):
    hanging, released, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(**options):
        hanging.set()
        released.wait(30)
        ended.set()
        raise ConnectionError

    monkeypatch.setattr(tasks.send_notifications, "apply_async", hang)
    tasks.wake_sender.ask()
    assert hanging.wait(30)

    for _ in range(100):
        tasks.wake_sender.ask()

    assert not ended.is_set()
    released.set()
    assert ended.wait(30)


def test_publishing_to_a_broker_that_is_down_fails_at_once(monkeypatch):
    with app.connection_for_write("redis://127.0.0.1:1/0") as nowhere:
        begin = time.perf_counter()
        with pytest.raises(Exception, match="refused"):
            tasks.send_notifications.apply_async(connection=nowhere, retry=False)

    assert time.perf_counter() - begin < 5


def test_a_forked_child_wakes_the_sender_though_the_fork_came_at_a_bad_moment(published):
    before = published()
    tasks.wake_sender.ask()
    wait_until(lambda: published() > before)
    before = published()

    with tasks.wake_sender._start:  # a lock that another thread of the parent held when the child was made
        child = os.fork()
        if child == 0:
            _wake_and_exit(before, published)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def _wake_and_exit(before: int, published) -> None:
    """In the child: 0 when its wake-up reached the broker; SIGALRM ends it when nothing comes."""
    signal.alarm(60)
    code = 1
    try:
        tasks.wake_sender.ask()
        wait_until(lambda: published() > before, seconds=50)
        code = 0
    finally:
        os._exit(code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("task_ignore_result", True),
        ("worker_prefetch_multiplier", 1),
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("broker_connection_max_retries", None),
        ("broker_channel_error_retry", True),
    ],
)
def test_celery_is_set_to_lose_nothing_and_trust_nothing_but_json(name, value):
    assert app.conf[name] == value


def test_a_task_ends_before_its_row_or_its_message_may_go_to_another_worker():
    assert tasks.TURN_SECONDS < app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.task_time_limit < configured.NOTIFICATION_LEASE_SECONDS
    assert app.conf.task_time_limit < app.conf.visibility_timeout
    assert tasks.TURN_SECONDS < app.conf.worker_soft_shutdown_timeout < app.conf.visibility_timeout


def test_the_visibility_time_out_is_the_same_in_all_three_places():
    of_broker, of_results = app.conf.broker_transport_options, app.conf.result_backend_transport_options
    assert of_broker["visibility_timeout"] == of_results["visibility_timeout"] == app.conf.visibility_timeout


def test_beat_sweeps_and_its_sweep_is_a_task_that_exists():
    assert app.conf.beat_schedule["sweep"]["schedule"] == configured.NOTIFICATION_SWEEP_SECONDS
    app.loader.import_default_modules()  # as a worker does
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= app.tasks.keys()
