"""Random accounts: who really made each thing and who really uses it, and what a sweep sees of it.

A world is made as it is. Lenses then show it: tags, names, ages, links between things, lists that
fail. The judge (:func:`check`) knows the world and nothing of how decisions are made.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Coverage, Item, Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, Policy, StackFact

NOW, GRACE = 1_800_000_000.0, 1_000.0
HOUR = 3_600.0
DEAD, OLD, LIVE, SAFE = ("s" + c * 12 for c in "abcd")
PEOPLE, NEIGHBOUR = "people", "neighbour"
SCOPE = Scope(provider="aws", account="111", regions=("r1", "r2"))
KINDS = {
    kind.type: kind
    for kind in (
        Kind("instance", "", 10),
        Kind("database", "", 15, data=True),
        Kind("balancer", "", 20),
        Kind("cluster", "", 15),
        Kind("eni", "", 30, structural=True),
        Kind("group", "", 40, structural=True, held_by=("instance", "balancer", "eni")),
        Kind("volume", "", 50, data=True, held_by=("instance",)),
        Kind("role", "", 80, is_global=True, held_by=("instance", "cluster")),
        Kind("logs", "", 85, reborn=True),
        Kind("vpc", "", 90, held_by=("instance", "balancer", "eni", "group")),
    )
}
PLACES = tuple(
    (k.type, r) for k in KINDS.values() for r in (("global",) if k.is_global else SCOPE.regions)
)
SEEN = {
    (place, status): Coverage.model_validate(
        {"type": place[0], "region": place[1], "status": status}
    )
    for place in PLACES
    for status in ("listed", "failed", "denied")
}
CLUSTERS = {
    # "prod" was OLD's, then DEAD's, and may be anybody's now; "zone" were two side by side.
    DEAD: ((f"ml-{DEAD}", "r1"), ("prod", "r1"), ("zone", "r1-a")),
    OLD: (("prod", "r1"),),
    LIVE: (("zone", "r1-b"), ("prod", "r2")),
    PEOPLE: (("prod", "r1"), ("abroad", "r1"), ("foreign", "r1"), ("foreign", "r2")),
    NEIGHBOUR: (("foreign", "r1"), ("foreign", "r2")),
    SAFE: (),
}
MAKERS = (DEAD, DEAD, DEAD, DEAD, OLD, LIVE, LIVE, SAFE, NEIGHBOUR, PEOPLE, PEOPLE)
CONTAINED = ("instance", "balancer", "eni", "group", "database")


def _facts(stack: str, *more: ClusterFact) -> tuple[ClusterFact, ...]:
    known = [ClusterFact(account="111", region=r, name=n) for n, r in CLUSTERS[stack]]
    return (*known, *more)


# DEAD had a cluster "abroad" as well, but in another account.
_OF = {
    DEAD: _facts(DEAD, ClusterFact(account="222", region="r1", name="abroad")),
    **{stack: _facts(stack) for stack in (OLD, LIVE, SAFE)},
}


@dataclass
class Thing:
    """A thing as it is, and what is shown of it."""

    ref: Ref
    maker: str
    born: float
    tags: dict[str, str] | None = field(default_factory=dict)
    created: float | None = None
    clusters: tuple[str, ...] = ()
    inside: list[Ref] = field(default_factory=list)
    uses: list[Ref] = field(default_factory=list)
    used_by: list[Ref] = field(default_factory=list)
    users: set[Ref] = field(default_factory=set)
    seen: tuple[float, int] = (NOW, 1)
    own_word: bool = True
    shared: bool = False
    adopted: bool = False
    twice: bool = False

    def item(self, tags: dict[str, str] | None) -> Item:
        return Item.model_construct(
            ref=self.ref,
            name="",
            tags=tags,
            created=self.created,
            inside=tuple(self.inside),
            uses=tuple(self.uses),
            used_by=tuple(self.used_by),
            clusters=self.clusters,
            facts={},
        )


@dataclass
class World:
    """One account with everything that is true of it, and a sweep's view of it."""

    seed: int
    things: dict[Ref, Thing]
    ends: dict[str, float]
    busy: set[str]
    runs: set[tuple[str, str]]
    bad: set[tuple[str, str]]
    policy: Policy
    snapshot: Snapshot
    knowledge: Knowledge


