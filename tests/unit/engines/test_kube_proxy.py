"""Which proxy stands between us and a cluster's API."""

from __future__ import annotations

import pytest

from mlstacks_dagster.engines.kube_connection import _proxy

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("server", "environment", "expected"),
    [
        ("https://api.example", {}, None),
        ("https://api.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.example", {"https_proxy": PROXY}, PROXY),
        ("https://api.example", {"HTTP_PROXY": PROXY}, None),
        ("https://api.example", {"ALL_PROXY": PROXY}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.org"}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example"}, None),
        ("https://a.api.example:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".api.example"}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY, "no_proxy": "127.0.0.1"}, None),
        ("https://api.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_is_the_one_that_helm_would_take(
    server: str, environment: dict[str, str], expected: str | None
) -> None:
    assert _proxy(server, environment) == expected
