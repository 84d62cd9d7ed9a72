"""Tokens for cluster APIs, compared with what the AWS SDK signs."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlstacks_dagster.engines.kube_access import token_program
from mlstacks_dagster.engines.kube_token import eks_token, exec_credential, main, token_for
from mlstacks_dagster.errors import InputError, MlstacksError

NOW = datetime(2026, 11, 23, 23, 30, 5, tzinfo=UTC)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/XUtnFEMI+K7MDENG"}


def url_of(token: str) -> str:
    text = token.removeprefix("k8s-aws-v1.")
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def signed_by_the_sdk(url: str, session_token: str | None) -> str:
    """Return the signature that botocore gives the same request at the same time."""
    parts = urlsplit(url)
    keys = Credentials(*KEYS.values(), session_token)
    signer = SigV4QueryAuth(keys, "sts", "eu-west-1", 60)
    request = AWSRequest(
        "GET",
        f"{parts.scheme}://{parts.netloc}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": "ml-cluster"},
    )
    request.context["timestamp"] = NOW.strftime(SIGV4_TIMESTAMP)
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


@pytest.mark.parametrize("session_token", [None, "IQoJb3JpZ2lu/+=="])
@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:5000"])
def test_an_eks_token_is_signed_as_the_sdk_signs(session_token, endpoint):
    env = dict(KEYS)
    if session_token:
        env["AWS_SESSION_TOKEN"] = session_token
    if endpoint:
        env["AWS_ENDPOINT_URL"] = endpoint
    token, expiry = eks_token("ml-cluster", "eu-west-1", env, NOW)
    url = url_of(token)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(endpoint or "https://sts.eu-west-1.amazonaws.com/")
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-Date"] == "20261123T233005Z"
    assert query.get("X-Amz-Security-Token") == session_token
    assert query["X-Amz-Signature"] == signed_by_the_sdk(url, session_token)
    assert timedelta(minutes=10) < expiry - NOW < timedelta(minutes=15)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in url


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "sts.us-east-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
    ],
)
def test_the_token_asks_the_region_of_the_cluster(region, host):
    token, _ = eks_token("c", region, KEYS, NOW)
    assert urlsplit(url_of(token)).netloc == host


def test_a_token_is_for_one_cluster():
    assert eks_token("a", "eu-west-1", KEYS, NOW) != eks_token("b", "eu-west-1", KEYS, NOW)


def test_without_keys_the_sdk_looks_and_finding_nothing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(MlstacksError, match="no AWS credentials") as caught:
        eks_token("c", "eu-west-1", {}, NOW)
    assert "AWS_PROFILE" in caught.value.remedy
    with pytest.raises(MlstacksError, match="nobody"):
        eks_token("c", "eu-west-1", {"AWS_PROFILE": "nobody"}, NOW)


def test_a_profile_is_used(monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text(
        "[team]\naws_access_key_id = AKIDTEAM\naws_secret_access_key = word\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    token, _ = eks_token("c", "eu-west-1", {"AWS_PROFILE": "team"}, NOW)
    assert "AKIDTEAM" in url_of(token)


def test_google_without_credentials_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(MlstacksError, match="no Google credentials"):
        token_for("gke", "c", "europe-west1", {}, NOW)


def test_an_unknown_kind_is_an_error():
    with pytest.raises(InputError, match="'aks'"):
        token_for("aks", "c", "", {}, NOW)


def test_the_plugin_prints_what_kubernetes_clients_read():
    made = exec_credential("word", NOW)
    assert made["apiVersion"] == "client.authentication.k8s.io/v1"
    assert made["kind"] == "ExecCredential"
    assert made["status"] == {"token": "word", "expirationTimestamp": "2026-11-23T23:30:05Z"}


def test_an_error_of_the_plugin_is_a_message_and_an_exit_code(capsys):
    assert main(["--kind", "aks", "--cluster", "c"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")


def test_the_plugin_runs_anywhere_with_the_environment_of_a_tool(tmp_path):
    done = subprocess.run(
        [*token_program(), "--kind", "eks", "--cluster", "c", "--region", "eu-west-1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=KEYS,
    )
    status = json.loads(done.stdout)["status"]
    assert status["token"].startswith("k8s-aws-v1.")
    assert datetime.fromisoformat(status["expirationTimestamp"]) > datetime.now(UTC)


def test_the_plugin_imports_nothing_heavy():
    """Helm starts it at every call."""
    script = (
        "import sys\n"
        "from mlstacks_dagster.engines.kube_token import main\n"
        "main(['--kind', 'eks', '--cluster', 'c', '--region', 'eu-west-1'])\n"
        "heavy = {'botocore', 'click', 'pydantic', 'yaml', 'google', 'kubernetes', 'dagster'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=KEYS
    )
    assert (done.returncode, done.stderr) == (0, "")
