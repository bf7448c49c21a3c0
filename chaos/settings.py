"""Settings of the servers under test: local ones, and what CHAOS_BREAK names is broken on purpose (breaks.py)."""

import os
import threading
import time

from ledger_project.settings.local import *  # noqa: F403
from ledger_project.settings.local import INSTALLED_APPS, LIMITS, env, throttles

CHAOS_BREAK = env.str("CHAOS_BREAK", default="")
if CHAOS_BREAK:
    INSTALLED_APPS = [*INSTALLED_APPS, "chaos.breaks.Broken"]

# The throttles are on, and Redis is away now and then. All of the load comes from one address.
THROTTLES = throttles(**LIMITS | {"address": "6000000/60", "anonymous": "600000/60", "user": "600000/60"})

if "faketime" in os.environ.get("LD_PRELOAD", ""):
    # Under libfaketime 0.9.10 Python's own way to sleep, clock_nanosleep until a monotonic moment, fails with EINVAL.
    def sleep(seconds: float) -> None:
        threading.Event().wait(seconds)

    time.sleep = sleep  # type: ignore[assignment]
