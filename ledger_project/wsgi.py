"""The WSGI application that the web server runs."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.template.loader import get_template
from django.urls import reverse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")

_django = get_wsgi_application()

from ledger_project.bodies import few_at_once  # noqa: E402  (Django is ready only now)
from ledger_project.mongo import refuse_standalone  # noqa: E402
from transactions.importing import refuse_unfinished_import  # noqa: E402

application = few_at_once(_django)

refuse_standalone()
refuse_unfinished_import()

# The first request would else wait while every view is imported and the admin's templates are compiled: over a second.
reverse("admin:index")
get_template("admin/index.html")

# What is loaded now lives as long as the process. Out of the collector's sight it is not walked through again and again
# (a third of a busy process's time went there), and a collection looks at the garbage of requests only. It comes often
# enough that this does not pile up: with thresholds ten times as high, batches of 1,000 made a process grow by half.
gc.collect()
gc.freeze()
gc.set_threshold(2_000, 5, 5)
