"""The private copy of a module: what is in it, what is not, and who can read it."""

import errno
import json
import stat
from pathlib import Path

import pytest

from mlstacks_dagster.engines.tf_stage import UnitRequest, merge_overrides, stage
from mlstacks_dagster.engines.wiring import CLOUD, ProviderOverride, Wiring
from mlstacks_dagster.errors import MlstacksError

AWS = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}
"""
OVERRIDE = {"provider": {"aws": {"endpoints": {"s3": "http://127.0.0.1:1"}}}}


@pytest.fixture
def request_(tmp_path: Path) -> UnitRequest:
    module = tmp_path / "catalog" / "bucket"
    (module / "templates").mkdir(parents=True)
    (module / "versions.tf").write_text(AWS)
    (module / "main.tf").write_text("# main\n")
    (module / "current_provider.tf").write_text("# new arguments\n")
    (module / "templates" / "policy.json").write_text("{}")
    return UnitRequest(
        unit="bucket",
        module=module,
        work_dir=tmp_path / "work" / "s1" / "bucket",
        backend={"local": {"path": str(tmp_path / "state" / "s1" / "terraform.tfstate")}},
        variables={"name": "x", "tags": {"a": "b"}, "password": "hunter22"},
    )


def sandbox(mirror: Path | None = None) -> Wiring:
    return Wiring(
        target="sandbox",
        endpoint_url="http://127.0.0.1:1",
        provider_mirror=mirror,
        providers={
            "aws": ProviderOverride(override=OVERRIDE, exclude_files=("current_provider.tf",)),
            "google": ProviderOverride(override={"provider": {"google": {}}}),
        },
    )


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def with_(request: UnitRequest, **changes) -> UnitRequest:
    return UnitRequest(**{**vars(request), **changes})


def test_the_copy_has_the_module_the_backend_and_the_values(request_):
    workspace = stage(request_)
    assert names(workspace.module) == {
        "versions.tf", "main.tf", "current_provider.tf", "templates/policy.json",
        "backend.tf.json", "terraform.tfvars.json",
    }  # fmt: skip
    backend = json.loads((workspace.module / "backend.tf.json").read_text())
    assert backend == {"terraform": {"backend": request_.backend}}
    values = json.loads((workspace.module / "terraform.tfvars.json").read_text())
    assert values == request_.variables


def test_everything_is_readable_by_the_owner_only(request_, tmp_path):
    workspace = stage(request_)
    for top in (tmp_path / "work", tmp_path / "state"):
        for path in (top, *top.rglob("*")):
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert workspace.state_file is not None


def test_a_use_of_the_module_in_place_is_not_copied(request_):
    for name in ("terraform.tfstate", "terraform.tfstate.backup", "x.auto.tfvars", "a.tftest.hcl"):
        (request_.module / name).write_text("{}")
    (request_.module / ".terraform").mkdir()
    (request_.module / ".terraform" / "x").write_text("x")
    assert not {n for n in names(stage(request_).module) if "tfstate" in n or "x" in n.split("/")}
    assert "x.auto.tfvars" not in names(stage(request_).module)


def test_for_an_emulator_overrides_are_added_and_files_left_out(request_):
    workspace = stage(with_(request_, wiring=sandbox()))
    override = json.loads((workspace.module / "mlstacks_override.tf.json").read_text())
    assert override == OVERRIDE, "google is not used by this module"
    assert "current_provider.tf" not in names(workspace.module)


def test_back_to_the_cloud_nothing_of_the_emulator_stays(request_):
    stage(with_(request_, wiring=sandbox()))
    workspace = stage(with_(request_, wiring=CLOUD))
    assert "mlstacks_override.tf.json" not in names(workspace.module)
    assert "current_provider.tf" in names(workspace.module)


def test_files_that_left_the_module_leave_the_copy_and_terraforms_own_stay(request_):
    workspace = stage(request_)
    (workspace.module / ".terraform").mkdir()
    (workspace.module / ".terraform" / "kept").touch()
    (workspace.module / "errored.tfstate").write_text("{}")
    (request_.module / "main.tf").unlink()
    (request_.module / "templates" / "policy.json").unlink()
    stage(request_)
    left = names(workspace.module)
    assert not left & {"main.tf", "templates/policy.json"}
    assert {".terraform/kept", "errored.tfstate"} <= left


def test_a_mirror_is_named_in_the_cli_configuration_and_checksums_stay_out(request_, tmp_path):
    (request_.module / ".terraform.lock.hcl").write_text("# checksums of the registry\n")
    assert ".terraform.lock.hcl" in names(stage(request_).module)
    other = with_(request_, wiring=sandbox(tmp_path / "mirror"), work_dir=tmp_path / "other")
    workspace = stage(other)
    assert ".terraform.lock.hcl" not in names(workspace.module)
    assert f'path = "{tmp_path}/mirror"' in workspace.cli_config.read_text()


def test_without_a_mirror_the_users_own_cli_configuration_holds(request_, tmp_path):
    theirs = tmp_path / "theirs.tfrc"
    theirs.write_text("")
    env = {"TF_CLI_CONFIG_FILE": str(theirs)}
    assert stage(with_(request_, environment=env)).cli_config == theirs
    assert stage(request_).cli_config == request_.work_dir / "cli.tfrc"


def test_input_values_leave_the_fingerprint_alone_and_all_else_changes_it(request_, tmp_path):
    first = stage(request_).fingerprint
    assert stage(with_(request_, variables={"name": "y"})).fingerprint == first
    assert stage(with_(request_, backend={"s3": {"bucket": "b"}})).fingerprint != first
    assert stage(with_(request_, wiring=sandbox(tmp_path / "m"))).fingerprint != first
    (request_.module / "main.tf").write_text("# changed\n")
    assert stage(request_).fingerprint != first


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_that_nothing_was_created(request_, number):
    def write(path, content):
        raise OSError(number, "No space left on device", str(path))

    with pytest.raises(MlstacksError) as caught:
        stage(request_, write=write)
    text = str(caught.value)
    assert "no space left" in text
    assert "nothing was created" in text
    assert str(request_.work_dir) in text


def test_a_folder_that_is_a_file_is_a_clear_error(request_, tmp_path):
    (tmp_path / "work").write_text("in the way")
    with pytest.raises(MlstacksError, match="work"):
        stage(request_)


def test_a_module_that_is_gone_is_named(request_, tmp_path):
    with pytest.raises(MlstacksError, match="nowhere"):
        stage(with_(request_, module=tmp_path / "nowhere"))


def test_overrides_of_several_providers_are_merged():
    first = {"terraform": {"required_providers": {"a": {"v": 1}}}, "list": [1]}
    second = {"terraform": {"required_providers": {"b": {"v": 2}}}, "list": [2]}
    assert merge_overrides([first, second]) == {
        "terraform": {"required_providers": {"a": {"v": 1}, "b": {"v": 2}}},
        "list": [1, 2],
    }
    assert first["list"] == [1], "the inputs are left as they are"


def test_values_do_not_show_in_the_requests_repr(request_):
    assert "hunter22" not in repr(request_)
