"""Tools see what they need of our environment, and nothing of what would bend them."""

from pathlib import Path

import pytest

from mlstacks_dagster.engines.environment import (
    terraform_environment,
    tool_environment,
    user_cli_config,
    withheld,
)
from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import InputError

SANDBOX = Wiring(
    target="sandbox",
    endpoint_url="http://127.0.0.1:5000",
    environment={"AWS_ACCESS_KEY_ID": "emulated", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"},
)
OURS = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "SSL_CERT_FILE": "/ca.pem",
    "AWS_PROFILE": "work",
    "AWS_SESSION_TOKEN": "real-token",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_CONFIG_FILE": "/home/me/.aws/config",
    "AWS_ACCESS_KEY_ID": "real-key",
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
    "CLOUDSDK_CONFIG": "/gcloud",
    "TF_CLI_ARGS": "-destroy",
    "TF_CLI_ARGS_plan": "-destroy",
    "TF_LOG": "trace",
    "TF_VAR_name": "other",
    "TF_WORKSPACE": "other",
    "TF_DATA_DIR": "/elsewhere",
    "TF_REATTACH_PROVIDERS": "{}",
    "KUBECONFIG": "/kube",
    "PYTHONPATH": "/evil",
    "LD_PRELOAD": "/evil.so",
    "DATABASE_PASSWORD": "hunter22",
}


def test_of_our_environment_only_known_names_pass():
    env = tool_environment(OURS, {}, CLOUD)
    assert {"PATH", "HOME", "LC_ALL", "https_proxy", "NO_PROXY", "AWS_PROFILE"} <= set(env)
    refused = {n for n in OURS if n.startswith(("TF_", "PYTHON", "LD_"))}
    assert not (refused | {"KUBECONFIG", "DATABASE_PASSWORD"}) & set(env)


def test_with_an_emulator_no_credential_of_the_user_is_seen():
    env = tool_environment(OURS, {"AWS_PROFILE": "theirs", "GOOGLE_PROJECT": "p"}, SANDBOX)
    cloud = {n: v for n, v in env.items() if n.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_"))}
    assert cloud == {
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_the_units_own_variables_reach_it_and_win_over_ours():
    env = tool_environment(OURS, {"AWS_PROFILE": "theirs", "MY_FLAG": "1"}, CLOUD)
    assert (env["AWS_PROFILE"], env["MY_FLAG"]) == ("theirs", "1")


def test_what_an_emulator_takes_the_place_of_is_named():
    unit = {"AWS_PROFILE": "theirs", "CLOUDSDK_CONFIG": "/g", "MY_FLAG": "1"}
    assert withheld(unit, SANDBOX) == ("AWS_PROFILE", "CLOUDSDK_CONFIG")
    assert withheld(unit, CLOUD) == ()


@pytest.mark.parametrize(
    "name",
    [
        "TF_CLI_ARGS", "TF_VAR_x", "LD_PRELOAD", "PATH", "KUBECONFIG", "HELM_PLUGINS", "BASH_ENV",
        "ENV", "SHELL", "IFS", "GCONV_PATH", "PYTHONPATH", "tf_log", "MLSTACKS_HOME",
    ],
)  # fmt: skip
def test_a_variable_that_would_bend_the_tool_is_refused_by_name(name):
    with pytest.raises(InputError, match=name):
        tool_environment({}, {name: "x"}, CLOUD)


def test_terraform_gets_our_settings_and_the_shared_cache():
    env = terraform_environment({"PATH": "/bin"}, Path("/w/cli.tfrc"), Path("/cache"))
    assert env == {
        "PATH": "/bin",
        "GOGC": "400",
        "GOMEMLIMIT": "512MiB",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": "/w/cli.tfrc",
        "TF_PLUGIN_CACHE_DIR": "/cache",
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
    }


def test_a_component_says_itself_how_much_memory_terraform_may_take():
    env = terraform_environment({"GOMEMLIMIT": "2GiB"}, Path("/c"), None)
    assert (env["GOGC"], env["GOMEMLIMIT"]) == ("400", "2GiB")


def test_with_a_mirror_there_is_no_cache():
    assert "TF_PLUGIN_CACHE_DIR" not in terraform_environment({}, Path("/c"), None)


def test_the_users_cli_configuration_is_found_where_terraform_looks(tmp_path):
    assert user_cli_config({"HOME": str(tmp_path)}) is None
    (tmp_path / ".terraformrc").touch()
    assert user_cli_config({"HOME": str(tmp_path)}) == tmp_path / ".terraformrc"
    named = tmp_path / "mine.tfrc"
    assert user_cli_config({"HOME": str(tmp_path), "TF_CLI_CONFIG_FILE": str(named)}) is None
    named.touch()
    assert user_cli_config({"TF_CLI_CONFIG_FILE": str(named)}) == named
