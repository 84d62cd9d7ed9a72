"""The environment that a unit's tools see: a short list of what they need, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.spec.environment import is_cloud_access, refusal

__all__ = [
    "is_emulated",
    "terraform_environment",
    "tool_environment",
    "user_cli_config",
    "withheld",
]

_ALLOWED = re.compile(
    r"(PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|TZ|TMPDIR|LC_.*"
    r"|(?i:https?_proxy|no_proxy|all_proxy)"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|AWS_.*|GOOGLE_.*|CLOUDSDK_.*"
    r"|TF_TOKEN_.*|TF_CLI_CONFIG_FILE)\Z"
)
_NO_CREDENTIALS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def tool_environment(
    base: Mapping[str, str], unit: Mapping[str, str], wiring: Wiring
) -> dict[str, str]:
    """Return the environment of a unit's tools and of our own SDK clients for it.

    Of ``base`` (ours) only known names pass; ``unit`` is the stack's own; ``wiring``'s values
    win. With an emulator no credential or profile of the user is passed on.
    Raises :class:`InputError` for a name in ``unit`` that would change how a tool works.
    """
    env = {name: value for name, value in base.items() if _ALLOWED.match(name)}
    for name, value in unit.items():
        if reason := refusal(name):
            raise InputError(
                f"environment_variables: {name} is not passed on: {reason}",
                remedy="remove it; inputs of a component belong under metadata.config",
            )
        env[name] = value
    if is_emulated(wiring):
        env = {name: value for name, value in env.items() if not is_cloud_access(name)}
        env.update(_NO_CREDENTIALS)
    env.update(wiring.environment)
    return env


def withheld(unit: Mapping[str, str], wiring: Wiring) -> tuple[str, ...]:
    """Return the names in ``unit`` that its tools don't get, since an emulator has its own."""
    return tuple(filter(is_cloud_access, unit)) if is_emulated(wiring) else ()


# Terraform and its providers live for seconds, and spend a fifth of them collecting garbage after
# they have read a provider's schema. Each may grow to this size before it collects as usual.
_GO = {"GOGC": "400", "GOMEMLIMIT": "512MiB"}


def terraform_environment(
    environment: Mapping[str, str], cli_config: Path, plugin_cache: Path | None
) -> dict[str, str]:
    """Return ``environment`` with what Terraform itself reads.

    ``plugin_cache`` is shared by several modules; None when providers come from a mirror.
    """
    env = {**_GO, **environment}
    env.update(
        TF_IN_AUTOMATION="1",
        TF_INPUT="0",
        CHECKPOINT_DISABLE="1",
        TF_CLI_CONFIG_FILE=str(cli_config),
    )
    if plugin_cache is not None:
        env["TF_PLUGIN_CACHE_DIR"] = str(plugin_cache)
        env["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
    return env


def is_emulated(wiring: Wiring) -> bool:
    """Tell whether the tools talk to an emulator rather than to a real cloud."""
    return wiring.target == "sandbox" or wiring.endpoint_url is not None


def user_cli_config(environment: Mapping[str, str]) -> Path | None:
    """Return the user's own Terraform CLI configuration (mirrors, tokens), if it exists."""
    named = environment.get("TF_CLI_CONFIG_FILE")
    home = environment.get("HOME")
    candidates = [Path(named)] if named else []
    if not named and home:
        candidates = [Path(home) / ".terraformrc", Path(home) / ".tofurc"]
    return next((path for path in candidates if path.is_file()), None)
