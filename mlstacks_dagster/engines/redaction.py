"""Masking known secrets in text, in the forms in which tools print them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

__all__ = ["MASK", "Redactor"]

MASK = "***"

_MIN_LENGTH = 5
_MIN_BASE64_CORE = 6


class Redactor:
    """Replaces every one of ``secrets`` in a text by ``***``.

    Values of four characters or less are left alone: masking them would shred the text and
    hide nothing. Besides the value itself its JSON, URL and base64 forms are masked, and each
    line of a value with several.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """Return ``text`` with the secrets masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _forms(secret: str) -> Iterator[str]:
    parts = {secret, *(line.strip() for line in secret.splitlines())}
    for part in parts:
        if len(part) < _MIN_LENGTH:
            continue
        escaped = json.dumps(part)[1:-1]
        yield part
        yield escaped
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        yield quote(part, safe="")
        yield from _base64_forms(part.encode())


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yield what base64 makes of ``raw`` at each of the three places it can have in a text."""
    for before in range(3):
        padded = b"\0" * before + raw
        first = (8 * before + 5) // 6
        last = 8 * len(padded) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(padded).decode()[first:last]
            if len(core) >= _MIN_BASE64_CORE:
                yield core
