"""What is measured, figure by figure: which servers, which load, against what, and the bound."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median as middle

from benchmarks.figures import Figure, NothingAnswered, Side, at_least, at_most, in_turns, median, rate, settle
from benchmarks.load import Load
from benchmarks.raw_limit import RawLimit
from benchmarks.servers import Ledger, Stage, Web

PAGE = 50
BATCH = 1000
RAW_THREADS = 16
PROCESSES = 2
POSTING_SECONDS = 600


@dataclass(frozen=True)
class Plan:
    """How much of everything: enough to trust the figures, or just enough to see that all of it works."""

    rounds: int
    seconds: int
    transfers: int  # in the large ledger
    memory_marks: tuple[int, int]  # after how many transfers memory is looked at


FULL = Plan(rounds=5, seconds=2, transfers=1_000_000, memory_marks=(20_000, 200_000))
QUICK = Plan(rounds=1, seconds=2, transfers=20_000, memory_marks=(1_000, 20_000))


@dataclass(frozen=True)
class Measured:
    """What came out of a run; the percentiles are for the plot of latencies."""

    figures: list[Figure]
    percentiles_ms: dict[str, Sequence[float]] = field(default_factory=dict)


def _home(stage: Stage) -> tuple[Ledger, Web]:
    """The ledger of most figures, and the usual web server on it."""
    ledger = stage.ledger("runs")
    return ledger, stage.web(ledger, processes=PROCESSES)


def transfers(stage: Stage, plan: Plan) -> Measured:
    """Single transfers at 64 connections, against the no-op and against PyMongo alone."""
    ledger, web = _home(stage)
    with RawLimit(stage.mongodb_uri) as raw:
        nothing, ours, theirs = in_turns(
            plan.rounds,
            lambda: stage.transfers(web, ledger, seconds=plan.seconds, path="/api/noop/"),
            lambda: stage.transfers(web, ledger, seconds=plan.seconds),
            lambda: raw.run(threads=RAW_THREADS, per_transaction=1, seconds=plan.seconds),
        )
    loads = {"authenticated no-op": nothing, "single transfer": ours, "PyMongo alone, 16 threads": theirs}
    single = rate("single transfers, 64 connections", ours)
    p99 = Side("p99 of single transfers", "ms", [run.p99_ms for run in ours])
    return Measured(
        [
            at_least(
                0.60,
                "single transfers over HTTP, 64 connections, 1,000 accounts, against an authenticated no-op",
                single,
                rate("authenticated no-op POST, 64 connections", nothing, "requests/s"),
            ),
            at_least(
                1.3,
                "the same, against PyMongo alone with one transaction per transfer, 16 threads",
                single,
                rate("PyMongo alone, 1 per transaction, 16 threads", theirs),
            ),
            at_most(4.0, "the same: p99 against median", p99, median("median of single transfers", ours)),
        ],
        {name: _typical(runs) for name, runs in loads.items()},
    )


def _typical(runs: Sequence[Load]) -> Sequence[float]:
    """The percentiles, each the median of the rounds."""
    return [round(middle(values), 3) for values in zip(*(run.percentiles_ms for run in runs), strict=True)]


def alone(stage: Stage, plan: Plan) -> Measured:
    """One connection, against PyMongo alone with one thread: what a lone client waits."""
    ledger, web = _home(stage)
    with RawLimit(stage.mongodb_uri) as raw:
        ours, theirs = in_turns(
            plan.rounds,
            lambda: stage.transfers(web, ledger, seconds=plan.seconds, connections=1),
            lambda: raw.run(threads=1, per_transaction=1, seconds=plan.seconds),
        )
    says = "one connection: median latency, against PyMongo alone with one thread"
    sides = median("a transfer over HTTP, 1 connection", ours), median("PyMongo alone, 1 thread", theirs)
    return Measured([at_most(1.8, says, *sides)])


def batches(stage: Stage, plan: Plan) -> Measured:
    """Batches of 1,000, against PyMongo alone at 1,000 per MongoDB transaction."""
    says = "batches of 1,000 over HTTP, against PyMongo alone at 1,000 per transaction"
    ledger, web = _home(stage)
    if not stage.has_batches(web, ledger):
        return Measured([Figure(says, 0.8, True, skipped="the server has no batch endpoint")])
    with RawLimit(stage.mongodb_uri) as raw:
        ours, theirs = in_turns(
            plan.rounds,
            lambda: stage.batches(web, ledger, size=BATCH, seconds=plan.seconds, connections=PROCESSES),
            lambda: raw.run(threads=1, per_transaction=BATCH, seconds=plan.seconds),
        )
    sides = rate(f"batches, {PROCESSES} connections", ours), rate("PyMongo alone, 1,000 per transaction", theirs)
    return Measured([at_least(0.8, says, *sides)])


def contention(stage: Stage, plan: Plan) -> Measured:
    """64 connections that meet on few accounts."""
    ledger, web = _home(stage)

    def among(people: Path, payee: str = "") -> Callable[[], Load]:
        return lambda: stage.transfers(web, ledger, seconds=plan.seconds, people=people, payee=payee)

    # The one account that is paid by everybody is the hub: none of those that pay.
    many, *few = in_turns(
        plan.rounds,
        among(ledger.people),
        among(ledger.only(10)),
        among(ledger.only(2)),
        among(ledger.people, ledger.hub),
    )
    all_accounts = rate("transfers among 1,000 accounts", many)
    return Measured(
        [
            at_least(
                0.8, f"64 connections {where}, against 1,000 accounts", rate(f"transfers {where}", runs), all_accounts
            )
            for where, runs in zip(("on 10 accounts", "on 2 accounts", "all paying one account"), few, strict=True)
        ]
    )


def processes(stage: Stage, plan: Plan) -> Measured:
    """More web processes on the same two cores."""
    ledger = stage.ledger("runs")
    webs = {count: stage.web(ledger, processes=count) for count in (1, 2, 4)}
    found = in_turns(plan.rounds, *(_singles(stage, web, ledger, plan.seconds) for web in webs.values()))
    one, two, four = (
        rate(f"{count} web process{'es' * (count > 1)}", runs) for count, runs in zip(webs, found, strict=True)
    )
    return Measured(
        [
            at_least(1.0, "2 web processes against 1", two, one),
            at_least(1.0, "4 web processes against 2", four, two),
        ]
    )


def _singles(stage: Stage, web: Web, ledger: Ledger, seconds: int) -> Callable[[], Load]:
    return lambda: stage.transfers(web, ledger, seconds=seconds)


def size(stage: Stage, plan: Plan) -> Measured:
    """Transfers with many entries in the ledger, against an empty one."""
    ledgers = _large(stage, plan), stage.ledger("empty")
    webs = [stage.web(ledger, processes=PROCESSES) for ledger in ledgers]
    sides = [_singles(stage, web, ledger, plan.seconds) for web, ledger in zip(webs, ledgers, strict=True)]
    ours, theirs = in_turns(plan.rounds, *sides)
    entries = f"{2 * plan.transfers:,} entries in the ledger"
    says = f"single transfers with {entries}, against an empty one"
    return Measured([at_least(0.9, says, rate(entries, ours), rate("an empty ledger", theirs))])


def _large(stage: Stage, plan: Plan) -> Ledger:
    return stage.ledger("large", transfers=plan.transfers)


def reads(stage: Stage, plan: Plan) -> Measured:
    """Balance and statement of an account with very many entries; and the first page of the admin."""
    ledger = _large(stage, plan)
    return Measured([*_of_an_account(stage, plan, ledger), *_of_staff(stage, plan, ledger)])


def _of_an_account(stage: Stage, plan: Plan, ledger: Ledger) -> list[Figure]:
    page = ledger.hub_entries // PAGE // 2  # the 10,000th of 20,000
    cursor = ledger.hub_entries - (page - 1) * PAGE + 1
    statement = f"/api/accounts/{ledger.hub}/entries?limit={PAGE}"
    paths = (
        f"/api/accounts/balance/{ledger.hub}",
        f"/api/accounts/balance/{ledger.small}",
        f"{statement}&cursor={cursor}",
        statement,
    )
    hub, small, deep, first = in_turns(plan.rounds, *(_reader(stage, ledger, path) for path in paths))
    count = f"{ledger.hub_entries:,}"
    return [
        at_most(
            1.1,
            f"balance, account with {count} entries against one with 100",
            median(f"balance, {count} entries", hub),
            median("balance, 100 entries", small),
        ),
        at_most(
            1.3,
            f"statement, page {page:,} of that account against its first",
            median(f"statement page {page:,}", deep),
            median("statement page 1", first),
        ),
    ]


def _of_staff(stage: Stage, plan: Plan, ledger: Ledger) -> list[Figure]:
    """The dashboard: it reads what was rolled up, so the size of the ledger must not show, and a second is enough."""
    ledgers = ledger, stage.ledger("empty")
    large, empty = in_turns(plan.rounds, *(_member_of_staff(stage, each, plan.seconds) for each in ledgers))
    entries = f"{2 * plan.transfers:,} entries in the ledger"
    says = f"the dashboard with {entries}, against an empty one"
    ours, theirs = median(f"the dashboard, {entries}", large), median("the dashboard, an empty ledger", empty)
    a_second = Side("a second", "ms median", [1000.0] * plan.rounds)
    return [at_most(1.3, says, ours, theirs), at_most(1.0, "the same, against a second", ours, a_second)]


def _reader(stage: Stage, ledger: Ledger, path: str) -> Callable[[], Load]:
    return _reads(stage, ledger, path, "Authorization", f"Bearer {ledger.reader_token}", seconds=1)


def _member_of_staff(stage: Stage, ledger: Ledger, seconds: int) -> Callable[[], Load]:
    return _reads(stage, ledger, "/admin/?period=90", "Cookie", f"sessionid={ledger.staff_session}", seconds=seconds)


def _reads(stage: Stage, ledger: Ledger, path: str, *header: str, seconds: int) -> Callable[[], Load]:
    web = stage.web(ledger, processes=PROCESSES)
    return lambda: stage.load(web, "reads.lua", path, *header, connections=1, seconds=seconds)


def memory(stage: Stage, plan: Plan) -> Measured:
    """What a web process holds after many transfers, against after some."""
    first, last = plan.memory_marks
    says = f"memory of a web process after {last:,} transfers, against after {first:,}"
    if not Path("/proc/self/smaps_rollup").exists():
        return Measured([Figure(says, 1.1, False, skipped="needs Linux, which says what a process holds")])
    ledger = stage.ledger("runs")
    web = stage.new_web(ledger, processes=1, purpose="-memory")
    if not stage.has_batches(web, ledger):
        return Measured([Figure(says, 1.1, False, skipped="so many would take too long without a batch endpoint")])
    posted, sides = 0, []
    for mark in plan.memory_marks:
        posted = _post_until(stage, web, ledger, posted, mark)
        sides.append(Side(f"after {posted:,} transfers", "MB PSS", [_pss_mb(web.worker())]))
    early, late = sides
    return Measured([at_most(1.1, says, late, early)])


def _post_until(stage: Stage, web: Web, ledger: Ledger, posted: int, mark: int) -> int:
    """Post singles and batches in turns until `mark` have been posted; how many it were. Raises NothingAnswered."""
    give_up = time.monotonic() + POSTING_SECONDS
    while posted < mark:
        if time.monotonic() > give_up:
            raise NothingAnswered
        posted += stage.transfers(web, ledger, seconds=1).operations
        if posted < mark:
            batches = stage.batches(web, ledger, size=BATCH, seconds=4, connections=2)
            posted += batches.operations
            settle(batches)
    return posted


def _pss_mb(process: int) -> float:
    """The memory of a process, its share of what it shares included."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


# In this order: each leaves entries in the ledger of the runs, which `size` and `reads` do not use.
RUNS: dict[str, Callable[[Stage, Plan], Measured]] = {
    "transfers": transfers,
    "alone": alone,
    "batches": batches,
    "contention": contention,
    "processes": processes,
    "memory": memory,
    "size": size,
    "reads": reads,
}
