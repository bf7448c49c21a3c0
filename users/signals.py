"""What other apps may listen to."""

from django.dispatch import Signal

# A user was registered and is stored. Sent after the commit, with `user_id`; receivers only queue work.
user_registered = Signal()
