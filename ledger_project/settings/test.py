"""Settings for the tests: real servers (conftest.py starts them), a cheap hash, e-mail kept in memory."""

from pathlib import Path

from .base import *
from .base import LIMITS, env, logging_config, mongodb, redis_cache, simple_jwt, throttles
from .email import email_settings

ENVIRONMENT = "test"
SECRET_KEY = "only-for-tests-and-long-enough-to-pass-for-a-real-one-0123456789"
SIMPLE_JWT = simple_jwt(SECRET_KEY)

# Tests run in parallel, in workers named gw0, gw1, …: each has a database of MongoDB and one of Redis for itself, and
# an application name, by which fail points hit this worker only.
WORKER = env.str("PYTEST_XDIST_WORKER", default="main")
DATABASES = {"default": mongodb(env.str("MONGODB_URI", default="mongodb://127.0.0.1:27017/"))}
DATABASES["default"]["NAME"] = env.str("MONGODB_DATABASE", default=f"test-{WORKER}")
DATABASES["default"]["OPTIONS"]["appname"] = f"ledger-{WORKER}"
DATABASES["default"]["OPTIONS"]["serverSelectionTimeoutMS"] = 3000
DATABASES["default"]["OPTIONS"]["heartbeatFrequencyMS"] = 500
_redis_number = int(WORKER.removeprefix("gw")) + 1 if WORKER.startswith("gw") else 0
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0").rsplit("/", 1)[0] + f"/{_redis_number}"
CACHES = redis_cache(REDIS_URL)
# Thousands of tests have one address; those of the limits set their own. Their machine may be busy for a while.
THROTTLES = throttles(**LIMITS | dict.fromkeys(("user", "address", "anonymous", "login", "register"), "1000000/60"))
THROTTLE_REDIS_TIMEOUT_SECONDS = env.float("THROTTLE_REDIS_TIMEOUT_SECONDS", default=1.0)

# Their machine may be slow: no deadline ends anything but in a test about deadlines, which sets its own.
POSTING_DEADLINE_SECONDS = env.float("POSTING_DEADLINE_SECONDS", default=60.0)

METERS_FLUSH_SECONDS = None  # tests flush when they look
# The workers' databases have nothing to do with each other; the web processes of one test do take turns.
COMMIT_TURN_FILE = Path(env.str("COMMIT_TURN_FILE")) if "COMMIT_TURN_FILE" in env else None

PASSWORD_HASHERS = ["users.tests.hashers.CheapBCrypt", *PASSWORD_HASHERS]
vars().update(email_settings(default="file"))  # pytest-django puts locmem in its place; a worker of its own obeys
DEFAULT_FROM_EMAIL = "Backend Ledger <ledger@localhost>"
LOGGING = logging_config("text")
STATIC_ROOT = None  # type: ignore[assignment]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # a file is looked for when it is asked for: each new client would look for all of them
