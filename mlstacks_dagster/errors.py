"""The exception tree. Every message says what, where and what to do.

::

    MlstacksError                    base; ``exit_code`` 1
    ├── InputError                   bad input of the user; exit code 2
    │   ├── SpecError                a stack or component file; carries ``Problem`` items
    │   ├── CatalogError             a unit definition, a capability, a cycle
    │   └── SettingError             an environment variable or option of ours
    ├── RefusedError                 a brake held: protect, confirmation, neighbours; exit code 3
    │   ├── NotOwnedError            something with that name exists and isn't ours
    │   └── StackBusyError           another run works on the stack
    ├── CommandError                 a child process failed
    │   ├── CommandTimeoutError      it was stopped at its deadline
    │   ├── StateLockedError         somebody else holds the lock of a Terraform state
    │   └── TransientCommandError    the same call may succeed later (throttling, network)
    ├── CommandCancelledError        a child process was interrupted on request
    ├── ToolNotFoundError            terraform, tofu or helm is nowhere to be found
    ├── StateError                   a Terraform state that can't be read
    ├── MarksError                   a planned resource lacks the ownership marks
    ├── LedgerError                  the ledger can't be opened or is newer than this program
    ├── LeftoversError               something of a destroyed stack is left, or can't be ruled out
    └── SandboxError                 an emulator didn't start or has no provider
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CatalogError",
    "CommandCancelledError",
    "CommandError",
    "CommandTimeoutError",
    "InputError",
    "LedgerError",
    "LeftoversError",
    "MarksError",
    "MlstacksError",
    "NotOwnedError",
    "Problem",
    "RefusedError",
    "SandboxError",
    "SettingError",
    "SpecError",
    "StackBusyError",
    "StateError",
    "StateLockedError",
    "ToolNotFoundError",
    "TransientCommandError",
]


@dataclass(frozen=True)
class Problem:
    """One finding in a file: what is wrong, where, and the remedy.

    ``line`` counts from 1; None when the whole file is meant.
    """

    message: str
    file: Path | None = None
    line: int | None = None
    remedy: str = ""

    def __str__(self) -> str:
        """Render as ``file:line: message (remedy)``, the form editors can jump to."""
        where = "" if self.file is None else f"{self.file}:{self.line or 1}: "
        return f"{where}{self.message}" + (f" ({self.remedy})" if self.remedy else "")


class MlstacksError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}" if self.remedy else self.message


class InputError(MlstacksError):
    """The user's input is wrong; nothing was done."""

    exit_code = 2


class SpecError(InputError):
    """A stack or component file is wrong; ``problems`` lists every finding."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class CatalogError(InputError):
    """A unit definition is wrong, a capability has no provider, or edges form a cycle."""


class SettingError(InputError):
    """An environment variable or an option of ours has a value that can't be used."""


class RefusedError(MlstacksError):
    """A brake held: protected, not confirmed, or a neighbour is in the way."""

    exit_code = 3


class NotOwnedError(RefusedError):
    """A resource of that name exists already and carries no proof that it is ours."""


class StackBusyError(RefusedError):
    """Another run works on the stack."""


class CommandError(MlstacksError):
    """A child process failed; ``returncode`` is negative when a signal ended it."""

    def __init__(self, message: str, *, returncode: int | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.returncode = returncode


class CommandTimeoutError(CommandError):
    """A child process was stopped since it did not end within its deadline."""


class StateLockedError(CommandError):
    """Somebody holds the lock of a Terraform state; ``lock`` is the engine's ``LockInfo``."""

    def __init__(self, message: str, *, lock: object, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.lock = lock


class TransientCommandError(CommandError):
    """A child process failed in a way that may pass: throttling, a lost connection."""


class CommandCancelledError(MlstacksError):
    """A child process was interrupted because the run was cancelled."""


class ToolNotFoundError(MlstacksError):
    """A tool that a unit needs is nowhere to be found."""


class StateError(MlstacksError):
    """A Terraform state exists but can't be read."""


class MarksError(MlstacksError):
    """A plan would create resources without the ownership marks; it was not applied."""


class LedgerError(MlstacksError):
    """The ledger can't be opened, or a newer program has written it."""


class LeftoversError(MlstacksError):
    """Something of a destroyed stack is left, or can't be ruled out.

    ``table`` lists it in Markdown.
    """

    def __init__(self, message: str, *, remedy: str = "", table: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.table = table


class SandboxError(MlstacksError):
    """The sandbox didn't start, or has no provider for this platform."""
