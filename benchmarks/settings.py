"""Settings of the measured servers: local ones, but logging as production does, and with the no-op beside the API."""

from ledger_project.settings.local import *  # noqa: F403
from ledger_project.settings.local import env, logging_config

ROOT_URLCONF = "benchmarks.urls"
LOGGING = logging_config(env.str("LOG_FORMAT", default="json"))
