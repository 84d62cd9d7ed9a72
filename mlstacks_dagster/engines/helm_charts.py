"""Where a chart comes from: a mirror folder, or a registry through a checked cache."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mlstacks_dagster.catalog.models import ChartReference
from mlstacks_dagster.engines.helm_argv import ChartSource
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.settings import Settings

__all__ = ["cached_chart", "chart_metadata", "check_digest", "has_crds", "resolve_chart"]


def resolve_chart(reference: ChartReference, settings: Settings) -> Path | str:
    """Return where the chart is: a path in the mirror, or its URL when there is no mirror.

    A mirror holds ``<name>-<version>.tgz`` or ``<name>/`` (unpacked, with that version in its
    ``Chart.yaml``). The URL is ``repository/name``. Raises :class:`InputError` when the mirror
    doesn't have that version, or has something else under its name.
    """
    mirror = settings.chart_mirror
    if mirror is None:
        return f"{reference.repository.rstrip('/')}/{reference.name}"
    wanted = (reference.name, reference.version.removeprefix("v"))
    archive = mirror / f"{reference.name}-{reference.version}.tgz"
    folder = mirror / reference.name
    looked_at = f"neither {archive.name} nor {reference.name}/"
    for path in (archive, folder):
        if not path.exists():
            continue
        metadata = chart_metadata(path)
        found = (str(metadata.get("name")), str(metadata.get("version")).removeprefix("v"))
        if found == wanted:
            check_digest(path, reference.digest)
            return path
        looked_at = f"{path.name} is {' '.join(found)}"
    chart = f"{reference.name} {reference.version}"
    raise InputError(
        f"the chart {chart} is not in the mirror {mirror}: {looked_at}",
        remedy=f"put it there (from {reference.repository}), or unset MLSTACKS_CHART_MIRROR",
    )


def chart_metadata(path: Path) -> dict[str, Any]:
    """Return the ``Chart.yaml`` of a chart's folder or archive; raises :class:`InputError`."""
    try:
        text = (path / "Chart.yaml").read_bytes() if path.is_dir() else _from_archive(path)
        content = yaml.safe_load(text)
    except (OSError, KeyError, tarfile.TarError, yaml.YAMLError) as error:
        raise InputError(
            f"{path} is not a chart: {error}", remedy="a chart has a Chart.yaml; pack it again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a chart: its Chart.yaml is no mapping")
    return content


def has_crds(path: Path) -> bool:
    """Tell whether the chart, or one inside it, has a ``crds`` folder."""
    if path.is_dir():
        return any(folder.is_dir() for folder in path.rglob("crds")) or any(
            has_crds(inner) for inner in path.glob("charts/*.tgz")
        )
    with tarfile.open(path) as archive:
        names = archive.getnames()
    return any("/crds/" in name or name.endswith(".tgz") for name in names)


def check_digest(path: Path, digest: str | None) -> None:
    """Compare an archive with its pinned ``sha256:...``; folders and None pass.

    Raises :class:`InputError` when it is another archive.
    """
    if digest is None or path.is_dir():
        return
    found = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if found != digest:
        raise InputError(
            f"{path} has the checksum {found}, not {digest}, which is pinned",
            remedy="don't use it; fetch the chart again and find out why it changed",
        )


def cached_chart(
    source: ChartSource, digest: str | None, cache: Path, pull: Callable[[Path], None]
) -> Path:
    """Return the archive of a published chart from ``cache``, fetching it when it isn't there.

    ``pull`` fetches it into a folder. The archive is checked before it enters the cache and
    each time it is used. Raises :class:`InputError` when the checksum is wrong.
    """
    place = hashlib.sha256(source.reference.encode()).hexdigest()[:12]
    name = source.reference.rpartition("/")[2]
    kept = cache / place / f"{name}-{source.version}.tgz"
    if not kept.is_file():
        scratch = cache / place / f".{kept.name}.{os.getpid()}.{threading.get_ident()}"
        scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
        try:
            pull(scratch)
            found = next(scratch.glob("*.tgz"), None)
            if found is None:
                raise InputError(f"{source.reference} {source.version}: nothing was fetched")
            check_digest(found, digest)
            found.replace(kept)
        finally:
            for file in scratch.glob("*"):
                file.unlink()
            with suppress(OSError):
                scratch.rmdir()
    check_digest(kept, digest)
    return kept


def _from_archive(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if len(parts) == 2 and parts[1] == "Chart.yaml":
                stream = archive.extractfile(member)
                return stream.read() if stream else b""
    raise KeyError("no Chart.yaml in it")
