"""What other apps may listen to."""

from django.dispatch import Signal

# A user was registered and is stored. Sent after the commit, with `user_id`; receivers only queue work.
user_registered = Signal()
# A row was put into the outbox by itself. Sent once it is stored; receivers only wake who sends it.
notice_queued = Signal()
