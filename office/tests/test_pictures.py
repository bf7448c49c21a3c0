"""The README's pictures can be taken: `make screenshots` does it, and nobody would notice when it no longer could."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from office.tests.pictures.public import take_pictures


@pytest.mark.slow
def test_the_pictures_for_the_readme_can_be_taken(page: Page, settings: Any, tmp_path: Path):
    settings.DEMO = True
    taken = take_pictures(page, tmp_path)
    assert [path.name for path in taken] == ["page.png", "page-try.png", "console.png", "console-phone.png"]
    assert all(path.stat().st_size > 10_000 for path in taken)
