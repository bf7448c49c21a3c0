"""The letters of a PDF statement: Helvetica, which every reader has, and FiraGO, embedded, for names in other scripts.

FiraGO has Latin, Greek, Cyrillic, Devanagari, Arabic, Hebrew, Georgian and Thai. What it lacks (Chinese or Tamil, say)
shows as a box, and a name in two directions is set in that of its first letters.
"""

import io
from functools import cache
from threading import Lock

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, shapeStr

EMBEDDED = {"Helvetica": "FiraGO_Regular", "Helvetica-Bold": "FiraGO_Bold"}
# Shaping adds glyphs to the font, which all statements of this process share.
_shaping = Lock()


def set_in(font: str, text: str, size: float) -> tuple[str, str]:
    """`text` as it is to be drawn, and the font that has its letters: `font` where it can."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        with _shaping:
            embedded = _registered(EMBEDDED.get(font, EMBEDDED["Helvetica"]))
            return shapeStr(text, embedded, size), embedded
    return text, font


@cache
def _registered(name: str) -> str:
    """Load the font `name`; most processes never need one, and they are some megabytes."""
    module = __import__(f"pymupdf_fonts.{name}", fromlist=["fontbuffer"])
    pdfmetrics.registerFont(TTFont(name, io.BytesIO(module.fontbuffer)))
    return name