def make_world(seed: int) -> World:
    rng = random.Random(seed)
    ends = {
        DEAD: NOW - rng.choice((HOUR, HOUR, 10 * HOUR, GRACE / 2, -HOUR / 60)),
        OLD: NOW - 90 * HOUR,
        SAFE: NOW - 50 * HOUR,
    }
    things: dict[Ref, Thing] = {}
    for number in range(rng.randint(1, 7)):
        thing = _make(rng, number, ends, things)
        _tie(rng, thing, things)
        _tell(rng, thing)
        things[thing.ref] = thing
    busy = {DEAD} if rng.random() < 0.03 else set()
    runs, states = _running(rng)
    bad = set(rng.sample(PLACES, rng.randint(1, 3))) if rng.random() < 0.3 else set()
    if bad and rng.random() < 0.4:
        bad.add((rng.choice(("instance", "database")), rng.choice(SCOPE.regions)))
    policy = Policy(
        grace=GRACE,
        data_grace=GRACE,
        include_data=rng.random() < 0.3,
        only_stack=DEAD if rng.random() < 0.2 else None,
    )
    stacks = {
        stack: StackFact.model_construct(
            stack_id=stack,
            name="same",
            live=stack == LIVE,
            destroyed_at=ends.get(stack),
            protect=stack == SAFE,
            busy=stack in busy,
            clusters=_OF[stack],
        )
        for stack in (DEAD, OLD, LIVE, SAFE)
    }
    knowledge = Knowledge.model_construct(
        install="me",
        stacks=stacks,
        held=frozenset(_name(rng, t.ref) for t in things.values() if t.adopted),
        clusters=states,
        first_seen={_key(t.ref): t.seen for t in things.values()},
    )
    snapshot = _look(rng, things, bad)
    return World(seed, things, ends, busy, runs, bad, policy, snapshot, knowledge)


def _make(
    rng: random.Random, number: int, ends: dict[str, float], others: dict[Ref, Thing]
) -> Thing:
    """Make a thing and show whose it is by marks, by its cluster, by its place, or not at all."""
    type_, maker = (
        rng.choice(("vpc", "eni", "group", "instance", "role", *KINDS)),
        rng.choice(MAKERS),
    )
    if not others and rng.random() < 0.6:
        type_, maker = "vpc", rng.choice((DEAD, DEAD, DEAD, maker))
    region = "global" if KINDS[type_].is_global else rng.choice(("r1", "r1", "r2"))
    end = ends.get(maker)
    born = NOW - 200 * HOUR if end is None or rng.random() < 0.8 else end - HOUR
    if end is None and rng.random() < 0.5:
        born = NOW - rng.choice((HOUR / 2, 5 * HOUR))
    thing = Thing(Ref.model_construct(type=type_, region=region, id=f"i{number}"), maker, born)
    lens = rng.choice(("marks", "marks", "marks", "cluster", "cluster", "name"))
    if KINDS[type_].structural and rng.random() < 0.6:
        lens = "place"
    elif type_ == "vpc" and rng.random() < 0.6:
        lens = "marks"
    if lens == "marks" and maker != PEOPLE:
        install = "you" if maker == NEIGHBOUR else "me"
        stack = DEAD if maker == NEIGHBOUR else maker
        thing.tags = {"mlstacks-install": install, "mlstacks-stack": stack}
    elif lens == "cluster":
        _name_cluster(rng, thing, ends)
    elif lens == "place":
        _put_into_vpc(rng, thing, others)
    if rng.random() < 0.1 and thing.maker == PEOPLE:
        thing.tags = {"mlstacks-stack": DEAD}
    if rng.random() < 0.07:
        thing.clusters, thing.shared = (*thing.clusters, "foreign"), True
    return thing


