"""Staff's pages for the outbox: what was sent, what was not, and sending it again."""

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import linebreaksbr
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from ledger_project.admin import ReadOnlyAdmin, moment, related_link
from ledger_project.mongo import Unit, run_transaction
from ledger_project.reasons import dialog, leave
from users import audit, notifications
from users.models import Notification
from users.staff import acting, named_id
from users.tasks import wake_sender

# While a provider is away, many messages are given up.
RETRY_SECONDS = 25


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """The outbox: what was sent, what waits, what could not be delivered, and the text of each."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "created_at",
        "user_id",
        "kind",
        "status",
        "attempts",
        "due_at",
        "sent_at",
        "last_error",
    )
    list_display = ("created", "kind", "recipient", "state", "attempts", "due", "last_error")
    list_filter = ("status", "kind")
    list_related = page_related = ("user",)
    search_help_text = "E-mail, user id or notification id"
    actions = ("send_again",)
    actions_list = ("retry_failed",)
    actions_detail = ("send_this_again",)
    fields = (
        ("recipient", "kind"),
        ("state", "attempts"),
        ("created", "sent"),
        ("due", "last_error"),
        "preview",
        "as_html",
    )
    created = moment("created_at", "created")
    sent = moment("sent_at", "sent")
    due = moment("due_at", "due")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What waits, in the order in which it is tried: that of the index that holds nothing else."""
        waiting = request.GET.get("status__exact") == Notification.Status.PENDING
        return ("due_at",) if waiting else super().get_ordering(request)

    def search(self, queryset: QuerySet[Notification], term: str) -> QuerySet[Notification]:
        """Its own id, or its user."""
        key = named_id(term)
        return queryset.filter(Q(pk=key) | Q(user=key)) if key else queryset.none()

    def has_send_again_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may change notifications, which is all that can be changed about one."""
        return acting(request).has_perm("users.change_notification")

    @action(description="Send again", permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Put the chosen rows back into the queue, as new."""
        self._send_again(request, list(queryset))

    @action(
        description="Send again",
        permissions=["send_again"],
        icon="forward_to_inbox",
        dialog=dialog("Send again", "It goes to the user's present address.", BaseDialogForm),
    )
    def send_this_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """The same for the one whose page this is."""
        found = self.get_object(request, object_id)
        self._send_again(request, [found] if found else [])
        return leave(request, reverse("admin:users_notification_change", args=[object_id]))

    @action(
        description="Retry all failed",
        permissions=["send_again"],
        icon="replay",
        dialog=dialog("Retry all failed", "Every message that was given up is tried anew.", BaseDialogForm),
    )
    def retry_failed(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        """Put all that was given up back into the queue, and log it: both or neither."""

        def work(unit: Unit) -> int:
            queued = notifications.retry_failed(unit)
            told = {"status": ("FAILED", "PENDING"), "rows": (0, queued)}
            audit.record_of_many(Notification, "all that failed", told)
            unit.after_commit(wake_sender.ask)
            return queued

        queued = run_transaction(work, timeout_seconds=RETRY_SECONDS)
        self.message_user(request, f"Queued to be sent again: {queued}.", messages.SUCCESS)
        return leave(request, reverse("admin:users_notification_changelist"))

    def _send_again(self, request: HttpRequest, chosen: list[Notification]) -> None:
        """Put them back into the queue, and log it: both or neither."""

        def work(unit: Unit) -> int:
            for notification in chosen:
                audit.record(notification, {"status": (notification.status, Notification.Status.PENDING.value)})
            unit.after_commit(wake_sender.ask)
            return notifications.send_again(unit, [row.pk for row in chosen])

        queued = run_transaction(work)
        for notification in chosen:
            self.log_change(request, notification, "To be sent again.")
        self.message_user(request, f"Queued to be sent again: {queued}.", messages.SUCCESS)

    @display(description="to")
    def recipient(self, notification: Notification) -> SafeString:
        """Whom it is for."""
        return related_link(notification, "user")

    @display(description="status", label={"SENT": "success", "PENDING": "info", "FAILED": "danger"})
    def state(self, notification: Notification) -> str:
        """Its status, in colour."""
        return notification.status

    @display(description="message")
    def preview(self, notification: Notification) -> SafeString | str:
        """Its subject and text, as they would be sent now."""
        try:
            mail = notifications.message(notification, preview=True)
        except Exception as error:  # noqa: BLE001 - what broke the message must not break the page that shows why
            return f"It cannot be rendered: {type(error).__name__}"
        return format_html("<b>{}</b><br><br>{}", mail.subject, linebreaksbr(str(mail.body), autoescape=True))

    @display(description="as HTML", empty_value="-")
    def as_html(self, notification: Notification) -> SafeString | None:
        """The same as most mail programs show it, in a frame that may do nothing."""
        try:
            html = notifications.message(notification, preview=True).alternatives[0][0]
        except Exception:  # noqa: BLE001 - the field above says what it was
            return None
        return format_html(
            '<iframe sandbox srcdoc="{}" title="The message" width="600" height="560" class="max-w-full"></iframe>',
            escape(html),  # all of it: what a template rendered counts as safe already
        )
