"""What a worker has in hand, on a Redis that hangs."""

import logging
import os
import signal
from collections.abc import Callable

import pytest
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from ledger_project.celery import TRANSPORT
from ledger_project.embedded import Redis

TASKS = Queue("tasks", routing_key="tasks")


@pytest.fixture
def server(tmp_path):
    with Redis(tmp_path) as redis:
        yield redis


@pytest.fixture
def broker(server):
    """A connection as a worker has it, but that is sooner tired of waiting."""
    with Connection(server.url, transport_options=TRANSPORT | {"socket_timeout": 2}) as connection:
        yield connection
        os.kill(server.process.pid, signal.SIGCONT)


def acknowledge(message: Message, errors: tuple[type[Exception], ...]) -> None:
    message.ack_log_error(logging.getLogger(__name__), errors)


def give_back(message: Message, errors: tuple[type[Exception], ...]) -> None:
    message.reject_log_error(logging.getLogger(__name__), errors, requeue=True)


@pytest.mark.parametrize("end", [acknowledge, give_back])
def test_a_message_whose_end_redis_did_not_hear_of_gives_its_place_to_the_next(server, broker, end: Callable):
    received: list[Message] = []
    channel = broker.default_channel
    channel.basic_qos(prefetch_count=1)
    for body in ("first", "second"):
        broker.Producer().publish(body, routing_key=TASKS.routing_key, declare=[TASKS])
    with Consumer(channel, [TASKS], on_message=received.append, accept=["json"]):
        broker.drain_events(timeout=5)
        assert not channel.qos.can_consume()

        os.kill(server.process.pid, signal.SIGSTOP)
        end(received[0], broker.connection_errors)
        os.kill(server.process.pid, signal.SIGCONT)

        broker.drain_events(timeout=5)
    assert [message.body for message in received] == [b"first", b"second"]