def _name_cluster(rng: random.Random, thing: Thing, ends: dict[str, float]) -> None:
    """Let a controller of one of its maker's clusters have made it."""
    region = thing.ref.region
    near = [c for c in CLUSTERS[thing.maker] if region == "global" or c[1].startswith(region)]
    if not near:
        return
    name, _place = rng.choice(near)
    thing.clusters = (name,)
    if thing.maker == PEOPLE and name == "prod":
        thing.born = max(ends[DEAD] + 60, NOW - HOUR)
        if thing.ref.type == "logs":
            thing.clusters = ()  # nobody can tell whose such a log group is, but by its age
    elif thing.maker == DEAD and thing.ref.type == "logs" and rng.random() < 0.5:
        thing.born = ends[DEAD] + 60


def _put_into_vpc(rng: random.Random, thing: Thing, others: dict[Ref, Thing]) -> None:
    """A service made it inside a VPC of its maker's; or a half marked thing is a guest there."""
    vpcs = [t for t in others.values() if t.ref.type == "vpc" and t.ref.region == thing.ref.region]
    if not vpcs or thing.ref.type not in CONTAINED:
        return
    own = rng.choice(vpcs)
    thing.inside = [own.ref]
    own.users.add(thing.ref)
    if not KINDS[thing.ref.type].structural:
        return
    thing.own_word = False
    if rng.random() < 0.15:
        thing.maker, thing.tags = LIVE, {"mlstacks-stack": LIVE}
    else:
        thing.maker, thing.born = own.maker, own.born


def _tie(rng: random.Random, thing: Thing, others: dict[Ref, Thing]) -> None:
    """Let it use others: that shows at the one end, at the other, or at both."""
    for other in others.values():
        near = other.ref.region in (thing.ref.region, "global")
        if not near or rng.random() > 0.25:
            continue
        if other.ref.type == "vpc":
            if thing.ref.type in CONTAINED and not thing.inside:
                # What people may have made is no proof of anything: it only uses the VPC.
                by_hand = KINDS[thing.ref.type].structural
                (thing.uses if by_hand else thing.inside).append(other.ref)
                other.users.add(thing.ref)
        elif thing.ref.type in KINDS[other.ref.type].held_by:
            thing.uses.append(other.ref)
            other.users.add(thing.ref)
        elif rng.random() < 0.5:
            other.used_by.append(thing.ref)
            other.users.add(thing.ref)
    if rng.random() < 0.04:
        stranger = Ref.model_construct(type="strange", region=thing.ref.region, id="x")
        thing.used_by.append(stranger)
        thing.users.add(stranger)


def _tell(rng: random.Random, thing: Thing) -> None:
    """Show its age, what is said of its data and protection; or not."""
    thing.created = thing.born if rng.random() < 0.7 else None
    age = max(NOW - thing.born, 0.0)
    thing.seen = (NOW - rng.choice((age, min(age, 2 * GRACE), 0.0)), rng.choice((1, 2, 3, 3)))
    if rng.random() < 0.05:
        thing.seen = (NOW + HOUR, 3)
    if thing.tags is not None and rng.random() < 0.08:
        thing.tags["mlstacks-protect"] = "true"
    if thing.tags is not None and rng.random() < 0.3:
        thing.tags["mlstacks-data"] = rng.choice(("delete", "delete", "retain", "snapshot", "none"))
    thing.adopted = rng.random() < 0.04
    thing.twice = (
        thing.maker == LIVE and "mlstacks-install" in (thing.tags or {}) and rng.random() < 0.3
    )
    if rng.random() < 0.05:
        thing.tags = None


def _running(rng: random.Random) -> tuple[set[tuple[str, str]], dict[str, bool | None]]:
    """Return the clusters of stacks that may run, and what a sweep hears of all."""
    states: dict[str, bool | None] = {}
    may_run = set()
    for name, place in {c for stack in (DEAD, OLD, LIVE) for c in CLUSTERS[stack]}:
        if rng.random() < 0.05:
            states[f"{place}/{name}"] = rng.choice((True, True, None))
            may_run.add((name, place))
    if rng.random() < 0.04:
        where = rng.choice(("r1", "r1", "global"))
        states[f"{where}/*"] = None
        may_run |= set(CLUSTERS[DEAD] + CLUSTERS[OLD] + CLUSTERS[LIVE])
        if where == "r1":
            may_run = {c for c in may_run if c[1].startswith("r1")} | {
                c for c in may_run if f"{c[1]}/{c[0]}" in states
            }
    return may_run, states


