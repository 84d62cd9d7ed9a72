"""The schema double of the AWS provider, and the generator of its schemas, without Terraform."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.hcl import read_blocks
from tests.schema_provider.data_sources import CannotAnswerError, policy_document
from tests.schema_provider.schema import load_schema
from tests.schema_provider.values import UNKNOWN, MadeUp, decode, encode, fill, plan_block

GENERATOR = Path(__file__).parents[2] / "scripts" / "provider_schema.py"

# What the bindings of a resource look like, as far as they are read.
SOURCE = """
function thingPartToHclTerraform(struct) {
    const attrs = {
        size: {
            value: cdktn.numberToHclTerraform(struct.size),
            isBlock: false,
            type: "simple",
            storageClassType: "number",
        },
    };
}
exports.thingPartToHclTerraform = thingPartToHclTerraform;
class ThingPartOutputReference extends cdktn.ComplexObject {
    // size - computed: false, optional: false, required: true
    _size;
    get size() {
        return this.getNumberAttribute('size');
    }
}
class ThingPartList extends cdktn.ComplexList {
    get(index) {
        return new ThingPartOutputReference(this.terraformResource, this.terraformAttribute);
    }
}
class Thing extends cdktn.TerraformResource {
    // arn - computed: true, optional: false, required: false
    get arn() {
        return this.getStringAttribute('arn');
    }
    // found - computed: true, optional: false, required: false
    _found = new ThingPartList(this, "found", true);
    get found() {
        return this._found;
    }
    // names - computed: true, optional: true, required: false
    _names;
    get names() {
        return cdktn.Fn.tolist(this.getListAttribute('names'));
    }
    // many - computed: false, optional: true, required: false
    _many = new ThingPartList(this, "many", false);
    // one - computed: false, optional: false, required: true
    _one = new ThingPartOutputReference(this, "one");
    // rule - computed: true, optional: true, required: false
    _rule = new ThingPartList(this, "rule", true);
    // =========
    // SYNTHESIS
    // =========
    synthesizeHclAttributes() {
        const attrs = {
            names: {
                value: cdktn.listMapperHcl(cdktn.stringToHclTerraform, false)(this._names),
                isBlock: false,
                type: "set",
                storageClassType: "stringList",
            },
            many: {
                value: cdktn.listMapperHcl(thingPartToHclTerraform, true)(this._many.internalValue),
                isBlock: true,
                type: "list",
                storageClassType: "ThingPartList",
            },
            one: {
                value: thingPartToHclTerraform(this._one.internalValue),
                isBlock: true,
                type: "list",
                storageClassType: "ThingPartList",
            },
            rule: {
                value: cdktn.listMapperHcl(thingPartToHclTerraform, false)(this._rule),
                isBlock: true,
                type: "set",
                storageClassType: "ThingPartList",
            },
        };
    }
}
"""


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("provider_schema", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generator_reads_types_flags_and_nesting() -> None:
    part = {"attributes": {"size": {"type": "number", "required": True}}}
    both = {"computed": True, "optional": True}
    assert _generator().Bindings(SOURCE).schema("TerraformResource") == {
        "attributes": {
            "arn": {"type": "string", "computed": True},
            "found": {"type": ["set", ["object", {"size": "number"}]], "computed": True},
            "names": {"type": ["set", "string"], **both},
            # written as a block, and yet an attribute: the bindings don't map it as a block
            "rule": {"type": ["set", ["object", {"size": "number"}]], **both},
        },
        "blocks": {
            "many": {"nesting": "list", "block": part},
            "one": {"nesting": "list", "block": part, "min": 1, "max": 1},
        },
    }


def test_the_generator_refuses_a_type_that_it_does_not_know() -> None:
    source = SOURCE.replace('storageClassType: "number"', 'storageClassType: "any"')
    with pytest.raises(SystemExit, match="an argument of an unknown type: simple of any"):
        _generator().Bindings(source).schema("TerraformResource")


def test_the_generator_refuses_an_argument_without_a_property() -> None:
    source = SOURCE.replace("// names - computed", "// (names) - computed")
    with pytest.raises(SystemExit, match=r"no property found for \['names'\]"):
        _generator().Bindings(source).schema("TerraformResource")


def test_the_file_names_its_package_and_is_written_as_the_generator_does() -> None:
    """The same content gives the same text: a new version shows what changed, nothing else."""
    generator, schema = _generator(), load_schema()
    assert schema.package == f"{generator.PACKAGE} {generator.VERSION}"
    content = {
        "package": schema.package,
        "provider_version": schema.version,
        "provider": schema.provider,
        "resources": schema.resources,
        "data_sources": schema.data_sources,
    }
    assert generator.to_text(content) == generator.TARGET.read_text()


def test_known_facts_of_the_current_provider() -> None:
    schema = load_schema()
    cluster = schema.resources["aws_eks_cluster"]
    assert cluster["attributes"]["role_arn"] == {"type": "string", "required": True}
    assert cluster["blocks"]["vpc_config"]["min"] == 1
    assert cluster["blocks"]["vpc_config"]["max"] == 1
    assert "vpc" not in schema.resources["aws_eip"]["attributes"]  # gone with version 5
    assert schema.resources["aws_route_table"]["attributes"]["route"]["type"][0] == "set"
    assert schema.taggable("aws_s3_bucket")
    assert not schema.taggable("aws_s3_bucket_policy")


@pytest.mark.parametrize(
    ("body", "strange"),
    [
        ('domain = "vpc"', []),
        ("vpc = true", ["vpc"]),
        ('public_ip = "10.0.0.1"', ["public_ip"]),  # computed only
        ("for_each = toset([])\n  lifecycle {\n  }\n  timeouts {\n  }", []),
        ("tag {\n  }", ["tag"]),
        ('dynamic "tags_of" {\n    for_each = []\n    content {\n    }\n  }', ["tags_of"]),
    ],
)
def test_a_name_that_the_type_does_not_have_is_strange(body: str, strange: list[str]) -> None:
    [block] = read_blocks(f'resource "aws_eip" "this" {{\n  {body}\n}}\n')
    assert load_schema().strange_names(block) == strange


def _plan(kind: str, default_tags: dict[str, str], **values: Any) -> dict[str, Any]:
    block = load_schema().resources[kind]
    nothing: dict[str, Any] = dict.fromkeys(block["attributes"])
    for name, nested in block.get("blocks", {}).items():
        nothing[name] = None if nested["nesting"] == "single" else []
    return plan_block(block, {**nothing, **values}, "eu-north-1", default_tags)


def test_default_tags_go_below_the_resource_s_own() -> None:
    planned = _plan("aws_vpc", {"a": "default", "b": "default"}, tags={"a": "own"})
    assert planned["tags"] == {"a": "own"}
    assert planned["tags_all"] == {"a": "own", "b": "default"}
    assert planned["region"] == "eu-north-1"


def test_tags_that_are_not_known_make_all_tags_unknown() -> None:
    assert _plan("aws_vpc", {"a": "default"}, tags=UNKNOWN)["tags_all"] is UNKNOWN


def test_what_is_computed_is_unknown_in_the_plan_and_made_up_by_the_apply() -> None:
    block = load_schema().resources["aws_eks_cluster"]
    inner = dict.fromkeys(block["blocks"]["vpc_config"]["block"]["attributes"])
    planned = _plan("aws_eks_cluster", {}, name="x", vpc_config=[{**inner, "subnet_ids": ["s"]}])
    assert planned["name"] == "x"
    assert planned["arn"] is planned["identity"] is UNKNOWN
    assert planned["vpc_config"][0]["cluster_security_group_id"] is UNKNOWN
    assert planned["force_update_version"] is None  # optional, not computed: stays unset

    made = fill(block, planned, UNKNOWN, MadeUp("aws_eks_cluster", "eu-north-1", 7))
    assert made["arn"].startswith("arn:aws:eks_cluster:eu-north-1:123456789012:")
    assert made["identity"][0]["oidc"][0]["issuer"].startswith("https://")
    assert made["vpc_config"][0]["subnet_ids"] == ["s"]
    assert made["vpc_config"][0]["cluster_security_group_id"].endswith("-00000007")
    assert decode(encode(made)) == made


def test_an_unknown_value_travels() -> None:
    assert decode(encode({"a": [UNKNOWN, 1]})) == {"a": [UNKNOWN, 1]}


def _statement(**values: Any) -> dict[str, Any]:
    names = ("sid", "effect", "actions", "not_actions", "resources", "not_resources")
    blocks: dict[str, Any] = {key: [] for key in ("principals", "not_principals", "condition")}
    return {**dict.fromkeys(names), **blocks, **values}


def test_a_policy_document_is_rendered() -> None:
    statement = _statement(
        sid="Read",
        actions=["s3:ListBucket", "s3:GetObject"],
        resources=["arn:aws:s3:::bucket"],
        principals=[
            {"type": "AWS", "identifiers": ["arn:a", "arn:b"]},
            {"type": "Service", "identifiers": ["eks.amazonaws.com"]},
        ],
        condition=[
            {"test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"]},
            {"test": "StringEquals", "variable": "aws:SourceArn", "values": ["b", "a"]},
        ],
    )
    assert policy_document({"statement": [statement]}) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Sid": "Read",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": "arn:aws:s3:::bucket",
                "Principal": {"AWS": ["arn:a", "arn:b"], "Service": "eks.amazonaws.com"},
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "1", "aws:SourceArn": ["a", "b"]}
                },
            }
        ],
    }


def test_everybody_is_a_star_and_an_effect_is_kept() -> None:
    anyone = [{"type": "*", "identifiers": ["*"]}]
    document = policy_document({"statement": [_statement(effect="Deny", principals=anyone)]})
    assert document["Statement"] == [{"Effect": "Deny", "Principal": "*"}]


def test_a_document_made_of_others_is_refused_rather_than_guessed() -> None:
    with pytest.raises(CannotAnswerError, match="source_policy_documents"):
        policy_document({"statement": [], "source_policy_documents": ["{}"]})
