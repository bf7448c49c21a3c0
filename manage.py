#!/usr/bin/env python
"""Django's command line. Settings come from DJANGO_SETTINGS_MODULE, the local ones by default."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
