"""What moto looks up is the same with the caches, and looked up once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("moto", reason="pip install 'mlstacks-dagster[sandbox]'")

import moto.backends
import moto.core.utils
from moto.ec2.models import EC2Backend
from moto.ec2.models.core import TaggedEC2Resource
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from mlstacks_dagster.sandbox.caching import _once_a_class, _once_each, keep_lookups


@pytest.fixture(autouse=True)
def _kept() -> None:
    keep_lookups()


@pytest.fixture
def ec2() -> EC2Backend:
    return EC2Backend("eu-west-1", "123456789012")


def test_a_things_tags_are_those_that_describing_them_gives(ec2: EC2Backend) -> None:
    vpc, other = ec2.create_vpc("10.0.0.0/16"), ec2.create_vpc("10.1.0.0/16")
    ec2.create_tags([vpc.id], {"team": "ml", "empty": ""})
    ec2.create_tags([other.id], {"team": "web"})
    assert vpc.get_tags() == ec2.describe_tags(filters={"resource-id": [vpc.id]})
    assert [tag["value"] for tag in other.get_tags()] == ["web"]
    assert vpc.get_filter_value("tag:team") == "ml"


def test_a_thing_without_tags_has_none_and_gets_none(ec2: EC2Backend) -> None:
    vpc = ec2.create_vpc("10.0.0.0/16")
    assert vpc.get_tags() == []
    assert vpc.id not in ec2.tags
    nameless: Any = SimpleNamespace(id=None, ec2_backend=ec2)
    assert TaggedEC2Resource.get_tags(nameless) == []


def test_threads_that_need_a_description_first_load_it_once() -> None:
    started, loads = threading.Event(), []

    def load(service: str, kind: str) -> object:
        loads.append((service, kind))
        started.wait(0.05)
        return object()

    once = _once_each(load)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: once("eks", "service-2"), range(8)))
    assert len(set(map(id, found))) == 1
    assert loads == [("eks", "service-2")]
    assert once("eks", "paginators-1") is not found[0]


def test_a_description_that_cannot_be_loaded_is_asked_for_again() -> None:
    answers = iter([OSError("disk"), {"metadata": {}}])

    def load(_service: str, _kind: str) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    once = _once_each(load)
    with pytest.raises(OSError, match="disk"):
        once("eks", "service-2")
    assert once("eks", "service-2") == {"metadata": {}}


def test_a_class_is_read_once_until_it_is_given_more() -> None:
    class Answers:
        def list_one(self) -> None: ...

    class Own(Answers):
        def list_two(self) -> None: ...

    read: list[type] = []

    def names_of(of: type) -> list[str]:
        read.append(of)
        return [name for name in dir(of) if name.startswith("list_")]

    names = _once_a_class(names_of)
    assert names(Own) == names(Own) == ["list_one", "list_two"]
    assert read == [Own]
    given_more: Any = Answers
    given_more.list_three = lambda _self: None
    assert names(Own) == ["list_one", "list_three", "list_two"]
    assert names(Answers) == ["list_one", "list_three"]


def test_services_are_found_as_before() -> None:
    known = list(moto.backends.list_of_moto_modules())
    assert {"ec2", "eks", "iam", "s3", "sagemaker"} <= set(known)
    assert known == sorted(known)
    dispatcher = DomainDispatcherApplication(create_backend_app)
    assert dispatcher.get_backend_for_host("sts") == "sts"
    assert dispatcher.get_backend_for_host("nothing") is None
    assert dispatcher.get_backend_for_host("eks.eu-west-1.amazonaws.com") == "eks"


def test_a_second_call_changes_nothing() -> None:
    before = moto.core.utils._load_service_model, TaggedEC2Resource.get_tags
    keep_lookups()
    assert (moto.core.utils._load_service_model, TaggedEC2Resource.get_tags) == before
