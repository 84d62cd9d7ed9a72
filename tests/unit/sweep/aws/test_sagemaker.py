"""SageMaker: who serves what, what must be stopped or emptied first, and names in ARNs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from tests.unit.sweep.aws.plants import ROLE, Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import (
    ACCOUNT,
    HANDLERS,
    MARKS,
    OURS,
    REGION,
    Bench,
    bench,
    clients,
)

__all__ = ["bench", "clients"]

_TYPES = sorted(type_ for type_ in HANDLERS if type_.startswith("sagemaker:"))


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def _gone(operation: str, message: str = "Could not find it") -> Exception:
    return refusal(operation, "ValidationException", message)


def _only(bench: Bench, kind: str, name: str, answers: dict[str, Any]) -> Scripted:
    """Have one marked thing, described and tagged as told; the emulator isn't asked."""
    bench.indexed[_arn(kind, name.lower())] = MARKS
    fake = Scripted("sagemaker", {"list_tags": {"Tags": pairs(MARKS)}, **answers})
    bench.fake("sagemaker", fake)
    return fake


def test_an_empty_account_costs_one_call_for_all_types(bench: Bench) -> None:
    before, look = bench.caller.calls, bench.look()

    for type_ in _TYPES:
        assert list(HANDLERS[type_].find(look)) == []

    assert bench.caller.calls == before + 1
    assert len(_TYPES) == 9


