"""Deletes: preconditions, finalizers, garbage collection, and the ends of namespaces and CRDs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .context import Context, owner_uids
from .errors import conflict, forbidden, not_found
from .objects import Key, Obj, condition, get, key_of
from .resources import Resource
from .store import Collection

__all__ = ["Collector", "DeleteOptions"]

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_NAMESPACES = ("", "namespaces")
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
_KEPT_NAMESPACES = ("default", "kube-system", "kube-public")
_COLLECT_SECONDS = 0.02


@dataclass(frozen=True)
class DeleteOptions:
    """How to delete; ``policy`` is ``Background``, ``Foreground`` or ``Orphan``."""

    policy: str = "Background"
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False

    @classmethod
    def parse(cls, body: dict[str, Any] | None, query: dict[str, str]) -> DeleteOptions:
        """Read the options from a request's body, its query coming second."""
        body = body or {}
        policy = body.get("propagationPolicy") or query.get("propagationPolicy")
        if body.get("orphanDependents") is not None and not policy:
            policy = "Orphan" if body["orphanDependents"] else "Background"
        conditions = body.get("preconditions") or {}
        return cls(
            policy=policy or "Background",
            uid=conditions.get("uid"),
            resource_version=conditions.get("resourceVersion"),
            dry_run=bool(body.get("dryRun") or query.get("dryRun")),
        )


