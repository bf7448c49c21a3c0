"""The WSGI application that the web server runs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")

application = get_wsgi_application()

from ledger_project.mongo import refuse_standalone  # noqa: E402  (Django is ready only now)

refuse_standalone()
