"""The emulator as a server: TLS, tokens, faults, watches over the wire, and its end."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mlstacks_dagster.sandbox.kube as package
from mlstacks_dagster.sandbox.kube import Fault, KubeEmulator, Options
from tests.unit.sandbox.kube.api import Obj, config_map

MAPS = "/api/v1/namespaces/default/configmaps"


class Client:
    """A client of one emulator that trusts nobody else."""

    def __init__(
        self, kube: KubeEmulator, token: str | None = None, ca: bytes | None = None
    ) -> None:
        self._address = kube.endpoint.removeprefix("https://")
        self._token = kube.token if token is None else token
        self._tls = ssl.create_default_context(cadata=(kube.ca if ca is None else ca).decode())

    def open(self, method: str, url: str, body: Any = None, **headers: str) -> Any:
        connection = http.client.HTTPSConnection(self._address, context=self._tls, timeout=30)
        given = {"Authorization": f"Bearer {self._token}", **headers}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, url, raw, given)
        return connection.getresponse()

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> tuple[int, Obj]:
        response = self.open(method, url, body, **headers)
        return response.status, json.loads(response.read())


@pytest.fixture
def kube() -> Iterator[KubeEmulator]:
    with KubeEmulator() as emulator:
        yield emulator


def test_the_package_loads_its_names_when_asked() -> None:
    assert package.Options is Options
    with pytest.raises(AttributeError, match="Nonsense"):
        package.Nonsense  # noqa: B018


def test_it_serves_over_tls_with_its_own_authority(kube: KubeEmulator) -> None:
    code, version = Client(kube).send("GET", "/version")
    assert (code, version["gitVersion"]) == (200, "v1.34.0")


def test_two_emulators_dont_trust_each_other(kube: KubeEmulator) -> None:
    with KubeEmulator() as other, pytest.raises(ssl.SSLCertVerificationError):
        Client(kube, ca=other.ca).send("GET", "/version")


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_token_nothing_is_said(kube: KubeEmulator, token: str) -> None:
    code, status = Client(kube, token=token).send("GET", "/api/v1/namespaces")
    assert (code, status["kind"], status["reason"]) == (401, "Status", "Unauthorized")


def test_a_web_page_is_turned_away(kube: KubeEmulator) -> None:
    code, status = Client(kube).send("GET", "/version", Origin="https://example.org")
    assert (code, status["reason"]) == (403, "Forbidden")


def test_the_kubeconfig_is_private_and_complete(kube: KubeEmulator, tmp_path: Path) -> None:
    path = tmp_path / "config"
    context = kube.kubeconfig(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["current-context"] == context == "emulated"
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == kube.endpoint
    assert base64.b64decode(cluster["certificate-authority-data"]) == kube.ca
    assert document["users"][0]["user"] == {"token": kube.token}


def test_without_tls_there_is_no_authority() -> None:
    with KubeEmulator(tls=False) as kube:
        assert kube.endpoint.startswith("http://127.0.0.1:")
        assert kube.ca == b""


def test_objects_can_be_looked_at_from_outside(kube: KubeEmulator) -> None:
    Client(kube).send("POST", MAPS, config_map("a"))
    assert "a" in [o["metadata"]["name"] for o in kube.objects("configmaps", namespace="default")]
    assert ("configmaps", "default", "a") in kube.everything()
    assert ("storageclasses.storage.k8s.io", None, "local-path") in kube.everything()


def test_a_watch_gets_what_happens_as_it_happens(kube: KubeEmulator) -> None:
    client = Client(kube)
    stream = client.open("GET", f"{MAPS}?watch=1&fieldSelector=metadata.name%3Da")
    threading.Timer(0.05, lambda: client.send("POST", MAPS, config_map("a"))).start()
    event = json.loads(stream.readline())
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")


def test_a_watch_of_nonsense_is_refused(kube: KubeEmulator) -> None:
    code, status = Client(kube).send("GET", f"{MAPS}?watch=1&labelSelector=a%20b")
    assert (code, status["reason"]) == (400, "BadRequest")


def test_its_end_cuts_watches() -> None:
    with KubeEmulator() as kube:
        stream = Client(kube).open("GET", f"{MAPS}?watch=1&resourceVersion=100000")
    # Cut in the middle is an end as well.
    with suppress(OSError, http.client.HTTPException):
        assert stream.read() == b""


def test_what_is_too_large_is_refused(kube: KubeEmulator) -> None:
    code, status = Client(kube).send("POST", MAPS, b"x" * (3 * 1024 * 1024 + 1))
    assert (code, status["reason"]) == (413, "RequestEntityTooLarge")


class TestFaults:
    def test_requests_fail_as_told(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        hits = kube.inject(Fault(status=429, retry_after_seconds=7, times=2))
        for _ in range(2):
            response = client.open("GET", MAPS)
            status = json.loads(response.read())
            assert (response.status, status["reason"]) == (429, "TooManyRequests")
            assert response.headers["Retry-After"] == "7"
            assert status["details"] == {"retryAfterSeconds": 7}
        assert client.send("GET", MAPS)[0] == 200
        assert hits() == 2

    def test_only_some_requests_fail(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        kube.inject(Fault(status=500, methods=("POST",), path="configmaps$", times=None))
        assert client.send("GET", MAPS)[0] == 200
        assert client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})[0] == 201
        for _ in range(3):
            assert client.send("POST", MAPS, config_map())[0] == 500
        kube.clear_faults()
        assert client.send("POST", MAPS, config_map())[0] == 201

    def test_the_first_ones_go_well(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        kube.inject(Fault(status=409, skip=1))
        assert [client.send("GET", MAPS)[0] for _ in range(3)] == [200, 409, 200]

    def test_a_request_takes_effect_and_fails(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        kube.inject(Fault(status=500, methods=("POST",), after=True))
        assert client.send("POST", MAPS, config_map("a"))[0] == 500
        assert client.send("GET", f"{MAPS}/a")[0] == 200

    def test_a_connection_is_cut(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        kube.inject(Fault(reset=True))
        with pytest.raises((OSError, http.client.HTTPException)):
            client.send("GET", MAPS)
        assert client.send("GET", MAPS)[0] == 200

    def test_an_answer_is_late(self, kube: KubeEmulator) -> None:
        client = Client(kube)
        hits = kube.inject(Fault(status=0, delay_seconds=0.05))
        assert client.send("GET", MAPS)[0] == 200
        assert hits() == 1

    def test_a_fault_that_isnt_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="statuss"):
            Fault.model_validate({"statuss": 500})


def test_a_defect_of_the_emulator_is_an_answer_too(
    kube: KubeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(kube._cluster.handler, "serve", fail)
    code, status = Client(kube).send("GET", MAPS)
    assert (code, status["reason"]) == (500, "InternalError")
    assert "a defect" in status["message"]


def test_a_controller_that_fails_doesnt_stop_the_others(
    kube: KubeEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a defect")

    done = threading.Event()
    kube._server.call(lambda: kube._server.scheduler.later(0, fail))
    kube._server.call(lambda: kube._server.scheduler.later(0, done.set))
    assert done.wait(10)
    assert "a controller of the emulated Kubernetes failed" in caplog.text
