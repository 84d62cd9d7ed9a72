"""SageMaker: all that users of a stack's roles may have made and marked.

Candidates come from the tagging index alone; each is described, so what is gone is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlstacks_dagster.sweep.aws import sagemaker_removal as removal
from mlstacks_dagster.sweep.aws import sagemaker_sides as sides
from mlstacks_dagster.sweep.aws.errors import Meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.sagemaker_removal import PAGE, told
from mlstacks_dagster.sweep.aws.sagemaker_sides import Sides
from mlstacks_dagster.sweep.aws.services import INDEX_PROOFS, marked, own_tags
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_CODES: Mapping[str, Meaning] = {"ValidationException": "busy"}


@dataclass(frozen=True)
class _Sort:
    """How one type is described and listed.

    ``resource`` is the word in its ARNs, ``noun`` begins the fields with its name and ARN.
    """

    resource: str
    noun: str
    describe: str
    listing: tuple[str, str]
    sides: Callable[[Look, Raw], Sides]
    id_field: str = ""

    @property
    def type(self) -> str:
        return f"sagemaker:{self.resource}"

    @property
    def key(self) -> str:
        return self.id_field or f"{self.noun}Name"

    def find(self, look: Look) -> Iterator[Item]:
        """Yield what is marked and exists."""
        for arn, tags in marked(look, "sagemaker", f"{self.resource}/").items():
            raw = self._described(look, arn.rpartition("/")[2]) or self._spelled(look, arn)
            if raw is not None:
                yield self._item(look, raw, tags)

    def read(self, look: Look, ids: Sequence[str]) -> Iterator[Item]:
        """Yield those of ``ids`` that exist, with the tags of this moment."""
        for name in ids:
            raw = self._described(look, name)
            tags = None if raw is None else told(partial(_tags, look, raw[f"{self.noun}Arn"]))
            if raw is not None and tags is not None:
                yield self._item(look, raw, tags)

    def _described(self, look: Look, name: str) -> Raw | None:
        return sides.described(look, self.describe, self.key, name)

    def _spelled(self, look: Look, arn: str) -> Raw | None:
        """Look for an ARN among all of the type: ARNs are in lower case, names needn't be."""
        operation, key = self.listing
        pages = partial(look.pages, "sagemaker", operation, key, PAGE)
        names = look.once(
            f"{self.type}:names",
            lambda: {raw[f"{self.noun}Arn"]: raw[self.key] for raw in pages()},
        )
        return self._described(look, names[arn]) if arn in names else None

    def _item(self, look: Look, raw: Raw, tags: dict[str, str]) -> Item:
        more = self.sides(look, raw)
        facts = {"arn": raw[f"{self.noun}Arn"], **more.pop("facts", {})}
        name = raw.get(f"{self.noun}Name", raw[self.key])
        created = epoch(raw.get("CreationTime"))
        return look.item(
            self.type, raw[self.key], name=name, tags=tags, created=created, facts=facts, **more
        )


def _tags(look: Look, arn: str) -> dict[str, str]:
    return own_tags(list(look.pages("sagemaker", "list_tags", "Tags", PAGE, ResourceArn=arn)))


def _handler(
    sort: _Sort,
    title: str,
    rank: int,
    delete: Callable[[Look, Item], str | None],
    *,
    data: bool = False,
    price: Callable[[Item], float] = lambda _item: 0.0,
) -> Handler:
    kind = Kind(sort.type, title, rank, data=data, usd_per_month=price, proofs=INDEX_PROOFS)
    return Handler(kind, sort.find, delete, sort.read, codes=_CODES)


HANDLERS = (
    _handler(
        _Sort(
            "endpoint",
            "Endpoint",
            "describe_endpoint",
            ("list_endpoints", "Endpoints"),
            sides.endpoint,
        ),
        "SageMaker endpoint",
        10,
        removal.deleter("delete_endpoint", "EndpointName"),
        price=sides.endpoint_price,
    ),
    _handler(
        _Sort(
            "endpoint-config",
            "EndpointConfig",
            "describe_endpoint_config",
            ("list_endpoint_configs", "EndpointConfigs"),
            sides.config,
        ),
        "SageMaker endpoint configuration",
        12,
        removal.deleter("delete_endpoint_config", "EndpointConfigName"),
    ),
    _handler(
        _Sort("model", "Model", "describe_model", ("list_models", "Models"), sides.model),
        "SageMaker model",
        14,
        removal.deleter("delete_model", "ModelName"),
    ),
    _handler(
        _Sort(
            "notebook-instance",
            "NotebookInstance",
            "describe_notebook_instance",
            ("list_notebook_instances", "NotebookInstances"),
            sides.notebook,
        ),
        "SageMaker notebook",
        10,
        removal.delete_notebook,
        data=True,
        price=sides.machine_price,
    ),
    _handler(
        _Sort(
            "domain",
            "Domain",
            "describe_domain",
            ("list_domains", "Domains"),
            sides.domain,
            id_field="DomainId",
        ),
        "SageMaker domain",
        16,
        removal.delete_domain,
        data=True,
    ),
    _handler(
        _Sort(
            "pipeline",
            "Pipeline",
            "describe_pipeline",
            ("list_pipelines", "PipelineSummaries"),
            sides.pipeline,
        ),
        "SageMaker pipeline",
        10,
        removal.deleter("delete_pipeline", "PipelineName"),
    ),
    _handler(
        _Sort(
            "model-package-group",
            "ModelPackageGroup",
            "describe_model_package_group",
            ("list_model_package_groups", "ModelPackageGroupSummaryList"),
            sides.package_group,
        ),
        "SageMaker model package group",
        18,
        removal.delete_package_group,
        data=True,
    ),
    _handler(
        _Sort(
            "feature-group",
            "FeatureGroup",
            "describe_feature_group",
            ("list_feature_groups", "FeatureGroupSummaries"),
            sides.feature_group,
        ),
        "SageMaker feature group",
        18,
        removal.deleter("delete_feature_group", "FeatureGroupName"),
        data=True,
    ),
    _handler(
        _Sort(
            "mlflow-tracking-server",
            "TrackingServer",
            "describe_mlflow_tracking_server",
            ("list_mlflow_tracking_servers", "TrackingServerSummaries"),
            sides.server,
        ),
        "SageMaker MLflow server",
        10,
        removal.deleter("delete_mlflow_tracking_server", "TrackingServerName"),
        data=True,
        price=sides.server_price,
    ),
)
