"""What only shows when the components of a stack are seen together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlstacks_dagster.spec.fields import Findings
from mlstacks_dagster.spec.metadata import same_but_for_case, tag_limit
from mlstacks_dagster.spec.models import Component, Provider, Source, Stack

__all__ = ["check_together", "with_project"]


def with_project(
    provider: Provider | None, components: Sequence[Component], findings: Findings
) -> tuple[Component, ...]:
    """Give each gcp component the stack's one ``project_id``, as mlstacks does.

    None at all, or two different ones, are errors.
    """
    if provider != "gcp" or not components:
        return tuple(components)
    given = [c for c in components if c.config.get("project_id") is not None]
    if not given:
        findings.errors.append(
            components[0].source.problem(
                "a gcp component needs a project_id",
                "metadata",
                "config",
                remedy="add `project_id: my-project` under metadata.config",
            )
        )
        return tuple(components)
    first = given[0]
    project = first.config["project_id"]
    for component in given[1:]:
        other = component.config["project_id"]
        if other != project:
            findings.errors.append(
                component.source.problem(
                    f"project_id {other!r} differs from {project!r} in {first.source.file}",
                    "metadata",
                    "config",
                    "project_id",
                    remedy="a stack has one project: make a second stack",
                )
            )
    return tuple(replace(c, config={"project_id": project, **_given(c)}) for c in components)


def _given(component: Component) -> dict[str, object]:
    return {k: v for k, v in component.config.items() if k != "project_id" or v is not None}


def check_together(stack: Stack, findings: Findings) -> None:
    """Check what only shows when all components are seen together."""
    types: dict[str, Source] = {}
    names: dict[str, Source] = {}
    for component in stack.components:
        _check_region_differs(stack, component, findings)
        if stack.provider == "aws" and not tag_limit(component.tags) and not tag_limit(stack.tags):
            _check_tag_sum(stack, component, findings)
        same_type = types.setdefault(component.type, component.source)
        same_name = names.setdefault(component.name, component.source)
        if component.type and same_type is not component.source:
            key = "component_type"
            message = f"a second {component.type}; the first is in {same_type.file}"
            remedy = "a stack has one component of a type: remove one, or make a second stack"
        elif component.name and same_name is not component.source:
            key = "name"
            message = f"the name {component.name!r} is taken by the component in {same_name.file}"
            remedy = "give each component a name of its own"
        else:
            continue
        findings.errors.append(component.source.problem(message, key, remedy=remedy))


def _check_region_differs(stack: Stack, component: Component, findings: Findings) -> None:
    if not component.region or not stack.region or component.region == stack.region:
        return
    at: tuple[str, ...] = ("metadata", "region")
    if at not in component.source.lines:
        at = ("metadata", "config", "region")
    findings.warnings.append(
        component.source.problem(
            f"region {component.region} differs from the stack's default_region {stack.region}",
            *at,
            remedy="units in two regions pay for traffic between them; remove one if not meant",
        )
    )


def _check_tag_sum(stack: Stack, component: Component, findings: Findings) -> None:
    together = {**stack.tags, **component.tags}
    for name, other in same_but_for_case(together):
        if name in component.tags and other in stack.tags:
            message = f"tag {name!r} and the stack's {other!r} are one key to IAM"
            remedy = "write it as in default_tags"
            findings.errors.append(
                component.source.problem(message, "metadata", "tags", name, remedy=remedy)
            )
    if rule := tag_limit(together):
        message = f"{len(together)} tags with the stack's default_tags"
        findings.errors.append(component.source.problem(message, "metadata", "tags", remedy=rule))
