"""Settings of the servers under test: local ones, and what CHAOS_BREAK names is broken on purpose (breaks.py)."""

from ledger_project.settings.local import *  # noqa: F403
from ledger_project.settings.local import INSTALLED_APPS, LIMITS, MIDDLEWARE, env, throttles

CHAOS_BREAK = env.str("CHAOS_BREAK", default="")
INSTALLED_APPS = [*INSTALLED_APPS, "chaos.breaks.Broken" if CHAOS_BREAK else "chaos"]
MIDDLEWARE = ["chaos.meetings.EveryThread", *MIDDLEWARE]

# What is slow on purpose is no subject here, and a dozen people register before a run begins.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Shorter than the faults of the network last, so that what comes after a deadline happens, too.
POSTING_DEADLINE_SECONDS = 4.0
# So that the end of a run waits half as long for what a dead worker held; twice the mail server's time-out.
NOTIFICATION_LEASE_SECONDS = 30.0

# The throttles are on, and Redis is away now and then. All of the load comes from one address.
THROTTLES = throttles(**LIMITS | {"address": "6000000/60", "anonymous": "600000/60", "user": "600000/60"})
