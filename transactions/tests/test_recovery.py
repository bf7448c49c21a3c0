"""A rehearsal of docs/backup.md: a copy of the data folder, and the oplog replayed up to a moment before a mishap."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import Timestamp

from ledger_project.embedded import Mongo
from users.tests.processes import Done, Operator

pytestmark = pytest.mark.slow

DATABASE = "recovery"
Client = pymongo.MongoClient[dict[str, Any]]
# What an operation of the oplog carries besides itself: which session wrote it, and when.
OF_THE_SESSION = ("lsid", "txnNumber", "stmtId", "prevOpTime", "t", "ts", "wall", "v")


def operator(server: Mongo) -> Operator:
    """Commands on the ledger that is on `server`."""
    return Operator(os.environ | {"MONGODB_URI": server.uri, "MONGODB_DATABASE": DATABASE})


def said(done: Done) -> dict[str, Any]:
    """What a command says with --json."""
    return json.loads(done.printed.splitlines()[-1])


def copy_of(server: Mongo, client: Client, directory: Path) -> tuple[Mongo, Timestamp]:
    """A mongod on a copy of the data folder, taken while nothing is written: what a snapshot of the volume is.

    And the last operation that is in it.
    """
    client.admin.command("fsync", lock=True)
    try:
        last = now_of(client)
        shutil.copytree(server.directory, directory / "mongod")
    finally:
        client.admin.command("fsyncUnlock")
    for name in ("mongod.lock", "port"):
        (directory / "mongod" / name).unlink(missing_ok=True)
    return Mongo(directory), last


def now_of(client: Client) -> Timestamp:
    """The time of the server's last operation."""
    return client.admin.command("hello")["lastWrite"]["opTime"]["ts"]


def operations(client: Client, after: Timestamp, until: Timestamp) -> Iterator[dict[str, Any]]:
    """The oplog's operations on the ledger between two times, those of a MongoDB transaction in its place."""
    for row in client.local["oplog.rs"].find({"ts": {"$gt": after, "$lte": until}}).sort("$natural", 1):
        for operation in row["o"].get("applyOps", [row]) if row["op"] == "c" else [row]:
            if operation["ns"].startswith(f"{DATABASE}."):
                yield {name: value for name, value in operation.items() if name not in OF_THE_SESSION}


def test_the_ledger_of_a_moment_before_a_mishap_is_brought_back(tmp_path: Path) -> None:
    with Mongo(tmp_path / "source") as source, Client(source.uri) as client, operator(source) as manage:
        manage("migrate", "--verbosity", "0")
        manage("seed_system_funds", "--amount", "500", "--key", "before the copy", "--json")
        copy, last = copy_of(source, client, tmp_path / "copy")
        manage("seed_system_funds", "--amount", "70", "--key", "after the copy", "--json")
        anchor = said(manage("anchor_ledger", "--json"))["hash"]
        moment = now_of(client)
        client[DATABASE].entries.delete_many({})
        assert manage("verify_ledger", "--json").code == 1

        with copy, Client(copy.uri) as restored, operator(copy) as manage_copy:
            assert said(manage_copy("verify_ledger", "--json"))["entries"] == 2
            for operation in operations(client, last, moment):
                restored.admin.command("applyOps", [operation])

            done = manage_copy("verify_ledger", "--anchor", anchor, "--json")
            assert (done.code, said(done)["entries"], said(done)["whole"]) == (0, 4, True)
