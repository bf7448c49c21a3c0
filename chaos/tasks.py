"""What the workers of the harness have beside the service's tasks: each child leaves word of what it has done."""

import os
import time

from celery import shared_task
from celery.signals import task_postrun
from django.conf import settings

HOLD_SECONDS = 0.3


@shared_task(ignore_result=True)
def hold() -> None:
    """Keep this child for so long that the next task goes to another."""
    time.sleep(HOLD_SECONDS)


@task_postrun.connect
def leave_word(**kwargs: object) -> None:
    """A file, named by the child's process id, is as old as the last task that it has ended."""
    directory = settings.DATA_DIR / "children"
    directory.mkdir(exist_ok=True)
    (directory / str(os.getpid())).touch()
