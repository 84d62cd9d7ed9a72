"""Start the double once, and tell Terraform to use it instead of a provider of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.schema_provider.schema import ADDRESS

__all__ = ["serving"]

_REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Run the double; yield the environment by which Terraform and OpenTofu find it.

    It is a process of its own, for gRPC's threads don't go well with a process that forks, and
    one for many commands, for starting it takes longer than Terraform does. Terraform doesn't
    choose a version of a provider that runs already: the modules' pin is looked at by a test.
    """
    with tempfile.TemporaryDirectory(prefix="schema-") as folder:
        socket = Path(folder) / "socket"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.schema_provider", str(socket)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("1|5|unix|"), f"the schema double didn't start: {said!r}"
            yield {"TF_REATTACH_PROVIDERS": _reattach(process.pid, socket)}
            process.communicate(timeout=30)


def _reattach(pid: int, socket: Path) -> str:
    how = {
        "Protocol": "grpc",
        "ProtocolVersion": 5,
        "Pid": pid,
        "Test": True,  # Terraform must not end it
        "Addr": {"Network": "unix", "String": str(socket)},
    }
    return json.dumps({f"{registry}/{ADDRESS}": how for registry in _REGISTRIES})
