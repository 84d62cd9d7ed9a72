"""Infrastructure for MLOps stacks as Dagster assets."""

from mlstacks_dagster.version import __version__

__all__ = ["__version__"]
