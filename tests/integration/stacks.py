"""Write stack files for tests, and run the real command on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FULL", "Cli", "write_stack"]

# type, flavor of each component of a stack that has all AWS base units
FULL = (
    ("artifact_store", "s3"),
    ("container_registry", "aws"),
    ("orchestrator", "kubernetes"),
    ("step_operator", "sagemaker"),
)


def write_stack(
    folder: Path,
    name: str,
    components: Sequence[tuple[str, str]] = FULL,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, str] | None = None,
    provider: str = "aws",
    **fields: Any,
) -> Path:
    """Write a stack and its components; return the stack file. ``config`` is by type."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind, flavor in components:
        file = folder / f"{kind}.yaml"
        metadata: dict[str, Any] = {"config": dict((config or {}).get(kind, {}))}
        if environment:
            metadata["environment_variables"] = dict(environment)
        component = {
            "spec_version": 1,
            "spec_type": "component",
            "component_type": kind,
            "component_flavor": flavor,
            "name": f"{name}_{kind}",
            "provider": provider,
            "metadata": metadata,
        }
        file.write_text(yaml.safe_dump(component))
        files.append(file.name)
    stack = {
        "spec_version": 1,
        "spec_type": "stack",
        "name": name,
        "provider": provider,
        **({"default_region": "eu-north-1"} if provider == "aws" else {}),
        "default_tags": {"team": "tests"},
        "components": files,
        **fields,
    }
    path = folder / "stack.yaml"
    path.write_text(yaml.safe_dump(stack))
    return path


class Cli:
    """Runs ``mlstacks-dagster`` with a home of its own."""

    def __init__(self, home: Path, stacks_dir: Path, helm: Path) -> None:
        self.home = home
        self.env = {
            **os.environ,
            "MLSTACKS_HOME": str(home),
            "MLSTACKS_STACKS_DIR": str(stacks_dir),
            "MLSTACKS_HELM": str(helm),
        }

    def argv(self, *args: str) -> list[str]:
        """Return the command line of a verb."""
        return [str(Path(sys.executable).with_name("mlstacks-dagster")), *args]

    def run(
        self, *args: str, code: int = 0, timeout: float = 500, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end and insist on its exit code."""
        done = subprocess.run(
            self.argv(*args),
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == code, f"{args}: exit {done.returncode}\n{said}"
        return done

    def start(self, *args: str, log: Path, **env: str) -> subprocess.Popen[bytes]:
        """Start a verb in the background with its output in ``log``."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.argv(*args), env={**self.env, **env}, stdout=out, stderr=out
            )
