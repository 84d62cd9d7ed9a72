"""Calls, time and memory of a sweep of 17 AWS regions, empty and with 10,000 things in them.

The account is the emulator in another process, which answers each call 80 ms late; the sweep
runs in a process of its own. Counted are all calls and all time from the first question to the
finished plan, with the loading of the AWS library. ``--json`` prints one line.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlstacks_dagster.sweep.inventory.model import Item

LATENCY_SECONDS = 0.08
SIZES = (0, 10_000)
PLAN_ITEMS = 1_000
STACK = "sabcdefgh2345"
MARKS = {"mlstacks-install": "bench", "mlstacks-stack": STACK}
REGIONS = (
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1"),
    *("ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)


def serve(size: int) -> None:
    """Emulate an account with ``size`` leftovers until stdin ends; print the endpoint."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    from mlstacks_dagster.sandbox.caching import keep_lookups
    from mlstacks_dagster.sandbox.corrections import correct
    from mlstacks_dagster.sandbox.ec2_rules import enforce

    keep_lookups()
    correct()
    enforce()
    plant(size)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)

    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(LATENCY_SECONDS)
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, late, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def plant(size: int) -> None:
    """Make leftovers of one stack, spread over all regions, which hold each other."""
    from moto.ec2.models import ec2_backends

    made = 0
    for number, region in enumerate(REGIONS):
        share = size * (number + 1) // len(REGIONS) - made
        made += share
        if share:
            plant_region(ec2_backends["123456789012"][region], region, share)


def plant_region(ec2: Any, region: str, share: int) -> None:
    """Make a VPC, a subnet, an instance, and volumes, groups and interfaces.

    Each group names the one before it in its rules, each interface has two groups, and one
    volume of ten is attached to the instance.
    """
    vpc = ec2.create_vpc("10.0.0.0/16")
    subnet = ec2.create_subnet(vpc.id, "10.0.0.0/16", availability_zone=region + "a")
    image = ec2.describe_images()[0].id
    machine = {"instance_type": "t3.micro", "is_instance_type_default": True}
    machine |= {"region_name": region, "subnet_id": subnet.id, "tags": {"instance": MARKS}}
    instance = ec2.run_instances(image, 1, "", [], **machine).instances[0]
    ec2.create_tags([vpc.id, subnet.id], MARKS)
    groups: list[Any] = []
    for index in range(share - 3):
        if index % 3 == 0:
            thing = ec2.create_volume(size=1, zone_name=region + "a")
            if index % 30 == 0:
                ec2.attach_volume(thing.id, instance.id, f"/dev/xvd{index}")
        elif index % 3 == 1:
            thing = ec2.create_security_group(f"group{index}", "left over", vpc.id)
            if groups:
                named = [{"GroupId": groups[-1].id}]
                ec2.authorize_security_group_ingress(
                    thing.id, "tcp", "443", "443", [], source_groups=named, vpc_id=vpc.id
                )
            groups.append(thing)
        else:
            address = f"10.0.{index // 200 + 10}.{index % 200 + 10}"
            used = [group.id for group in groups[-2:]]
            thing = ec2.create_network_interface(subnet, address, group_ids=used)
        ec2.create_tags([thing.id], MARKS)


def sweep(endpoint: str) -> None:
    """Sweep once; print what it took."""
    began = time.perf_counter()
    from mlstacks_dagster.engines.wiring import Wiring
    from mlstacks_dagster.sweep.aws.connect import connect
    from mlstacks_dagster.sweep.inventory.plan import make_plan
    from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy, StackFact
    from mlstacks_dagster.sweep.inventory.verify import with_clusters

    wiring = Wiring(target="sandbox", endpoint_url=endpoint)
    cloud = connect(wiring, {}, home_region="us-east-1", regions=REGIONS)
    snapshot = cloud.snapshot()
    stack = StackFact(stack_id=STACK, name="gone", live=False, destroyed_at=1.0)
    knowledge = with_clusters(Knowledge(install="bench", stacks={STACK: stack}), cloud)
    policy = Policy(grace=0, data_grace=0, min_sweeps=1, include_data=True)
    now = time.time() + 60
    planning = time.perf_counter()
    plan = make_plan(snapshot, cloud.kinds, knowledge, policy, now)
    ended = time.perf_counter()
    # A thousand of one region: what holds each other is among them.
    some = sorted((entry.item for entry in plan.entries), key=lambda item: item.ref.region)
    some = some[:PLAN_ITEMS]
    small = snapshot.model_copy(update={"items": tuple(some)})
    again = time.perf_counter()
    of_small = make_plan(small, cloud.kinds, knowledge, policy, now)
    took = time.perf_counter() - again
    result = {
        "listed": len(snapshot.items),
        "planned": len(plan.entries),
        "unverified": len(snapshot.unverified),
        "calls": cloud.calls + 2,  # whose account, and its alias
        "seconds": round(ended - began, 2),
        "plan_seconds": round(ended - planning, 2),
        "mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if of_small.entries:
        result |= {"small_plan": len(of_small.entries), "small_plan_seconds": round(took, 3)}
        result |= {"small_plan_edges": edges_of(some)}
    print(json.dumps(result))


def edges_of(items: Sequence[Item]) -> int:
    """Count who holds whom among some items."""
    here = {item.ref for item in items}
    return sum(ref in here for item in items for ref in (*item.uses, *item.used_by, *item.inside))


@contextmanager
def emulator(size: int) -> Iterator[str]:
    argv = [sys.executable, __file__, "--child", "serve", "--size", str(size)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            if child.stdout is None:
                raise RuntimeError("no pipe")
            yield child.stdout.readline().strip()
        finally:
            child.kill()


def measure(size: int) -> dict[str, float]:
    """Sweep an account of that size in a fresh process, twice; the second is counted.

    The first lets the emulator load the services that it emulates.
    """
    with emulator(size) as endpoint:
        argv = [sys.executable, __file__, "--child", "sweep", "--endpoint", endpoint]
        for _ in range(2):
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return {"things": size, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=("serve", "sweep"))
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--endpoint", default="")
    options = parser.parse_args()
    if options.child == "serve":
        serve(options.size)
    elif options.child == "sweep":
        sweep(options.endpoint)
    else:
        rows = [measure(size) for size in SIZES]
        if options.json:
            print(json.dumps(rows))
            return
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
