"""The write path: create, replace and apply, with everything that the API checks on the way."""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass
from typing import Any

from .admission import admit, check_applied, check_unchanged
from .collector import Collector
from .context import Context
from .errors import already_exists, bad_request, conflict, forbidden, invalid, not_found
from .managed_fields import APPLY, UPDATE, Manager, apply_fields, update_owners
from .objects import Key, Obj, is_going, key_of, same_content
from .resources import Resource

__all__ = ["WriteOptions", "Writer"]

_KEPT = (
    "uid",
    "creationTimestamp",
    "generation",
    "name",
    "namespace",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_CONTROLLER = "kube-controller-manager"


@dataclass(frozen=True)
class WriteOptions:
    """What a request says about how it wants to write.

    ``validation`` is ``Strict``, ``Warn`` or ``Ignore``.
    """

    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False


_INTERNAL = WriteOptions(manager=_CONTROLLER, validation="Ignore")


class Writer:
    """Writes objects of one cluster."""

    def __init__(self, context: Context, collector: Collector) -> None:
        self._context = context
        self._collector = collector

    def create(
        self, resource: Resource, namespace: str | None, given: Obj, options: WriteOptions
    ) -> Obj:
        """Create an object and return it; raises :class:`ApiError`."""
        obj = copy.deepcopy(given)
        obj["metadata"].pop("managedFields", None)
        if obj["metadata"].get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        self._name(resource, namespace, obj)
        self._admit_new(resource, obj, options.validation)
        manager = Manager(options.manager, UPDATE, resource.api_version)
        node = self._context.schemas.root(resource)
        owners = update_owners(None, obj, node, manager, self._context.now())
        obj["metadata"]["managedFields"] = owners
        return self._store_new(resource, obj, options)

    def apply(
        self,
        resource: Resource,
        key: Key,
        config: Obj,
        options: WriteOptions,
        subresource: str = "",
    ) -> tuple[Obj, bool]:
        """Apply a configuration; return the object and whether it was created."""
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        live = self._context.store.get(resource.key, key)
        node = self._context.schemas.root(resource)
        now = self._context.now()
        manager = Manager(options.manager, APPLY, resource.api_version, subresource)
        check_applied(resource, config, self._context.schemas)
        if live is None:
            obj = apply_fields(None, config, node, manager, now, force=options.force)
            obj["metadata"].pop("resourceVersion", None)
            self._name(resource, key[0], obj)
            self._admit_new(resource, obj, options.validation)
            return self._store_new(resource, obj, options), True
        current = self._in_version(resource, live)
        obj = apply_fields(current, config, node, manager, now, force=options.force)
        return self._replace(resource, live, obj, options, subresource, applied=True), False

    def update(
        self, resource: Resource, key: Key, given: Obj, options: WriteOptions, subresource: str = ""
    ) -> Obj:
        """Replace an object, or its status, and return it; raises :class:`ApiError`."""
        old = self._context.store.get(resource.key, key)
        if old is None:
            raise not_found(resource.group, resource.plural, key[1])
        return self._replace(resource, old, copy.deepcopy(given), options, subresource)

    def set_status(self, resource: Resource, obj: Obj, status: dict[str, Any]) -> Obj:
        """Write a status as the cluster's own controllers do."""
        changed = {**obj, "status": status}
        changed["metadata"] = {**obj["metadata"], "resourceVersion": ""}
        return self.update(resource, key_of(obj), changed, _INTERNAL, "status")

    def put_internal(self, resource: Resource, obj: Obj) -> Obj:
        """Create or replace an object as the cluster's own controllers do, status included."""
        key = key_of(obj)
        old = self._context.store.get(resource.key, key)
        if old is None:
            created = self.create(resource, key[0], obj, _INTERNAL)
        else:
            plain = copy.deepcopy(obj)
            plain["metadata"]["resourceVersion"] = ""
            created = self.update(resource, key, plain, _INTERNAL)
        if resource.has_status and "status" in obj and created.get("status") != obj["status"]:
            created = self.set_status(resource, created, obj["status"])
        return created

    def _name(self, resource: Resource, namespace: str | None, obj: Obj) -> None:
        metadata = obj["metadata"]
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                problem = ("metadata.name", "Required value: name or generateName is required")
                raise invalid(resource.kind, "", [problem])
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        if resource.namespaced:
            metadata["namespace"] = namespace
            self._check_namespace(resource, str(namespace), metadata["name"])
        else:
            metadata.pop("namespace", None)
        present = self._context.store.get(resource.key, key_of(obj))
        if present is not None:
            name = metadata["name"]
            raise already_exists(resource.group, resource.plural, name, is_going(present))

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self._context.store.get(("", "namespaces"), (None, namespace))
        if found is None:
            raise not_found("", "namespaces", namespace)
        if "deletionTimestamp" in found["metadata"]:
            why = (
                f"unable to create new content in namespace {namespace} "
                "because it is being terminated"
            )
            raise forbidden(resource.group, resource.plural, name, why)

    def _admit_new(self, resource: Resource, obj: Obj, validation: str) -> None:
        metadata = obj["metadata"]
        for name in (
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ):
            metadata.pop(name, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = self._context.now()
        metadata["generation"] = 1
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        if resource.has_status:
            obj.pop("status", None)
        for admitter in self._context.admitters:
            admitter(resource, obj)
        admit(resource, obj, self._context.schemas, validation)

    def _store_new(self, resource: Resource, obj: Obj, options: WriteOptions) -> Obj:
        if options.dry_run:
            return obj
        if resource.plural == "customresourcedefinitions":
            self._context.table.serve(obj)
        return self._context.store.put(resource.key, obj)

    def _in_version(self, resource: Resource, live: Obj) -> Obj:
        return {**live, "apiVersion": resource.api_version, "kind": resource.kind}

    def _replace(
        self,
        resource: Resource,
        old: Obj,
        new: Obj,
        options: WriteOptions,
        subresource: str,
        applied: bool = False,
    ) -> Obj:
        self._check_identity(resource, old, new)
        new = self._with_kept_parts(resource, old, new, subresource)
        if subresource != "status":
            admit(resource, new, self._context.schemas, options.validation)
            check_unchanged(resource, old, new)
        if not applied:
            self._update_owners(resource, old, new, options, subresource)
        if same_content(old, new) and old["metadata"].get("managedFields") == new["metadata"].get(
            "managedFields"
        ):
            return old
        if _without_status(old) != _without_status(new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if options.dry_run:
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            return new
        if resource.plural == "customresourcedefinitions":
            self._context.table.serve(new)
        stored = self._context.store.put(resource.key, new)
        return self._collector.after_write(resource, stored)

    def _check_identity(self, resource: Resource, old: Obj, new: Obj) -> None:
        name = old["metadata"]["name"]
        given = new["metadata"]
        version = given.get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            why = (
                "the object has been modified; please apply your changes to the latest version "
                "and try again"
            )
            raise conflict(resource.group, resource.plural, name, why)
        if given.get("uid") and given["uid"] != old["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {given['uid']}"
            raise conflict(resource.group, resource.plural, name, why)

    def _with_kept_parts(self, resource: Resource, old: Obj, new: Obj, subresource: str) -> Obj:
        if subresource == "status":
            managed = new["metadata"].get("managedFields", old["metadata"].get("managedFields"))
            metadata = {**old["metadata"], "managedFields": managed}
            return {**old, "metadata": metadata, "status": new.get("status")}
        if resource.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        for name in _KEPT:
            new["metadata"].pop(name, None)
            if name in old["metadata"]:
                new["metadata"][name] = old["metadata"][name]
        new["metadata"].setdefault("managedFields", old["metadata"].get("managedFields"))
        new["metadata"].pop("resourceVersion", None)
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        return new

    def _update_owners(
        self, resource: Resource, old: Obj, new: Obj, options: WriteOptions, subresource: str
    ) -> None:
        manager = Manager(options.manager, UPDATE, resource.api_version, subresource)
        node = self._context.schemas.root(resource)
        now = self._context.now()
        new["metadata"] = {
            **new["metadata"],
            "managedFields": update_owners(old, new, node, manager, now),
        }


def _without_status(obj: Obj) -> Obj:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status")}
