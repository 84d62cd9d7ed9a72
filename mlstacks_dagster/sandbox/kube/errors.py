"""What the emulated API answers when it refuses: a ``Status`` object and its HTTP code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "ApiError",
    "already_exists",
    "bad_request",
    "conflict",
    "forbidden",
    "invalid",
    "not_found",
    "unauthorized",
]


class ApiError(Exception):
    """A refusal; ``status`` is the object that the client gets, ``code`` the HTTP code."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.headers = headers or {}

    @property
    def status(self) -> dict[str, Any]:
        """The ``Status`` object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Say that an object doesn't exist."""
    return ApiError(
        404,
        "NotFound",
        f'{_title(group, plural)} "{name}" not found',
        _details(group, plural, name),
    )


def already_exists(group: str, plural: str, name: str, going: bool = False) -> ApiError:
    """Say that an object exists already; ``going`` says that it is being deleted."""
    message = f'{_title(group, plural)} "{name}" already exists'
    if going:
        message = f"object is being deleted: {message}"
    return ApiError(409, "AlreadyExists", message, _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """Say that the object is not what the client thinks it is."""
    message = f'Operation cannot be fulfilled on {_title(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, plural, name))


def invalid(kind: str, name: str, problems: Sequence[tuple[str, str]]) -> ApiError:
    """Say what is wrong in an object: pairs of field and message."""
    listed = ", ".join(f"{field}: {text}" for field, text in problems)
    if len(problems) > 1:
        listed = f"[{listed}]"
    causes = [
        {"reason": "FieldValueInvalid", "message": text, "field": field} for field, text in problems
    ]
    details = {"name": name, "kind": kind, "causes": causes}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> ApiError:
    """Say that the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """Say that this may not be done."""
    message = f'{_title(group, plural)} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(group, plural, name))


def unauthorized() -> ApiError:
    """Say that the credentials are missing or wrong."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def _title(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(group: str, plural: str, name: str) -> dict[str, Any]:
    details = {"name": name, "kind": plural}
    return {**details, "group": group} if group else details
