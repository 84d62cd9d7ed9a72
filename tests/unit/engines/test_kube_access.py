"""Kubeconfigs of our own: private, one context, no credential inside, the user's left alone."""

import base64
import stat

import pytest
import yaml

from mlstacks_dagster.engines.kube_access import ClusterAccess, token_program, write_kubeconfig
from mlstacks_dagster.errors import InputError

EKS = ClusterAccess(
    kind="eks", name="ml-s1", endpoint="https://x.eks.example", ca_data="Q0E=", region="eu-west-1"
)


def written(access, tmp_path, **options):
    path = tmp_path / "private" / "kubeconfig"
    context = write_kubeconfig(access, path, **options)
    content = yaml.safe_load(path.read_text())
    assert content["current-context"] == context
    assert len(content["contexts"]) == len(content["clusters"]) == len(content["users"]) == 1
    return content, path


def test_an_eks_cluster_is_reached_through_our_own_plugin(tmp_path):
    content, path = written(EKS, tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    cluster = content["clusters"][0]["cluster"]
    assert cluster == {"server": "https://x.eks.example", "certificate-authority-data": "Q0E="}
    plugin = content["users"][0]["user"]["exec"]
    assert (plugin["command"], *plugin["args"]) == (
        *token_program(),
        "--kind",
        "eks",
        "--cluster",
        "ml-s1",
        "--region",
        "eu-west-1",
    )
    assert plugin["apiVersion"] == "client.authentication.k8s.io/v1"
    assert plugin["interactiveMode"] == "Never"
    assert "env" not in plugin


def test_another_program_can_give_the_tokens(tmp_path):
    content, _ = written(EKS, tmp_path, token_argv=("/opt/mlstacks-dagster", "kube-token"))
    plugin = content["users"][0]["user"]["exec"]
    assert plugin["command"] == "/opt/mlstacks-dagster"
    assert plugin["args"][0] == "kube-token"


def test_the_bare_address_of_a_gke_cluster_becomes_a_url(tmp_path):
    content, _ = written(ClusterAccess(kind="gke", name="g", endpoint="203.0.113.4"), tmp_path)
    assert content["clusters"][0]["cluster"]["server"] == "https://203.0.113.4"


def test_a_cluster_without_an_endpoint_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no endpoint"):
        written(ClusterAccess(kind="eks", name="c"), tmp_path)


@pytest.fixture
def given(tmp_path):
    (tmp_path / "ca.pem").write_bytes(b"the ca")
    (tmp_path / "key.pem").write_bytes(b"the key")
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [
                    {
                        "name": "c1",
                        "cluster": {"server": "https://one", "certificate-authority": "ca.pem"},
                    },
                    {"name": "c2", "cluster": {"server": "https://two"}},
                ],
                "users": [
                    {"name": "u1", "user": {"client-key": "key.pem", "tokenFile": "token"}},
                    {"name": "u2", "user": {"exec": {"command": "./bin/login", "args": ["x"]}}},
                ],
                "contexts": [
                    {"name": "first", "context": {"cluster": "c1", "user": "u1"}},
                    {"name": "second", "context": {"cluster": "c2", "user": "u2"}},
                    {"name": "broken", "context": {"cluster": "gone", "user": "u2"}},
                ],
                "current-context": "second",
            }
        )
    )
    return path


def test_only_the_named_context_is_copied_with_its_files(given, tmp_path):
    before = given.read_bytes()
    access = ClusterAccess(kind="kubeconfig", name="c", kubeconfig=given, context="first")
    content, _ = written(access, tmp_path)
    assert content["current-context"] == "first"
    ca = content["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(ca) == b"the ca"
    user = content["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == b"the key"
    assert user["tokenFile"] == str(tmp_path / "token")
    assert "two" not in str(content)
    assert given.read_bytes() == before


def test_without_a_context_the_current_one_is_taken_and_its_plugin_is_found(given, tmp_path):
    access = ClusterAccess(kind="kubeconfig", name="c", kubeconfig=given)
    content, _ = written(access, tmp_path)
    assert content["clusters"][0]["cluster"]["server"] == "https://two"
    assert content["users"][0]["user"]["exec"]["command"] == str(tmp_path / "bin" / "login")


@pytest.mark.parametrize(
    ("context", "said"),
    [("third", "no context 'third'; it has: broken, first, second"), ("broken", "cluster 'gone'")],
)
def test_what_the_file_does_not_have_is_an_error(given, tmp_path, context, said):
    access = ClusterAccess(kind="kubeconfig", name="c", kubeconfig=given, context=context)
    with pytest.raises(InputError, match=said):
        written(access, tmp_path)


@pytest.mark.parametrize("content", [b"{", b"- x", b"\xff", b""])
def test_a_file_that_is_no_kubeconfig_is_an_error(tmp_path, content):
    (tmp_path / "config").write_bytes(content)
    access = ClusterAccess(kind="kubeconfig", name="c", kubeconfig=tmp_path / "config")
    with pytest.raises(InputError, match="config"):
        written(access, tmp_path)


def test_a_certificate_file_that_is_gone_is_an_error(given, tmp_path):
    (tmp_path / "ca.pem").unlink()
    access = ClusterAccess(kind="kubeconfig", name="c", kubeconfig=given, context="first")
    with pytest.raises(InputError, match=r"ca\.pem"):
        written(access, tmp_path)


def test_no_file_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no kubeconfig"):
        written(ClusterAccess(kind="kubeconfig", name="c"), tmp_path)
