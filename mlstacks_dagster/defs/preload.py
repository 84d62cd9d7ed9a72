"""Imported once by the server that step processes are forked from; nobody else imports it.

It imports what a step needs, and leaves the terminal's process group: Ctrl-C reaches the run's
process, which then cancels its steps in order. Without that each step would be hit twice.
What a step prints goes to its compute log; what Dagster prints around it would garble the
console of the command line, and goes nowhere.
"""

import contextlib
import importlib
import os

import dagster._core.executor.multiprocess
import dagster._core.instance.config
import dagster._core.run_coordinator
import dagster._core.storage.sqlite_storage  # noqa: F401

import mlstacks_dagster.defs.compute_logs
import mlstacks_dagster.defs.coordinator
import mlstacks_dagster.defs.pinned  # noqa: F401
from mlstacks_dagster.defs import alembic_cache

alembic_cache.install()

with contextlib.suppress(ImportError):
    importlib.import_module("mlstacks_dagster.lifecycle.api")

with contextlib.suppress(OSError):
    os.setpgrp()

_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 1)
os.dup2(_nowhere, 2)
os.close(_nowhere)
