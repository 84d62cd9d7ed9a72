"""The generated page ``docs/sweep-coverage.md``: which types sweeps know, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mlstacks_dagster.sweep.inventory.handlers import Kind

__all__ = ["COVERAGE_PAGE", "coverage_markdown", "coverage_page"]

COVERAGE_PAGE = "docs/sweep-coverage.md"
"""Where the page lies in a checkout."""

_INTRO = """# What sweeps cover

Generated from the readers' own tables by `mlstacks-dagster catalog --write .` in a checkout; how
sweeps work is in [sweeps.md](sweeps.md). The order is the one in which types are deleted where
nothing else decides.

- **T1** is our own marks on it, **T2** a Kubernetes cluster of ours that it names, **T3** what
  contains it. Each must lead to a stack that is destroyed. **T4** is its name alone: such a thing
  is listed for people and never deleted.
- *awaited* is what a service makes and removes by itself: a sweep waits for it, others wait too.
- *data* is kept unless its stack gives it up (`mlstacks-data: delete`) or a sweep is asked to
  include data."""

_TITLES = {"aws": "AWS", "gcp": "Google Cloud"}
_HEAD = ("type", "what it is", "proven by", "", "data")


def coverage_page() -> str:
    """Return the page for everything that is known."""
    from mlstacks_dagster.sweep.aws.registry import KINDS as AWS  # noqa: PLC0415 - many modules
    from mlstacks_dagster.sweep.gcp.catalog import KINDS as GCP  # noqa: PLC0415

    return coverage_markdown({"aws": AWS.values(), "gcp": GCP.values()})


def coverage_markdown(kinds: Mapping[str, Iterable[Kind]]) -> str:
    """Return a page with a table for each provider's kinds."""
    parts = [_INTRO]
    for provider, found in kinds.items():
        rows = sorted(found, key=lambda kind: (kind.rank, kind.type))
        parts.append(f"## {_TITLES[provider]}: {len(rows)} types")
        parts.append("\n".join(_table(rows)))
    return "\n\n".join(parts) + "\n"


def _table(kinds: Iterable[Kind]) -> Iterator[str]:
    yield _row(_HEAD)
    yield _row(["---"] * len(_HEAD))
    for kind in kinds:
        how = "deleted" if kind.deletable else "awaited"
        data = "data" if kind.data else ""
        yield _row((f"`{kind.type}`", kind.title, "; ".join(kind.proofs), how, data))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
