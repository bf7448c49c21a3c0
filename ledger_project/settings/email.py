"""Which way e-mail leaves, chosen by EMAIL_PROVIDER; each provider's credentials come from its own variables."""

from typing import Any

from .base import DATA_DIR, env

# EMAIL_PROVIDER -> (anymail's backend, {anymail setting: environment variable})
ANYMAIL_PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "amazon_ses": ("amazon_ses", {}),  # credentials the way boto3 finds them
    "brevo": ("brevo", {"BREVO_API_KEY": "BREVO_API_KEY"}),
    "mailersend": ("mailersend", {"MAILERSEND_API_TOKEN": "MAILERSEND_API_TOKEN"}),
    "mailgun": (
        "mailgun",
        {"MAILGUN_API_KEY": "MAILGUN_API_KEY", "MAILGUN_SENDER_DOMAIN": "MAILGUN_SENDER_DOMAIN"},
    ),
    "mailjet": (
        "mailjet",
        {"MAILJET_API_KEY": "MAILJET_API_KEY", "MAILJET_SECRET_KEY": "MAILJET_SECRET_KEY"},
    ),
    "mandrill": ("mandrill", {"MANDRILL_API_KEY": "MANDRILL_API_KEY"}),
    "postmark": ("postmark", {"POSTMARK_SERVER_TOKEN": "POSTMARK_SERVER_TOKEN"}),
    "resend": ("resend", {"RESEND_API_KEY": "RESEND_API_KEY"}),
    "sendgrid": ("sendgrid", {"SENDGRID_API_KEY": "SENDGRID_API_KEY"}),
    "sparkpost": ("sparkpost", {"SPARKPOST_API_KEY": "SPARKPOST_API_KEY"}),
}


def email_settings(*, default: str) -> dict[str, Any]:
    """Django's and anymail's settings for the provider named in EMAIL_PROVIDER.

    `file` writes each message under the data folder; `smtp` and `gmail` speak SMTP; the rest go through anymail.
    Raises ImproperlyConfigured for a provider that is unknown or lacks its credentials.
    """
    from django.core.exceptions import ImproperlyConfigured

    provider = env.str("EMAIL_PROVIDER", default=default)
    found: dict[str, Any] = {
        "EMAIL_PROVIDER": provider,
        "DEFAULT_FROM_EMAIL": env.str("DEFAULT_FROM_EMAIL", default=env.str("EMAIL_USER", default="ledger@localhost")),
    }
    if provider == "file":
        found |= {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": str(DATA_DIR / "mail"),
        }
    elif provider == "smtp":
        found |= {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": env.str("EMAIL_HOST", default="127.0.0.1"),
            "EMAIL_PORT": env.int("EMAIL_PORT", default=25),
            "EMAIL_HOST_USER": env.str("EMAIL_HOST_USER", default=""),
            "EMAIL_HOST_PASSWORD": env.str("EMAIL_HOST_PASSWORD", default=""),
            "EMAIL_USE_TLS": env.bool("EMAIL_USE_TLS", default=False),
            "EMAIL_USE_SSL": env.bool("EMAIL_USE_SSL", default=False),
        }
    elif provider == "gmail":
        found |= {
            "EMAIL_BACKEND": "users.gmail.EmailBackend",
            "EMAIL_HOST": env.str("EMAIL_HOST", default="smtp.gmail.com"),
            "EMAIL_PORT": env.int("EMAIL_PORT", default=587),
            "EMAIL_USE_TLS": env.bool("EMAIL_USE_TLS", default=True),
            "GMAIL": {
                "user": env.str("EMAIL_USER"),
                "client_id": env.str("CLIENT_ID"),
                "client_secret": env.str("CLIENT_SECRET"),
                "refresh_token": env.str("REFRESH_TOKEN"),
                "token_uri": env.str("GMAIL_TOKEN_URI", default="https://oauth2.googleapis.com/token"),
            },
        }
    elif provider in ANYMAIL_PROVIDERS:
        backend, variables = ANYMAIL_PROVIDERS[provider]
        found |= {
            "EMAIL_BACKEND": f"anymail.backends.{backend}.EmailBackend",
            "ANYMAIL": {name: env.str(variable) for name, variable in variables.items()},
        }
    else:
        known = ", ".join(["file", "smtp", "gmail", *ANYMAIL_PROVIDERS])
        raise ImproperlyConfigured(f"EMAIL_PROVIDER={provider!r} is not one of: {known}")
    return found
