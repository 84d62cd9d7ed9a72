"""Masking known secrets in text, in the forms in which tools print them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from mlstacks_dagster.spec.regions import AWS_REGIONS, GCP_REGIONS

__all__ = ["MASK", "Redactor", "secret_values"]

MASK = "***"

_URL_LOGIN = re.compile(r"(?<=://)[^/?#\s\"'<>@]+(?=@)")
# Masking these would make the tools' output unreadable, and they hide nothing.
_PLAIN_NAMES = re.compile(
    r"(AWS_((DEFAULT_)?(REGION|PROFILE|OUTPUT)|.*_FILE|ENDPOINT_URL.*|CA_BUNDLE|MAX_ATTEMPTS"
    r"|RETRY_MODE|PAGER|SDK_LOAD_CONFIG|USE_.*|EC2_METADATA_.*|STS_REGIONAL_ENDPOINTS)"
    r"|GOOGLE_(APPLICATION_CREDENTIALS|(CLOUD_)?(PROJECT|QUOTA_PROJECT|REGION|ZONE))"
    r"|CLOUDSDK_(CONFIG|ACTIVE_CONFIG_NAME|CORE_PROJECT|COMPUTE_(REGION|ZONE)|.*_FILE(_.*)?)"
    r"|SSL_CERT_(FILE|DIR)|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|(?i:no_proxy))\Z"
)
_PLAIN_VALUES = frozenset(
    ["false", "default", "disabled", "enabled", "debug", "error", "trace", "warning"]
).union(AWS_REGIONS, GCP_REGIONS)
_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)

_MIN_LENGTH = 5
_MIN_BASE64_CORE = 6


class Redactor:
    """Replaces every one of ``secrets`` in a text by ``***``.

    Values of four characters or less are left alone: masking them would shred the text and
    hide nothing. Besides the value itself its JSON, URL and base64 forms are masked, and each
    line of a value with several. What a URL has before its ``@`` is masked whether it is known
    or not.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """Return ``text`` with the secrets masked."""
        text = _URL_LOGIN.sub(MASK, text) if "://" in text else text
        return self._pattern.sub(MASK, text) if self._pattern else text


def secret_values(own: Mapping[str, str], passed: Mapping[str, str]) -> set[str]:
    """Return the values of environment variables that must not be shown.

    ``own`` is what a component sets: all of it is private, whatever the names, but for regions,
    profiles and the like. Of ``passed``, which comes from our environment, it is what the names
    call a secret. Of both, it is the logins in URLs, and the secrets in values that are JSON.
    """
    found = {value for name, value in own.items() if not _is_plain(name, value)}
    found.update(
        value
        for name, value in passed.items()
        if _SECRET_NAMES.search(name) and not _is_plain(name, value)
    )
    for value in (*own.values(), *passed.values()):
        found.update(_logins(value))
        found.update(_inside_json(value))
    return found


def _is_plain(name: str, value: str) -> bool:
    return _PLAIN_NAMES.match(name) is not None or value.lower() in _PLAIN_VALUES


def _logins(value: str) -> Iterator[str]:
    for found in _URL_LOGIN.finditer(value):
        login = found.group()
        password = login.partition(":")[2]
        for part in filter(None, (login, password)):
            yield part
            yield unquote(part)


def _inside_json(value: str) -> Iterator[str]:
    """Yield what a JSON object, such as a service account's key, names as a secret."""
    if not value.lstrip().startswith("{"):
        return
    try:
        document = json.loads(value)
    except ValueError:
        return
    yield from _secret_leaves(document)


def _secret_leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secret_leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_leaves(inner, name)
    elif isinstance(value, str) and _SECRET_NAMES.search(name):
        yield value


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
