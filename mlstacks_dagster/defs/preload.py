"""Imported once by the server that step processes are forked from; nobody else imports it.

It imports what a step needs, and leaves the terminal's process group: Ctrl-C reaches the run's
process, which then cancels its steps in order. Without that each step would be hit twice.
What a step prints goes to its compute log; what Dagster prints around it would garble the
console of the command line, and goes nowhere.

What is made here is kept from Python's garbage collector: else the first collection of each
step would go through all of it, and copy the memory that it shares with this server.
"""

import contextlib
import gc
import importlib
import os

from sqlalchemy.orm import configure_mappers

# Also what Dagster imports only on its way through a step, where each step would pay for it.
_MODULES = (
    "dagster._core.definitions.external_asset",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.executor.multiprocess",
    "dagster._core.instance.config",
    "dagster._core.instance.factory",
    "dagster._core.run_coordinator",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster._core.types.primitive_mapping",
    "dagster._core.types.transform_typing",
    "dagster._core.utility_ops",
    "dagster._core.workspace.autodiscovery",
    "dagster._utils.test.definitions",
    "mlstacks_dagster.defs.alembic_cache",
    "mlstacks_dagster.defs.compute_logs",
    "mlstacks_dagster.defs.coordinator",
    "mlstacks_dagster.defs.pinned",
    "mlstacks_dagster.lifecycle.api",
    "mlstacks_dagster.lifecycle.helm_session",
    "upath.implementations.local",
)

gc.disable()
for _name in _MODULES:
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)
importlib.import_module("mlstacks_dagster.defs.alembic_cache").install()
configure_mappers()

with contextlib.suppress(OSError):
    os.setpgrp()

_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 1)
os.dup2(_nowhere, 2)
os.close(_nowhere)

gc.freeze()
gc.enable()
