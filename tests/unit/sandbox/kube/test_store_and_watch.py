"""Revisions, the bounded log of changes, and what a watch sees of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.calls import Request
from mlstacks_dagster.sandbox.kube.context import Options
from mlstacks_dagster.sandbox.kube.errors import ApiError
from mlstacks_dagster.sandbox.kube.store import ADDED, DELETED, MODIFIED, Store
from mlstacks_dagster.sandbox.kube.watch import Watch
from tests.unit.sandbox.kube.api import CORE, CRDS, MERGE, Api, Obj, config_map, crd

MAPS = f"{CORE}/configmaps"
CM = ("", "configmaps")


def _obj(name: str, **more: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, **more}


def test_each_change_has_a_revision_of_its_own() -> None:
    store = Store()
    start = store.revision
    one = store.put(CM, _obj("a"))
    two = store.put(CM, _obj("a", x=1))
    store.remove(CM, ("default", "a"))
    assert [int(o["metadata"]["resourceVersion"]) - start for o in (one, two)] == [1, 2]
    assert store.revision == start + 3
    kinds = [(event.kind, event.revision - start) for event in store.events_after(start)]
    assert kinds == [(ADDED, 1), (MODIFIED, 2), (DELETED, 3)]


def test_what_was_read_stays_as_it_was() -> None:
    store = Store()
    one = store.put(CM, _obj("a", x=1))
    store.put(CM, _obj("a", x=2))
    assert one["x"] == 1
    assert store.events_after(0 + store.revision - 2)[0].obj["x"] == 1


def test_a_list_is_in_order() -> None:
    store = Store()
    for name in ("c", "a", "b"):
        store.put(CM, _obj(name))
    assert [o["metadata"]["name"] for o in store.all(CM)] == ["a", "b", "c"]


def test_the_log_forgets_what_is_too_old() -> None:
    store = Store(events_kept=3)
    start = store.revision
    for number in range(4):
        store.put(CM, _obj("a", x=number))
    assert len(store.events_after(start + 1)) == 3
    with pytest.raises(ApiError, match="too old resource version") as caught:
        store.events_after(start)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_removing_what_isnt_there_is_no_change() -> None:
    store = Store()
    before = store.revision
    assert store.remove(CM, ("default", "a")) is None
    assert store.revision == before


class Watcher:
    """A watch with what it has seen so far."""

    def __init__(self, api: Api, url: str, query: dict[str, str]) -> None:
        request = Request("GET", url, {"watch": "1", **query}, {})
        call = api.cluster.handler.find(request)
        assert call is not None
        self.watch = Watch(call, api.cluster.store)


def _seen(
    api: Api, url: str = MAPS, act: Callable[[], None] | None = None, **query: str
) -> list[Obj]:
    """Watch until nothing more happens after ``act``; return the lines."""

    async def run() -> list[Obj]:
        watcher = Watcher(api, url, query)
        lines: list[Obj] = []
        acted = False

        def is_open() -> bool:
            nonlocal acted
            if acted:
                return False
            acted = True
            if act is not None:
                act()
            return True

        async def read() -> None:
            async for line in watcher.watch.lines(is_open):
                lines.append(json.loads(line))

        # The last wait of a watch ends with any change, so there is one.
        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        api.cluster.store.put(("", "leases"), _obj("end"))
        await task
        return lines

    return asyncio.run(run())


def _kinds(lines: list[Obj]) -> list[tuple[str, str]]:
    return [(line["type"], line["object"]["metadata"].get("name", "")) for line in lines]


def _only(lines: list[Obj], *names: str) -> list[tuple[str, str]]:
    return [kind for kind in _kinds(lines) if kind[1] in names]


def test_a_watch_without_a_revision_begins_with_what_is_there(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    assert _only(_seen(api), "a") == [("ADDED", "a")]


def test_a_watch_sees_what_happens(api: Api) -> None:
    def act() -> None:
        api.post(MAPS, config_map("a"))
        api.patch(f"{MAPS}/a", {"data": {"x": "y"}}, MERGE)
        api.delete(f"{MAPS}/a")

    lines = _seen(api, act=act)
    assert _only(lines, "a") == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    found = [line["object"] for line in lines if line["object"]["metadata"].get("name") == "a"]
    revisions = [int(obj["metadata"]["resourceVersion"]) for obj in found]
    assert revisions == sorted(set(revisions))
    assert found[0]["kind"] == "ConfigMap"


def test_a_watch_from_a_revision_sees_what_came_after(api: Api) -> None:
    revision = api.post(MAPS, config_map("a"))["metadata"]["resourceVersion"]
    api.post(MAPS, config_map("b"))
    assert _kinds(_seen(api, resourceVersion=revision)) == [("ADDED", "b")]


def test_a_watch_from_before_the_log_is_told_so() -> None:
    api = Api(options=Options(event_limit=2))
    lines = _seen(api, resourceVersion="1")
    assert [line["type"] for line in lines] == ["ERROR"]
    assert (lines[0]["object"]["code"], lines[0]["object"]["reason"]) == (410, "Expired")


def test_the_initial_events_end_with_a_bookmark(api: Api) -> None:
    api.post(MAPS, config_map("a"))
    lines = _seen(api, sendInitialEvents="true", resourceVersionMatch="NotOlderThan")
    assert _only(lines, "a") == [("ADDED", "a")]
    last = lines[-1]
    assert last["type"] == "BOOKMARK"
    assert last["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert last["object"]["metadata"]["resourceVersion"] == str(api.cluster.store.revision - 1)
    assert last["object"]["kind"] == "ConfigMap"


def test_a_watch_is_of_one_namespace_and_one_kind(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "other"}})

    def act() -> None:
        api.post("/api/v1/namespaces/other/configmaps", config_map("there"))
        api.post(f"{CORE}/secrets", {"metadata": {"name": "secret"}})
        api.post(MAPS, config_map("here"))

    assert _only(_seen(api, act=act), "there", "secret", "here") == [("ADDED", "here")]


def test_a_watch_of_one_object(api: Api) -> None:
    def act() -> None:
        api.post(MAPS, config_map("a"))
        api.post(MAPS, config_map("b"))

    assert _kinds(_seen(api, f"{MAPS}/b", act)) == [("ADDED", "b")]


def test_what_comes_to_match_is_added_and_what_no_longer_does_is_deleted(api: Api) -> None:
    api.post(MAPS, config_map("a"))

    def act() -> None:
        for label in ("red", "blue"):
            api.patch(f"{MAPS}/a", {"metadata": {"labels": {"color": label}}}, MERGE)

    lines = _seen(api, act=act, labelSelector="color=red")
    assert _kinds(lines) == [("ADDED", "a"), ("DELETED", "a")]


def test_a_watch_of_custom_resources(api: Api) -> None:
    api.post(CRDS, crd())
    url = "/apis/example.org/v1/namespaces/default/widgets"

    def act() -> None:
        api.post(url, {"metadata": {"name": "w"}})

    assert _kinds(_seen(api, url, act)) == [("ADDED", "w")]


def test_the_old_form_of_a_watch(api: Api) -> None:
    request = Request("GET", "/api/v1/watch/namespaces/default/configmaps")
    call = api.cluster.handler.find(request)
    assert call is not None
    assert call.watch
    assert (call.resource.plural, call.namespace) == ("configmaps", "default")


@pytest.mark.parametrize("query", [{"resourceVersion": "x"}, {"labelSelector": "a b"}])
def test_a_watch_of_nonsense_is_refused_before_it_begins(api: Api, query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        Watcher(api, MAPS, query)
    assert caught.value.code == 400


def test_a_watch_ends_when_its_time_is_over(api: Api) -> None:
    async def run() -> int:
        watcher = Watcher(api, MAPS, {"timeoutSeconds": "0.01", "resourceVersion": "100000"})
        return len([line async for line in watcher.watch.lines(lambda: True)])

    assert asyncio.run(run()) == 0
