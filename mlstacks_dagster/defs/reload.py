"""Ask our own running UI to read the stacks again."""

from __future__ import annotations

import json
import urllib.request

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.ui_services import running_ui
from mlstacks_dagster.settings import Settings

__all__ = ["ask_reload"]

_MUTATION = (
    "mutation ($name: String!) "
    "{ reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"
)
_SECONDS = 30.0


def ask_reload(settings: Settings) -> bool:
    """Have the UI that serves these settings reload its code location.

    Returns whether it did; False when no UI of ours runs or it doesn't answer.
    """
    url = running_ui(settings)
    if url is None or not url.startswith("http://"):
        return False
    body = json.dumps({"query": _MUTATION, "variables": {"name": names.LOCATION}}).encode()
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{url}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
    except (OSError, ValueError):
        return False
    done = (found.get("data") or {}).get("reloadRepositoryLocation") or {}
    return bool(done.get("__typename") == "WorkspaceLocationEntry")
