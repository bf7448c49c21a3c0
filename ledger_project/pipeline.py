"""Several commands of a transaction in one round trip: all are sent, and only then are their answers read.

mongod serves a connection's commands in their order, whether or not somebody waits in between. PyMongo waits after
each. In a transaction nobody has to: these answers decide nothing but whether it may be committed, so it is enough to
have read all of them before that.

PyMongo has no name for this, so here, and nowhere else, its inner parts are used. requirements/base.in holds it to the
versions that this was tested with; ADR 0017 says what it is worth. Command listeners do not hear of what goes this way.
"""

from collections.abc import Iterable
from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, WriteError
from pymongo.helpers_shared import _check_command_response
from pymongo.message import _op_msg
from pymongo.monitoring import ConnectionClosedReason
from pymongo.read_preferences import ReadPreference
from pymongo.synchronous.pool import Connection

Document = dict[str, Any]

DUPLICATE_KEY = 11000


def in_one_round_trip(
    session: ClientSession, database: Database[Document], commands: Iterable[Document]
) -> list[tuple[Document, Document]]:
    """Carry out `commands` in the transaction that `session` is in: each of them with its answer.

    Each is sent as soon as `commands` gives it, so the server works on it while the next one is made. Raises what
    `commands` raises, and PyMongoError for the first command that failed, with PyMongo's labels: those behind it mostly
    say only that the transaction is over, and some may have been carried out. It must not be committed then.
    """
    client = database.client
    with client._conn_for_writes(session, "write") as connection:
        try:
            sent = [(command, _send(connection, session, database, command)) for command in commands]
            answered = [(command, connection.receive_message(number).unpack_response()[0]) for command, number in sent]
        except BaseException:
            # An answer that nobody has read would be taken for the next command's.
            connection.close_conn(ConnectionClosedReason.ERROR)
            raise
        session._transaction.has_completed_command = True
        for _, reply in answered:
            client._process_response(reply, session)
            _check_command_response(reply, connection.max_wire_version)
            for refused in reply.get("writeErrors", ()):
                kind = DuplicateKeyError if refused["code"] == DUPLICATE_KEY else WriteError
                raise kind(refused["errmsg"], refused["code"], refused)
    return answered


def _send(connection: Connection, session: ClientSession, database: Database[Document], command: Document) -> int:
    """Send `command`, and the number that its answer will bear."""
    connection.add_server_api(command)
    session._apply_to(command, False, ReadPreference.PRIMARY, connection)
    connection.send_cluster_time(command, session, database.client)
    connection.apply_timeout(command)
    number, message, _, largest = _op_msg(
        0, command, database.name, None, DEFAULT_CODEC_OPTIONS, ctx=connection.compression_context
    )
    if session._starting_transaction:
        session._transaction.set_in_progress()
    connection.send_message(message, largest)
    return number
