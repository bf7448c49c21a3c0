"""What every environment shares. local, test and production import this and say only what differs.

Everything that an operator may want to change is read from the environment here, once, with a type and a default
that is safe; docs/settings.md lists the variables.
"""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from .openapi import SPECTACULAR_SETTINGS  # noqa: F401  (Django reads it here)
from .staff import unfold

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = Path(env.str("LEDGER_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()

SITE_NAME = env.str("SITE_NAME", default="Backend Ledger")
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "ledger_project.urls"
WSGI_APPLICATION = "ledger_project.wsgi.application"
APPEND_SLASH = False  # the API answers with and without the slash itself; a redirect would lose a POST's body
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

INSTALLED_APPS = [
    "unfold",
    "ledger_project.contrib_apps.MongoAdminConfig",
    "ledger_project.contrib_apps.MongoAuthConfig",
    "ledger_project.contrib_apps.MongoContentTypesConfig",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_mongodb_backend",
    "auditlog",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "ledger_project.contrib_apps.MongoTotpConfig",
    "ledger_project.contrib_apps.MongoStaticConfig",
    "ledger_project.contrib_apps.MongoAxesConfig",
    "ledger_project",
    "users",
    "accounts",
    "transactions",
    "office",
]

MIDDLEWARE = [
    "ledger_project.request_log.RequestLogMiddleware",
    "ledger_project.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ledger_project.throttles.ThrottleMiddleware",
    "ledger_project.bodies.LengthMiddleware",
    "ledger_project.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "ledger_project.middleware.CsrfViewMiddleware",
    "ledger_project.middleware.AuthenticationMiddleware",
    "users.audit.AuditMiddleware",
    "ledger_project.middleware.MessageMiddleware",
    "office.second_factor.SecondFactorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ledger_project.deadlines.DeadlineMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]

# --- MongoDB -----------------------------------------------------------------------------------------------------


class _NoGdal:
    """The path of a library that nobody here needs, for the fields of maps. Left unsaid, each process would look for it
    three times, by way of a compiler and a linker: half a second.
    """

    def __fspath__(self) -> str:
        raise ImproperlyConfigured("GDAL is not used")


GDAL_LIBRARY_PATH = _NoGdal()
DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
DATABASE_ROUTERS = ["django_mongodb_backend.routers.MongoRouter"]
MIGRATION_MODULES = {
    "admin": "ledger_project.migrations.admin",
    "auth": "ledger_project.migrations.auth",
    "contenttypes": "ledger_project.migrations.contenttypes",
    "auditlog": None,  # its own model, with an integer key, is swapped out
    "otp_totp": "ledger_project.migrations.otp_totp",
    "otp_static": "ledger_project.migrations.otp_static",
    "axes": None,  # it counts in the cache
}


def mongodb(uri: str) -> dict:
    """The DATABASES entry for `uri`: majority and journaled, whatever the string forgets to say.

    Options given here win over the connection string, so a careless string cannot weaken the promise that an
    acknowledged transfer survives. The database is MONGODB_DATABASE, else the one named in the string, else `ledger`.
    """
    return {
        "ENGINE": "django_mongodb_backend",
        "HOST": uri,
        "NAME": env.str("MONGODB_DATABASE", default="") or urlsplit(uri).path.strip("/") or "ledger",
        "OPTIONS": {
            "appname": "ledger",
            "w": "majority",
            "journal": True,
            "wTimeoutMS": 5000,
            "readConcernLevel": "majority",
            "readPreference": "primary",
            "retryWrites": True,
            "serverSelectionTimeoutMS": 8000,
            "connectTimeoutMS": 2000,
            "heartbeatFrequencyMS": 2000,  # how long a server that said "shutting down" may stay written off
            "socketTimeoutMS": 30000,
            "maxPoolSize": env.int("MONGODB_POOL_SIZE", default=100),
        },
    }


# --- Users and tokens --------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "users.User"
LOGIN_REDIRECT_URL = "admin:index"  # who asks for the log-in itself goes on to the dashboard
SESSION_ENGINE = "users.sessions"  # staff only; the API never opens a session
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
PASSWORD_HASHERS = ["ledger_project.hashing.BoundedBCrypt"]
# The first refuses whoever guessed too often at the door of the admin, and lets nobody in; the API's is its own.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "office.lockout.LockoutHandler"
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5)
AXES_COOLOFF_TIME = timedelta(seconds=env.int("LOGIN_LOCKOUT_SECONDS", default=900))
# Together: one's colleague far away is not locked out by whoever guesses one's password here.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "office.lockout.username_of"
AXES_CLIENT_IP_CALLABLE = "users.audit.address"  # of the client, not of our proxy
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # its pages are of tables that it does not have here
# An access token that can be refreshed is short.
SHORT_ACCESS_TOKEN_SECONDS = env.int("SHORT_ACCESS_TOKEN_SECONDS", default=900)
# Whether nobody logs in before they have followed the link that is sent to their e-mail.
EMAIL_VERIFICATION_REQUIRED = env.bool("EMAIL_VERIFICATION_REQUIRED", default=False)
# How long a link in an e-mail is good that sets a password or confirms an address; Django's name for it.
PASSWORD_RESET_TIMEOUT = env.int("EMAIL_LINK_SECONDS", default=3600)
# Where people reach this service: what links in e-mail begin with.
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{env.str('PORT', default='8000')}").rstrip("/")
# Staff must have a second factor; without it they may.
SECOND_FACTOR_REQUIRED = env.bool("SECOND_FACTOR_REQUIRED", default=False)
OTP_ADMIN_HIDE_SENSITIVE_DATA = True  # should anybody register its pages again
OTP_TOTP_ISSUER = SITE_NAME
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUDITLOG_LOGENTRY_MODEL = "users.AuditEntry"
AUDITLOG_CID_GETTER = "ledger_project.request_log.current_request_id"
# How many proxies of ours stand before this service: so many addresses at the end of X-Forwarded-For are their word.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)


def simple_jwt(signing_key: str) -> dict:
    """The SIMPLE_JWT table: one algorithm, our issuer and audience, nothing left for a token to choose."""
    return {
        "ALGORITHM": "HS256",
        "SIGNING_KEY": signing_key,
        "ISSUER": env.str("JWT_ISSUER", default="backend-ledger"),
        "AUDIENCE": env.str("JWT_AUDIENCE", default="backend-ledger-api"),
        # What two hosts' clocks may differ by before one refuses the other's fresh tokens as issued in the future.
        # Expiry is looked at without it (users/authentication.py).
        "LEEWAY": timedelta(minutes=10),
        "ACCESS_TOKEN_LIFETIME": timedelta(seconds=env.int("ACCESS_TOKEN_SECONDS", default=3 * 24 * 3600)),
        "REFRESH_TOKEN_LIFETIME": timedelta(seconds=env.int("REFRESH_TOKEN_SECONDS", default=30 * 24 * 3600)),
        "AUTH_HEADER_TYPES": ("Bearer",),
        "USER_ID_FIELD": "pk",
        "USER_ID_CLAIM": "sub",
    }


# --- The REST API ------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["users.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["ledger_project.jsonio.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "ledger_project.jsonio.JSONNegotiation",
    "DEFAULT_PARSER_CLASSES": ["ledger_project.jsonio.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": None,
    "EXCEPTION_HANDLER": "ledger_project.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["ledger_project.jsonio.JSONRenderer"],
    "URL_FORMAT_OVERRIDE": None,
}
# What one transfer, one log-in, one form may weigh; batches may weigh more.
MAX_REQUEST_BYTES = env.int("MAX_REQUEST_BYTES", default=64 * 1024)
MAX_BATCH_BYTES = env.int("MAX_BATCH_BYTES", default=1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_REQUEST_BYTES

# Other sites whose scripts may call the API, as in https://shop.example.com. Tokens travel in a header, so no cookie of
# ours is ever sent along.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_METHODS = ["DELETE", "GET", "POST"]
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = ["Idempotent-Replay", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]
CORS_PREFLIGHT_MAX_AGE = 3600

# Of the web server's threads (the Procfile gives it so many), half at most wait for bodies of requests.
WEB_THREADS = env.int("WEB_THREADS", default=32)

# --- Throttles ---------------------------------------------------------------------------------------------------


def throttles(**limits: str) -> dict[str, str]:
    """The THROTTLES table: "permits/seconds" for each policy, from THROTTLE_<NAME> in the environment or `limits`."""
    found = {name: env.str(f"THROTTLE_{name.upper()}", default=limit) for name, limit in limits.items()}
    for name, limit in found.items():
        if not re.fullmatch(r"[1-9][0-9]{0,8}/[1-9][0-9]{0,5}", limit):
            raise ImproperlyConfigured(f"THROTTLE_{name.upper()}={limit!r} is not permits/seconds, as in 10/60")
    return found


# A user's requests, each transfer of a batch counted; an address's, with a token and without one; log-ins and
# registrations from an address; links sent to an e-mail; wrong passwords for an e-mail, and from an address.
LIMITS = {
    "user": "6000/60",
    "address": "120000/60",
    "anonymous": "1200/60",
    "login": "10/60",
    "register": "10/60",
    "mailbox": "5/3600",
    "account_failures": f"{AXES_FAILURE_LIMIT}/{round(AXES_COOLOFF_TIME.total_seconds())}",
    "address_failures": f"{10 * AXES_FAILURE_LIMIT}/{round(AXES_COOLOFF_TIME.total_seconds())}",
}
THROTTLES = throttles(**LIMITS)
# How long a request may wait for its permits. Past it, it goes on without, and Redis is left alone for a while.
THROTTLE_REDIS_TIMEOUT_SECONDS = env.float("THROTTLE_REDIS_TIMEOUT_SECONDS", default=0.05)

# Whether the page may create people with money in one click: local.py says yes, nothing else does.
DEMO = False
DEFAULT_CURRENCY = env.str("DEFAULT_CURRENCY", default="INR")
# A request that moves money is answered within this time, with what then is known. Others of the API wait no longer for
# MongoDB (deadlines.py).
POSTING_DEADLINE_SECONDS = env.float("POSTING_DEADLINE_SECONDS", default=10.0)

# A reversal of more than this, in major units of its currency, needs a second member of staff.
REVERSAL_APPROVAL_ABOVE = Decimal(env.str("REVERSAL_APPROVAL_ABOVE", default="1000"))
APPROVAL_SWEEP_SECONDS = env.float("APPROVAL_SWEEP_SECONDS", default=30.0)

# Beat has a slice of about so many entries verified this often; each account is read from its beginning in the period.
AUDIT_SWEEP_SECONDS = env.float("AUDIT_SWEEP_SECONDS", default=10.0)
AUDIT_ENTRIES = env.int("AUDIT_ENTRIES", default=5000)
AUDIT_PERIOD_SECONDS = env.float("AUDIT_PERIOD_SECONDS", default=24 * 3600.0)
# How often beat looks whether the anchor of the day has been taken.
ANCHOR_SWEEP_SECONDS = env.float("ANCHOR_SWEEP_SECONDS", default=600.0)
# Who shows this token reads /metrics; without one the page is not there.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# The processes of one host take turns at committing, by a lock on this file.
COMMIT_TURN_FILE: Path | None = Path(env.str("COMMIT_TURN_FILE", default=str(DATA_DIR / "commit-turn")))

# --- Roll-ups and meters -----------------------------------------------------------------------------------------

# What the back office shows is rolled up this often. Transactions are counted once they are older than the lag: it must
# be longer than MongoDB's transactionLifetimeLimitSeconds (60) and what the clocks of the web hosts may differ by.
ROLL_UP_SECONDS = env.float("ROLL_UP_SECONDS", default=15.0)
ROLL_UP_LAG_SECONDS = env.float("ROLL_UP_LAG_SECONDS", default=120.0)
METERS_FLUSH_SECONDS: float | None = env.float("METERS_FLUSH_SECONDS", default=10.0)

# --- Redis, Celery -----------------------------------------------------------------------------------------------


def redis_cache(url: str) -> dict:
    """The CACHES table on the Redis at `url`, its time-outs short: a dead Redis is noticed, not waited for."""
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "KEY_PREFIX": "ledger",
            "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
        }
    }


# How often beat sends the message whose last round trip /readyz reports.
CANARY_SECONDS = env.float("CANARY_SECONDS", default=10.0)

# --- E-mail ------------------------------------------------------------------------------------------------------

NOTIFICATION_SWEEP_SECONDS = env.float("NOTIFICATION_SWEEP_SECONDS", default=15.0)
NOTIFICATION_LEASE_SECONDS = env.float("NOTIFICATION_LEASE_SECONDS", default=60.0)
NOTIFICATION_MAX_ATTEMPTS = env.int("NOTIFICATION_MAX_ATTEMPTS", default=24)
EMAIL_TIMEOUT = 15

# --- Logs --------------------------------------------------------------------------------------------------------


def logging_config(formatter: str) -> dict:
    """Log to standard output, a request id on every line; `formatter` is "text" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "ledger_project.request_log.RequestIdFilter"}},
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
            "json": {
                "()": "pythonjsonlogger.orjson.OrjsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            },
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": formatter,
                "filters": ["request_id"],
            }
        },
        "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
        "loggers": {
            "django.request": {"level": "ERROR"},  # request_log.py writes the one line a request gets
            "django.server": {"handlers": [], "propagate": False},
            # A line for each task that comes, goes well or is due, some of them every few seconds. Failures are errors.
            **{f"celery.{name}": {"level": "WARNING"} for name in ("beat", "worker.strategy", "app.trace")},
        },
    }


SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # it knows the CSRF middleware by its name, and ours is a subclass
    "axes.W002",  # its middleware: the form of the log-in says who is locked out
]

UNFOLD = unfold(SITE_NAME)