def test_what_others_endpoint_serves_is_held_by_it(bench: Bench) -> None:
    plant, sagemaker = Plant(bench), bench.client("sagemaker")
    model = plant.sagemaker_model("our-model", MARKS)
    variant = {
        "VariantName": "all",
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    config = "our-config"
    sagemaker.create_endpoint_config(
        EndpointConfigName=config, ProductionVariants=[variant], Tags=pairs(MARKS)
    )
    sagemaker.create_endpoint(EndpointName="theirs", EndpointConfigName=config)
    endpoint = Ref(type="sagemaker:endpoint", region=REGION, id="theirs")

    found = bench.find("sagemaker:endpoint-config")[config]

    assert found.used_by == (endpoint,)
    assert found.uses == (Ref(type="sagemaker:model", region=REGION, id=model),)
    assert bench.find("sagemaker:model")[model].used_by == (endpoint,)


def test_an_endpoints_price_is_that_of_all_its_machines(bench: Bench) -> None:
    name = Plant(bench).sagemaker_endpoint(f"{OURS}-x", MARKS)
    item = bench.find("sagemaker:endpoint")[name]
    twice = item.model_copy(update={"facts": {**item.facts, "instances": "2"}})
    once = item.model_copy(update={"facts": {**item.facts, "instances": "1"}})
    price = HANDLERS["sagemaker:endpoint"].kind.usd_per_month

    assert item.facts["class"] == "ml.m5.large"
    assert price(twice) == 2 * price(once) > 0


def test_a_notebook_is_stopped_first(bench: Bench) -> None:
    name = Plant(bench).sagemaker_notebook_instance(f"{OURS}-x", MARKS)
    item = bench.find("sagemaker:notebook-instance")[name]

    said = bench.delete_all(item)

    assert said == [f"notebook {name} is being stopped"]


@pytest.mark.parametrize("state", ["Pending", "Stopping", "Updating"])
def test_a_notebook_in_between_is_waited_for(bench: Bench, state: str) -> None:
    raw = {"NotebookInstanceName": "n", "NotebookInstanceArn": _arn("notebook-instance", "n")}
    answers = {"describe_notebook_instance": {**raw, "NotebookInstanceStatus": state}}
    fake = _only(bench, "notebook-instance", "n", answers)

    assert bench.delete(bench.find("sagemaker:notebook-instance")["n"]) == f"notebook n is {state}"
    assert set(fake.names()) == {"describe_notebook_instance"}


def test_a_name_that_its_arn_spells_in_lower_case_is_found_by_listing(bench: Bench) -> None:
    arn = _arn("model", "mymodel")

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        if params["ModelName"] != "MyModel":
            raise _gone("DescribeModel", "Could not find model")
        return {"ModelName": "MyModel", "ModelArn": arn, "ExecutionRoleArn": ROLE}

    answers = {
        "describe_model": describe,
        "list_models": {"Models": [{"ModelName": "MyModel", "ModelArn": arn}]},
        "list_endpoints": {"Endpoints": []},
    }
    _only(bench, "model", "MyModel", answers)

    item = bench.find("sagemaker:model")["MyModel"]

    assert item.uses == (Ref(type="iam:role", region=GLOBAL, id="somebody"),)
    assert bench.read("sagemaker:model", "MyModel") == {"MyModel": item}


def test_bad_input_that_is_not_about_existence_fails_the_type(bench: Bench) -> None:
    error = refusal("DescribeModel", "ValidationException", "1 validation error detected")
    _only(bench, "model", "m", {"describe_model": error})

    with pytest.raises(ClientError, match="1 validation error"):
        bench.find("sagemaker:model")


def test_a_denied_describe_fails_the_type(bench: Bench) -> None:
    error = refusal("DescribeModel", "AccessDeniedException", status=403)
    _only(bench, "model", "m", {"describe_model": error})

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find("sagemaker:model")


def test_what_the_index_still_has_is_left_out_when_gone(bench: Bench) -> None:
    gone = {"describe_pipeline": refusal("DescribePipeline", "ResourceNotFound")}
    _only(bench, "pipeline", "p", {**gone, "list_pipelines": {"PipelineSummaries": []}})

    assert bench.find("sagemaker:pipeline") == {}
    assert bench.read("sagemaker:pipeline", "p") == {}


@pytest.mark.parametrize(
    ("kind", "describe", "raw", "delete"),
    [
        (
            "mlflow-tracking-server",
            "describe_mlflow_tracking_server",
            {"TrackingServerName": "x", "TrackingServerSize": "Small", "RoleArn": ROLE},
            ("delete_mlflow_tracking_server", {"TrackingServerName": "x"}),
        ),
        (
            "feature-group",
            "describe_feature_group",
            {"FeatureGroupName": "x", "FeatureGroupStatus": "Created", "RoleArn": ROLE},
            ("delete_feature_group", {"FeatureGroupName": "x"}),
        ),
    ],
)
def test_types_that_the_emulator_lacks_are_found_read_and_deleted(
    bench: Bench,
    kind: str,
    describe: str,
    raw: dict[str, Any],
    delete: tuple[str, dict[str, Any]],
) -> None:
    arn_field = "TrackingServerArn" if "mlflow" in kind else "FeatureGroupArn"
    fake = _only(bench, kind, "x", {describe: {**raw, arn_field: _arn(kind, "x")}, delete[0]: {}})

    item = bench.find(f"sagemaker:{kind}")["x"]
    again = bench.read(f"sagemaker:{kind}", "x")
    bench.delete_all(item)

    assert again == {"x": item}
    assert item.tags == MARKS
    assert fake.calls[-1] == delete


def test_a_model_package_group_goes_after_its_versions(bench: Bench) -> None:
    group = {"ModelPackageGroupName": "g", "ModelPackageGroupArn": _arn("model-package-group", "g")}
    packages = [{"ModelPackageArn": _arn("model-package", f"g/{n}")} for n in (1, 2)]
    answers = {
        "describe_model_package_group": group,
        "list_model_packages": {"ModelPackageSummaryList": packages},
        "delete_model_package": {},
        "delete_model_package_group": {},
    }
    fake = _only(bench, "model-package-group", "g", answers)

    bench.delete_all(bench.find("sagemaker:model-package-group")["g"])

    assert fake.names()[-3:] == [
        "delete_model_package",
        "delete_model_package",
        "delete_model_package_group",
    ]


def test_a_domain_goes_after_its_apps_spaces_and_users(bench: Bench) -> None:
    inside: dict[str, list[dict[str, Any]]] = {
        "Apps": [
            {
                "DomainId": "d-1",
                "AppType": "JupyterLab",
                "AppName": "default",
                "SpaceName": "s",
                "Status": "InService",
            },
            {"DomainId": "d-1", "AppType": "JupyterLab", "AppName": "old", "Status": "Deleted"},
        ],
        "Spaces": [{"DomainId": "d-1", "SpaceName": "s", "Status": "InService"}],
        "UserProfiles": [{"DomainId": "d-1", "UserProfileName": "u", "Status": "InService"}],
    }

    def listed(key: str) -> Any:
        return lambda params: {key: list(inside[key])} if params["DomainIdEquals"] else {}

    def dropped(key: str) -> Any:
        def answer(_params: dict[str, Any]) -> dict[str, Any]:
            del inside[key][0]
            return {}

        return answer

    domain = {"DomainId": "d-1", "DomainArn": _arn("domain", "d-1"), "DomainName": "studio"}
    fake = _only(
        bench,
        "domain",
        "d-1",
        {
            "describe_domain": {**domain, "VpcId": "vpc-1", "SubnetIds": ["subnet-1"]},
            "list_apps": listed("Apps"),
            "list_spaces": listed("Spaces"),
            "list_user_profiles": listed("UserProfiles"),
            "delete_app": dropped("Apps"),
            "delete_space": dropped("Spaces"),
            "delete_user_profile": dropped("UserProfiles"),
            "delete_domain": {},
        },
    )
    item = bench.find("sagemaker:domain")["d-1"]

    said = bench.delete_all(item)

    assert item.name == "studio"
    assert item.inside == (Ref(type="ec2:vpc", region=REGION, id="vpc-1"),)
    assert len(said) == 3
    deletes = [name for name in fake.names() if name.startswith("delete")]
    assert deletes == ["delete_app", "delete_space", "delete_user_profile", "delete_domain"]


def test_a_domain_waits_for_an_app_that_is_going(bench: Bench) -> None:
    domain = {"DomainId": "d-1", "DomainArn": _arn("domain", "d-1"), "DomainName": "studio"}
    app = {"DomainId": "d-1", "AppType": "JupyterLab", "AppName": "a", "Status": "Deleting"}
    answers = {"describe_domain": domain, "list_apps": {"Apps": [app]}}
    fake = _only(bench, "domain", "d-1", answers)

    assert "1 apps" in (bench.delete(bench.find("sagemaker:domain")["d-1"]) or "")
    assert not [name for name in fake.names() if name.startswith("delete")]


def test_an_endpoint_that_is_changing_is_tried_again(bench: Bench) -> None:
    name = Plant(bench).sagemaker_endpoint(f"{OURS}-x", MARKS)
    item = bench.find("sagemaker:endpoint")[name]
    changing = _gone("DeleteEndpoint", "Cannot update in-progress endpoint")
    bench.fake(
        "sagemaker",
        Scripted("sagemaker", {"delete_endpoint": changing}, bench.client("sagemaker")),
    )

    assert bench.word(item) == "busy"
