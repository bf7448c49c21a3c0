"""What the apps above may listen to."""

from django.dispatch import Signal

# A member of staff takes a list out. Sent before the file is made, with the list's model as sender, `format`, and
# `query`: what the list is filtered by and searched for. A receiver that raises keeps the file from being made.
list_exported = Signal()
