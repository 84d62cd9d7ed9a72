"""A client for what the emulator lacks: its answers are written down, its calls are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.model import ServiceModel
from botocore.session import Session
from botocore.validate import ParamValidator

__all__ = ["Answer", "Scripted", "refusal"]

Answer = dict[str, Any] | Exception | Callable[[dict[str, Any]], dict[str, Any]]


@cache
def _model(service: str) -> ServiceModel:
    return Session().get_service_model(service)


def refusal(operation: str, code: str, message: str = "on purpose", status: int = 400) -> Exception:
    """Return the error that AWS would answer with."""
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)  # type: ignore[arg-type]


class Scripted:
    """Answers calls as written in ``answers`` by operation, ``rest`` takes all others.

    Arguments and answers must fit the service's own description, as with a real client.
    """

    def __init__(self, service: str, answers: Mapping[str, Answer], rest: Any = None) -> None:
        self._operations = {
            xform_name(name): _model(service).operation_model(name)
            for name in _model(service).operation_names
        }
        self.answers, self._rest = dict(answers), rest
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        if operation not in self.answers and self._rest is not None:
            method: Callable[..., dict[str, Any]] = getattr(self._rest, operation)
            return method
        model = self._operations[operation]

        def call(**params: Any) -> dict[str, Any]:
            tokens = dict.fromkeys(model.idempotent_members, "x" * 32)
            self._check({**tokens, **params}, model.input_shape)
            self.calls.append((operation, params))
            answer = self.answers[operation]
            if isinstance(answer, Exception):
                raise answer
            said = answer(params) if callable(answer) else answer
            if model.output_shape is not None:
                known = {*model.output_shape.members, "ResponseMetadata"}
                assert set(said) <= known, f"{operation} answers {set(said) - known}"
                # An answer may leave out what a request could not: only its types are checked.
                report = ParamValidator().validate(said, model.output_shape).generate_report()
                assert "Invalid type" not in report, report
            return said

        return call

    def _check(self, params: dict[str, Any], shape: Any) -> None:
        if shape is None:
            assert not params
            return
        report = ParamValidator().validate(params, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())

    def names(self) -> list[str]:
        """Return the operations that were called, in order."""
        return [operation for operation, _ in self.calls]
