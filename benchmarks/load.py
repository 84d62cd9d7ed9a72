"""Time and memory to load the code location, against plain ``@asset`` definitions.

For 1, 20 and 200 stacks of 8 units: a fresh process reads the stack files and builds the
definitions; another one builds as many plain assets with the same edges. Both resolve their
repository, as Dagster does when it loads a code location. ``--json`` prints one line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1, 20, 200)
ROUNDS = 3
COMPONENTS = (
    ("artifact_store", "s3"),
    ("container_registry", "aws"),
    ("orchestrator", "kubernetes"),
    ("step_operator", "sagemaker"),
    ("experiment_tracker", "bench"),
    ("model_deployer", "bench"),
)
UNITS = 8


def write_catalog(root: Path) -> None:
    """Write two flavors without resources, so that a stack has eight units."""
    for kind in ("experiment_tracker", "model_deployer"):
        folder = root / f"{kind}_bench"
        folder.mkdir(parents=True)
        (folder / "unit.yaml").write_text(
            f"name: {kind}_bench\ntitle: Bench\ndescription: For the benchmark.\n"
            f"provider: aws\nengine: terraform\ncomponent: {{type: {kind}, flavor: bench}}\n"
        )
        names = (("name", "string"), ("install", "string"), ("region", "string"))
        text = "".join(f'variable "{n}" {{\n  type = {t}\n}}\n' for n, t in names)
        (folder / "variables.tf").write_text(text + 'variable "tags" {\n  type = map(string)\n}\n')
        (folder / "README.md").write_text(f"# {kind}_bench\n")


def write_stacks(root: Path, count: int) -> None:
    """Write ``count`` stacks that share their component files."""
    (root / "parts").mkdir(parents=True)
    for kind, flavor in COMPONENTS:
        (root / "parts" / f"{kind}.yaml").write_text(
            f"spec_version: 1\nspec_type: component\ncomponent_type: {kind}\n"
            f"component_flavor: {flavor}\nname: {kind}\nprovider: aws\n"
        )
    files = "".join(f"  - parts/{kind}.yaml\n" for kind, _ in COMPONENTS)
    for number in range(count):
        (root / f"stack{number}.yaml").write_text(
            f"spec_version: 1\nspec_type: stack\nname: stack{number}\nprovider: aws\n"
            f"default_region: eu-north-1\ncomponents:\n{files}"
        )


def load_ours() -> int:
    """Build our definitions from the stacks folder; return the number of assets."""
    from mlstacks_dagster.defs.build import build_defs
    from mlstacks_dagster.defs.site import Site
    from mlstacks_dagster.lifecycle.api import read_stacks

    site = Site.load()
    defs = build_defs(read_stacks(site.settings), site)
    defs.get_repository_def().get_all_jobs()
    return len(list(defs.resolve_asset_graph().get_all_asset_keys()))


def load_plain(assets: int) -> int:
    """Build as many plain assets in chains of eight; return their number."""
    import dagster as dg

    def make(number: int) -> dg.AssetsDefinition:
        deps = [] if number % UNITS == 0 else [f"asset{number - 1}"]

        @dg.asset(name=f"asset{number}", deps=deps, group_name=f"group{number // UNITS}")
        def plain() -> None:
            return None

        return plain

    defs = dg.Definitions(
        assets=[make(number) for number in range(assets)],
        jobs=[dg.define_asset_job("everything")],
    )
    defs.get_repository_def().get_all_jobs()
    return len(list(defs.resolve_asset_graph().get_all_asset_keys()))


def child(what: str, assets: int) -> None:
    """Load once and print seconds, peak memory in MiB and the number of assets."""
    began = time.perf_counter()
    count = load_ours() if what == "ours" else load_plain(assets)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mib": peak, "assets": count}))


def measure(what: str, env: dict[str, str], assets: int = 0) -> dict[str, float]:
    """Return the medians of some fresh processes."""
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, __file__, "--child", what, "--assets", str(assets)],
                env=env,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for _ in range(ROUNDS)
    ]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=("ours", "plain"))
    parser.add_argument("--assets", type=int, default=0)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.assets)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_catalog(root / "catalog")
        for size in SIZES:
            write_stacks(root / str(size), size)
            env = {
                **os.environ,
                "MLSTACKS_HOME": str(root / f"home{size}"),
                "MLSTACKS_STACKS_DIR": str(root / str(size)),
                "MLSTACKS_CATALOG_PATH": str(root / "catalog"),
            }
            ours = measure("ours", env)
            plain = measure("plain", env, int(ours["assets"]))
            rows.append(
                {
                    "stacks": size,
                    "assets": int(ours["assets"]),
                    "seconds": round(ours["seconds"], 2),
                    "plain_seconds": round(plain["seconds"], 2),
                    "time_ratio": round(ours["seconds"] / plain["seconds"], 2),
                    "mib": round(ours["mib"]),
                    "plain_mib": round(plain["mib"]),
                    "memory_ratio": round(ours["mib"] / plain["mib"], 2),
                }
            )
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