class Collector:
    """Removes objects of one cluster, and what depends on them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def delete(self, resource: Resource, key: Key, options: DeleteOptions | None = None) -> Obj:
        """Delete an object, or begin to; return what it looks like then.

        It is gone when :meth:`Store.get` says so. Raises :class:`ApiError`.
        """
        options = options or DeleteOptions()
        obj = self._store.get(resource.key, key)
        if obj is None:
            raise not_found(resource.group, resource.plural, key[1])
        self._check(resource, obj, options)
        if options.dry_run:
            return obj
        if options.policy == "Orphan":
            self._orphan(obj)
        obj = self._mark(resource, obj, foreground=options.policy == "Foreground")
        if resource.key == _NAMESPACES:
            self._context.later(_COLLECT_SECONDS, lambda: self._empty_namespace(key[1]))
        elif resource.key == _CRDS:
            self._delete_instances(obj)
        elif _FOREGROUND in (obj["metadata"].get("finalizers") or ()):
            self._delete_dependents(obj)
        return self.after_write(resource, obj)

    def after_write(self, resource: Resource, obj: Obj) -> Obj:
        """Remove an object that is being deleted once nothing holds it; return it."""
        metadata = obj["metadata"]
        if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
            return obj
        if self._is_held(resource, obj):
            return obj
        self._remove(resource.key, obj)
        return obj

    def _check(self, resource: Resource, obj: Obj, options: DeleteOptions) -> None:
        name = obj["metadata"]["name"]
        if options.uid and options.uid != obj["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {options.uid}"
            raise conflict(resource.group, resource.plural, name, why)
        version = options.resource_version
        if version and version != obj["metadata"]["resourceVersion"]:
            why = f"Precondition failed: ResourceVersion in precondition: {version}"
            raise conflict(resource.group, resource.plural, name, why)
        if resource.key == _NAMESPACES and name in _KEPT_NAMESPACES:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")

    def _mark(self, resource: Resource, obj: Obj, *, foreground: bool) -> Obj:
        """Note that an object is being deleted, where it isn't gone at once."""
        metadata = dict(obj["metadata"])
        finalizers = list(metadata.get("finalizers") or ())
        if foreground and _FOREGROUND not in finalizers and self._blocking(obj):
            finalizers.append(_FOREGROUND)
        metadata["finalizers"] = finalizers
        if not finalizers:
            del metadata["finalizers"]
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = self._context.now()
            metadata["deletionGracePeriodSeconds"] = 0
        marked = {**obj, "metadata": metadata}
        if resource.key == _NAMESPACES:
            marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        if not finalizers and not self._is_held(resource, marked):
            return marked
        return self._store.put(resource.key, marked) if marked != obj else obj

    def _is_held(self, resource: Resource, obj: Obj) -> bool:
        """Say whether an object being deleted waits for its contents to go."""
        if resource.key == _NAMESPACES:
            return bool((obj.get("spec") or {}).get("finalizers"))
        return resource.key == _CRDS and bool(self._instances(obj))

    def _remove(self, collection: Collection, obj: Obj) -> None:
        removed = self._store.remove(collection, key_of(obj))
        if removed is None:
            return
        if collection == _CRDS:
            self._context.table.forget(removed)
        self._context.later(_COLLECT_SECONDS, lambda: self._after_removal(removed))

    def _after_removal(self, obj: Obj) -> None:
        """Collect dependents, and let go what waited for this object."""
        self._collect(obj["metadata"]["uid"])
        for collection, owner in list(self._store.everything()):
            if owner["metadata"]["uid"] in owner_uids(obj):
                self._let_go_foreground(collection, owner)
        namespace = obj["metadata"].get("namespace")
        if namespace:
            self._finish_namespace(namespace)
        self._finish_crd(obj)

    def _collect(self, uid: str) -> None:
        for collection, obj in self._context.dependents(uid):
            if self._store.get(collection, key_of(obj)) is not obj:
                continue
            owners = obj["metadata"]["ownerReferences"]
            living = [ref for ref in owners if self._lives(ref["uid"])]
            if living:
                metadata = {**obj["metadata"], "ownerReferences": living}
                self._store.put(collection, {**obj, "metadata": metadata})
            else:
                self.delete(self._context.resource(collection), key_of(obj))

    def _lives(self, uid: str) -> bool:
        return any(obj["metadata"]["uid"] == uid for _, obj in self._store.everything())

    def _blocking(self, owner: Obj) -> list[tuple[Collection, Obj]]:
        uid = owner["metadata"]["uid"]
        return [
            (collection, obj)
            for collection, obj in self._context.dependents(uid)
            if any(
                ref["uid"] == uid and ref.get("blockOwnerDeletion")
                for ref in obj["metadata"]["ownerReferences"]
            )
        ]

    def _delete_dependents(self, owner: Obj) -> None:
        options = DeleteOptions(policy="Foreground")
        for collection, obj in self._context.dependents(owner["metadata"]["uid"]):
            if "deletionTimestamp" not in obj["metadata"]:
                self.delete(self._context.resource(collection), key_of(obj), options)

    def _let_go_foreground(self, collection: Collection, owner: Obj) -> None:
        finalizers = owner["metadata"].get("finalizers") or []
        if _FOREGROUND not in finalizers or self._blocking(owner):
            return
        left = [name for name in finalizers if name != _FOREGROUND]
        metadata = {**owner["metadata"], "finalizers": left}
        stored = self._store.put(collection, {**owner, "metadata": metadata})
        self.after_write(self._context.resource(collection), stored)

    def _orphan(self, owner: Obj) -> None:
        uid = owner["metadata"]["uid"]
        for collection, obj in self._context.dependents(uid):
            kept = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
            metadata = {**obj["metadata"], "ownerReferences": kept}
            self._store.put(collection, {**obj, "metadata": metadata})

    def _contents(self, namespace: str) -> list[tuple[Collection, Obj]]:
        return [
            (collection, obj)
            for collection, obj in self._store.everything()
            if obj["metadata"].get("namespace") == namespace
        ]

    def _empty_namespace(self, name: str) -> None:
        for collection, obj in self._contents(name):
            if self._store.get(collection, key_of(obj)) is not None:
                self.delete(self._context.resource(collection), key_of(obj))
        self._finish_namespace(name)

    def _finish_namespace(self, name: str) -> None:
        found = self._store.get(_NAMESPACES, (None, name))
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        left = self._contents(name)
        if left:
            self._say_what_remains(found, left)
            return
        emptied = {**found, "spec": {**(found.get("spec") or {}), "finalizers": []}}
        stored = self._store.put(_NAMESPACES, emptied)
        self.after_write(self._context.resource(_NAMESPACES), stored)

    def _say_what_remains(self, namespace: Obj, left: list[tuple[Collection, Obj]]) -> None:
        now = self._context.now()
        held = sorted({f for _, obj in left for f in obj["metadata"].get("finalizers") or ()})
        kinds = sorted({f"{plural}.{group}".rstrip(".") for (group, plural), _ in left})
        conditions = [
            condition(
                "NamespaceContentRemaining", True, "SomeResourcesRemain",
                f"Some resources are remaining: {', '.join(kinds)}", now=now,
            ),
            condition(
                "NamespaceFinalizersRemaining", bool(held), "SomeFinalizersRemain",
                f"Some content has finalizers remaining: {', '.join(held)}", now=now,
            ),
        ]  # fmt: skip
        texts = [c["message"] for c in get(namespace, "status", "conditions") or ()]
        if texts != [c["message"] for c in conditions]:
            status = {**(namespace.get("status") or {}), "conditions": conditions}
            self._store.put(_NAMESPACES, {**namespace, "status": status})

    def _instances(self, crd: Obj) -> list[Obj]:
        return self._store.all((crd["spec"]["group"], crd["spec"]["names"]["plural"]))

    def _delete_instances(self, crd: Obj) -> None:
        collection = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        for obj in self._instances(crd):
            resource = self._context.table.of_key(collection)
            if resource is not None:
                self.delete(resource, key_of(obj))

    def _finish_crd(self, instance: Obj) -> None:
        for crd in self._store.all(_CRDS):
            names = crd["spec"]["names"]
            if "deletionTimestamp" in crd["metadata"] and names["kind"] == instance.get("kind"):
                self.after_write(self._context.resource(_CRDS), crd)
