"""The calls that Terraform makes, answered from the schemas."""

from __future__ import annotations

import itertools
from typing import Any

import grpc

from tests.schema_provider.data_sources import ANSWERS, CannotAnswerError
from tests.schema_provider.protocol import RPCS, SERVICE, message
from tests.schema_provider.schema import ProviderSchema, get_schema_response
from tests.schema_provider.values import UNKNOWN, MadeUp, decode, encode, fill, plan_block

__all__ = ["SchemaProvider", "handler"]

_ERROR = 1


class SchemaProvider:
    """The provider's side of the protocol; a method a call.

    It holds the configuration it was given last, so it serves one Terraform at a time.
    """

    def __init__(self, schema: ProviderSchema) -> None:
        self._schema = schema
        self._answer = get_schema_response(schema)
        self._numbers = itertools.count(1)
        self._region = ""
        self._default_tags: dict[str, str] = {}

    def GetSchema(self, _request: Any) -> Any:
        return self._answer

    def PrepareProviderConfig(self, request: Any) -> Any:
        return message("PrepareProviderConfigResponse")(prepared_config=request.config)

    def Configure(self, request: Any) -> Any:
        config = decode(request.config)
        self._region = config["region"]
        blocks = config["default_tags"] or []
        self._default_tags = {k: v for b in blocks for k, v in (b["tags"] or {}).items()}
        return message("Empty")()

    def ValidateResourceTypeConfig(self, _request: Any) -> Any:
        return message("Empty")()

    def ValidateDataSourceConfig(self, _request: Any) -> Any:
        return message("Empty")()

    def UpgradeResourceState(self, request: Any) -> Any:
        state = message("DynamicValue")(json=request.raw_state.json)
        return message("UpgradeResourceStateResponse")(upgraded_state=state)

    def ReadResource(self, request: Any) -> Any:
        return message("ReadResourceResponse")(new_state=request.current_state)

    def PlanResourceChange(self, request: Any) -> Any:
        response = message("PlanResourceChangeResponse")
        proposed = decode(request.proposed_new_state)
        if proposed is None:
            return response(planned_state=request.proposed_new_state)
        block = self._schema.resources[request.type_name]
        planned = plan_block(block, proposed, self._region, self._default_tags)
        return response(planned_state=encode(planned))

    def ApplyResourceChange(self, request: Any) -> Any:
        response = message("ApplyResourceChangeResponse")
        planned = decode(request.planned_state)
        if planned is None:
            return response(new_state=request.planned_state)
        block = self._schema.resources[request.type_name]
        return response(new_state=encode(fill(block, planned, UNKNOWN, self._maker(request))))

    def ReadDataSource(self, request: Any) -> Any:
        response = message("ReadDataSourceResponse")
        config = decode(request.config)
        try:
            known = ANSWERS.get(request.type_name, lambda *_: {})(config, self._region)
        except CannotAnswerError as error:
            problem = message("Diagnostic")(severity=_ERROR, summary=str(error))
            return response(diagnostics=[problem])
        region = {"region": config.get("region") or self._region} if "region" in config else {}
        block = self._schema.data_sources[request.type_name]
        state = fill(block, {**config, **region, **known}, None, self._maker(request))
        return response(state=encode(state))

    def Stop(self, _request: Any) -> Any:
        return message("StopResponse")()

    def _maker(self, request: Any) -> MadeUp:
        return MadeUp(request.type_name, self._region, next(self._numbers))


def handler(provider: SchemaProvider) -> grpc.GenericRpcHandler:
    """Return what makes a gRPC server answer with ``provider``."""
    return grpc.method_handlers_generic_handler(
        SERVICE, {name: _method(provider, name) for name in RPCS}
    )


def _method(provider: SchemaProvider, name: str) -> grpc.RpcMethodHandler:
    request, response = (message(part) for part in RPCS[name])
    answer = getattr(provider, name)
    return grpc.unary_unary_rpc_method_handler(
        lambda asked, _context: answer(asked),
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )
