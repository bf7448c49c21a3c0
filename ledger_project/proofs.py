"""What the page claims, and the files of this repository that prove it, to be read on the page itself."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpResponse
from rest_framework.request import Request

from ledger_project.pages import render_page
from ledger_project.public import PublicPage


@dataclass(frozen=True)
class Proof:
    """A file that shows that a claim holds; `place` is the name of a test or function in it."""

    label: str
    path: str
    place: str = ""


@dataclass(frozen=True)
class Claim:
    """One reason to trust the ledger, and its proofs."""

    title: str
    text: str
    proofs: tuple[Proof, ...]


CLAIMS = (
    Claim(
        "Every amount has two sides",
        "Each transfer is a debit and an equal credit, in whole minor units, never in binary fractions. All balances "
        "of a currency sum to zero, always.",
        (
            Proof("The rules, without any I/O", "transactions/posting.py"),
            Proof(
                "Test: money is conserved",
                "transactions/tests/test_posting.py",
                "test_money_is_conserved_and_no_customer_is_below_zero",
            ),
        ),
    ),
    Claim(
        "All or nothing, and it lasts",
        "Balances, entries and a note of the e-mails due are one transaction. You get your answer once a majority of "
        "the servers has it on its journal.",
        (
            Proof("Decision: one door to transactions", "docs/adr/0002-one-door-to-transactions.md"),
            Proof("Tests: the database fails at every step", "transactions/tests/test_faults.py"),
        ),
    ),
    Claim(
        "Once, however often you ask",
        "An idempotency key makes a repeat harmless: the same request gets the same transaction back, and nothing "
        "moves. A lost answer costs nothing.",
        (
            Proof("Decision: how a key is settled", "docs/adr/0004-idempotency.md"),
            Proof(
                "Test: a hundred at once, one transaction",
                "transactions/tests/test_concurrency.py",
                "test_a_hundred_requests_with_one_key_make_one_transaction_and_get_equal_answers",
            ),
        ),
    ),
    Claim(
        "Nothing is rewritten",
        "Entries are only ever added, numbered without gaps and chained by hash. One command, verify_ledger, proves "
        "every balance from its entries.",
        (
            Proof("What verify_ledger proves", "transactions/verification.py"),
            Proof("Tests: no way in to change the past", "transactions/tests/test_append_only.py"),
        ),
    ),
)


class ProofPage(PublicPage):
    """A decision or a test, as it stands in the repository."""

    def get(self, request: Request, path: str) -> HttpResponse:
        """The file, if it is one that the claims name, or a decision that those refer to."""
        if path not in shown():
            raise Http404
        return render_page(request._request, "proof.html", {"path": path, "pieces": pieces(path), "files": shown()})


@cache
def shown() -> tuple[str, ...]:
    """The files that may be read: nothing else of the host is within reach."""
    base = Path(settings.BASE_DIR)
    decisions = [str(found.relative_to(base)) for found in sorted((base / "docs" / "adr").glob("*.md"))]
    named = [proof.path for claim in CLAIMS for proof in claim.proofs]
    return tuple(path for path in dict.fromkeys([*decisions, *named]) if (base / path).is_file())


@cache
def pieces(path: str) -> list[tuple[str, str]]:
    """The text of a file, cut where a function begins: (its name, its text), so that a link can lead to it."""
    text = (Path(settings.BASE_DIR) / path).read_text()
    begins = re.finditer(r"^(?:@.+\n)*(?:def|class) (\w+)", text, re.MULTILINE)
    starts = [(0, ""), *((found.start(), found[1]) for found in begins)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [(name, text[start:end]) for (start, name), end in zip(starts, ends, strict=True)]
