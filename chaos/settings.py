"""Settings of the servers under test: local ones, and what CHAOS_BREAK names is broken on purpose (breaks.py)."""

from ledger_project.settings.local import *  # noqa: F403
from ledger_project.settings.local import INSTALLED_APPS, env

CHAOS_BREAK = env.str("CHAOS_BREAK", default="")
if CHAOS_BREAK:
    INSTALLED_APPS = [*INSTALLED_APPS, "chaos.breaks.Broken"]