def _look(
    rng: random.Random, things: dict[Ref, Thing], bad: Collection[tuple[str, str]]
) -> Snapshot:
    items = []
    for thing in things.values():
        if (thing.ref.type, thing.ref.region) in bad:
            continue
        shown = [thing.tags]
        if thing.twice:  # somebody took it over while it was listed
            shown.append({"mlstacks-install": "me", "mlstacks-stack": DEAD})
        items += [thing.item(tags) for tags in shown]
    rng.shuffle(items)
    coverage = tuple(
        SEEN[place, rng.choice(("failed", "denied")) if place in bad else "listed"]
        for place in PLACES
    )
    return Snapshot.model_construct(
        scope=SCOPE, taken_at=NOW, items=tuple(items), coverage=coverage, calls=0, seconds=0.0
    )


def _key(ref: Ref) -> str:
    return f"{ref.type}|{ref.region}|{ref.id}"


def _name(rng: random.Random, ref: Ref) -> str:
    return rng.choice((ref.id, _key(ref)))


def check(world: World, going: Collection[Ref]) -> None:
    """Raise AssertionError unless all of ``going`` may really go."""
    for ref in going:
        thing = world.things[ref]
        why = _why_not(world, thing, going)
        assert not why, f"world {world.seed}: {ref} goes, but {why}"


def _why_not(world: World, thing: Thing, going: Collection[Ref]) -> str:
    """Return why a thing must stay, or nothing."""
    if thing.maker not in (DEAD, OLD):
        return f"{thing.maker} made it"
    if world.policy.only_stack not in (None, thing.maker) and not _taken_over(world, thing):
        return "another stack was asked for"
    if thing.maker in world.busy or thing.adopted or thing.shared or thing.tags is None:
        return "it is worked on, adopted, shared, or nobody can read its tags"
    if thing.tags.get("mlstacks-protect"):
        return "it is protected"
    return _lives(world, thing, going) or _too_young(world, thing) or _keeps_data(world, thing)


def _taken_over(world: World, thing: Thing) -> bool:
    """Tell whether all it says is a name that two destroyed stacks had, one after the other."""
    places = [thing, *(world.things[ref] for ref in thing.inside if not thing.own_word)]
    return any("prod" in place.clusters for place in places)


def _lives(world: World, thing: Thing, going: Collection[Ref]) -> str:
    if thing.ref.type != "cluster" and world.runs & set(CLUSTERS[thing.maker]):
        return "a cluster of its stack may run"
    hidden = {r for r, t in world.things.items() if (r.type, r.region) in world.bad}
    noticed = {
        user
        for user in thing.users
        if user not in hidden
        or user in thing.used_by
        or not thing.own_word
        or user.type in KINDS[thing.ref.type].held_by
    }
    if noticed - set(going):
        return f"{noticed - set(going)} use it"
    if thing.own_word or thing.clusters:
        return ""
    guests = {r for vpc in thing.inside for r in (vpc, *world.things[vpc].users)}
    return f"{guests - set(going)} live beside it" if guests - set(going) else ""


def _too_young(world: World, thing: Thing) -> str:
    since = max(thing.born, world.ends[thing.maker])
    if NOW - since < GRACE:
        return "it is younger than the grace"
    if thing.seen[1] < world.policy.min_sweeps or thing.seen[0] > NOW:
        return "it wasn't seen often enough, or by a clock that was wrong"
    return ""


def _keeps_data(world: World, thing: Thing) -> str:
    own = (thing.tags or {}).get("mlstacks-data")
    if own in ("retain", "snapshot"):
        return "it says to retain it"
    if not KINDS[thing.ref.type].data or world.policy.include_data:
        return ""
    words = (
        [own]
        if own
        else [(world.things[ref].tags or {}).get("mlstacks-data") for ref in thing.inside]
    )
    return "" if words and set(words) == {"delete"} else "nobody gave its data up"
