"""The benchmark's Markdown tables."""

from dataclasses import dataclass, replace

from elman.benchmark.machine import bf16_flags
from elman.benchmark.measurement import Member
from peers import KINDS
from workloads import CLOCK, FLOOR, Target, Workload

DISTURBING = 0.1  # fraction of the cores; two threads that wait for each other lose far more
AGREEMENT_NATS = 1e-3
BF16_AGREEMENT_NATS = 5e-2
NAMES = {
    "textbook": "(a) textbook",
    "torch": "(b) PyTorch",
    "torch-bf16": "(b) PyTorch bf16",
    "jax": "(c) JAX",
    FLOOR: "fraction of the floor",
    CLOCK: "time a word",
}


@dataclass(frozen=True)
class Verdict:
    """One target of a workload and its measurement; ``reached`` is "aim", "must", "no", or why there is no verdict."""

    workload: str
    against: str
    measured: float | None
    target: Target
    reached: str


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def workload_table(workload: Workload, members: list[Member]) -> str:
    """Return the table of one workload: a row per peer, with times relative to the workload's subject."""
    by_name = {member.name: member for member in members}
    one, floor = by_name.get(workload.subject, members[0]), by_name.get(FLOOR)
    rows = []
    for member in members:
        time = member.seconds_per_token
        rows.append([
            KINDS[member.name].about,
            f"{1 / time:,.0f}",
            f"{1e6 * time:.2f}",
            f"{time / one.seconds_per_token:.2f}",
            f"{floor.seconds_per_token / time:.0%}" if floor else "–",
            f"{member.peak_mb:.0f} ({member.libraries_mb:.0f})",
            f"{member.spread:.2f}",
        ])  # fmt: skip
    head = ["peer", "tokens/s", "µs per token", f"time ({one.name}: 1)", "fraction of the floor"]
    return markdown([*head, "peak memory, MB (libraries alone)", "slowest/fastest round"], rows)


def agreement(workload: Workload, members: list[Member]) -> str:
    """Return a sentence on whether the peers compute the same: the losses of their first steps."""
    subject, *others = sorted(
        (m for m in members if m.first_losses), key=lambda m: m.name != workload.subject
    )
    losses = ", ".join(f"{loss:.5f}" for loss in subject.first_losses)
    said = []
    for other in others:
        gap = max(abs(a - b) for a, b in zip(subject.first_losses, other.first_losses, strict=True))
        low = "bf16" in subject.name or "bf16" in other.name
        allowed = BF16_AGREEMENT_NATS if low else AGREEMENT_NATS
        said.append(f"{other.name} {'agrees' if gap <= allowed else 'DISAGREES'} (within {gap:.1e})")
    rest = ", ".join(said) or "nothing to compare them with"
    return f"Same weights; losses of the first steps, nats per token: {losses} ({subject.name}); {rest}."


def verdicts(workload: Workload, members: list[Member], others: float | None) -> list[Verdict]:
    """Return the verdict on each target of a workload; ``others`` is the fraction of the cores that others used."""
    found = [_verdict(workload, members, target) for target in workload.targets]
    if others is None or others <= DISTURBING:
        return found
    return [
        replace(v, reached=f"{v.reached} (disturbed: others used {others:.0%} of the cores)") for v in found
    ]


def _verdict(workload: Workload, members: list[Member], target: Target) -> Verdict:
    by_name = {member.name: member for member in members}
    subject = by_name.get(workload.subject)
    forms = (target.against, f"{target.against}-padded")  # PyTorch's faster form is the one to beat
    rivals = [by_name[name] for name in forms if name in by_name]
    measured = None
    if subject is not None and target.against == CLOCK:
        measured = 1e6 * subject.seconds_per_token
    elif subject is not None and rivals:
        measured = min(rival.seconds_per_token for rival in rivals) / subject.seconds_per_token
    if workload.subject == "elman-bf16" and "amx_bf16" not in bf16_flags():
        has = "avx512_bf16 instructions alone" if bf16_flags() else "nor any bf16 instructions"
        reached = f"does not apply: this CPU has no bf16 matrix unit (amx_bf16), {has}"
    else:
        reached = "not measured" if measured is None else _reached(target, measured)
    return Verdict(workload.name, target.against, measured, target, reached)


def _reached(target: Target, measured: float) -> str:
    def met(limit: float | None) -> bool:
        if limit is None:
            return False
        return measured <= limit if target.against == CLOCK else measured >= limit

    return "aim" if met(target.aim) else "must" if met(target.must) else "no"


def summary(found: list[Verdict]) -> str:
    """Return the table of all targets."""
    rows = []
    for v in found:
        unit = "{:.0%}" if v.against == FLOOR else "{:.0f} µs" if v.against == CLOCK else "{:.2f}×"
        shown = ["–" if x is None else unit.format(x) for x in (v.measured, v.target.must, v.target.aim)]
        rows.append([v.workload, NAMES[v.against], *shown, v.reached])
    return markdown(["workload", "against", "measured", "must", "aim", "reached"], rows)
