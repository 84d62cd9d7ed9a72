"""Environment variables by name: which are refused, which choose an account."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["chooses_account", "is_cloud_access", "refusal"]

_LOADER = "it changes which programs or libraries are run"
_OURS = "it changes this program's own settings"
_REFUSED_NAMES: Mapping[str, str] = {
    "BASH_ENV": _LOADER,
    "ENV": _LOADER,
    "GCONV_PATH": _LOADER,
    "HOME": "it moves the folders of credentials and caches",
    "IFS": _LOADER,
    "KUBECONFIG": "each run has a kubeconfig of its own",
    "PATH": _LOADER,
    "SHELL": _LOADER,
}
_REFUSED_PREFIXES: Mapping[str, str] = {
    "LD_": _LOADER,
    "DYLD_": _LOADER,
    "PYTHON": _LOADER,
    "TF_": "Terraform's variables, arguments, logs and data folder are set by this program",
    "HELM_": "Helm's plug-ins and folders are set by this program",
    "MLSTACKS_": _OURS,
    "DAGSTER_": _OURS,
}
_CLOUD_ACCESS = re.compile(r"AWS_|GOOGLE_|GCLOUD_|CLOUDSDK_")
_ACCOUNT = re.compile(
    r"(AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|(DEFAULT_)?PROFILE"
    r"|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE|CONTAINER_.*)"
    r"|(GOOGLE|GCLOUD)_(.*CREDENTIALS|.*KEYFILE_JSON|.*ACCESS_TOKEN|IMPERSONATE_SERVICE_ACCOUNT)"
    r"|CLOUDSDK_(CONFIG|ACTIVE_CONFIG_NAME|CORE_ACCOUNT|AUTH_.*))\Z"
)


def refusal(name: str) -> str | None:
    """Return why a component can't set the variable ``name``; None when it can."""
    upper = name.upper()
    for prefix, reason in _REFUSED_PREFIXES.items():
        if upper.startswith(prefix):
            return reason
    return _REFUSED_NAMES.get(upper)


def is_cloud_access(name: str) -> bool:
    """Tell whether ``name`` says where a cloud is, or with which rights it is used."""
    return _CLOUD_ACCESS.match(name) is not None


def chooses_account(name: str) -> bool:
    """Tell whether ``name`` decides with whose credentials, so in which account, tools work."""
    return _ACCOUNT.match(name) is not None
