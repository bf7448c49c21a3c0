"""Settings of the measured servers: local ones, but logging as production does, and with the no-op beside the API."""

from ledger_project.settings.local import *  # noqa: F403
from ledger_project.settings.local import LIMITS, env, logging_config, throttles

ROOT_URLCONF = "benchmarks.urls"
LOGGING = logging_config(env.str("LOG_FORMAT", default="json"))
# The throttles are on. All of the load comes from one address, and in some figures from two users.
THROTTLES = throttles(**LIMITS | {"address": "6000000/60", "user": "600000/60"})
