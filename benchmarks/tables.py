"""The benchmark's Markdown tables."""

from dataclasses import dataclass

from machine import bf16_flags
from peers import KINDS
from team import Member
from works import CLOCK, FLOOR, Target, Work

AGREEMENT_NATS = 1e-3
BF16_AGREEMENT_NATS = 5e-2
NAMES = {"torch": "(b) PyTorch", "torch-bf16": "(b) PyTorch bf16", "textbook": "(a) textbook", "jax": "(c) JAX"}


@dataclass(frozen=True)
class Verdict:
    """One target of a work beside what was measured; ``reached`` is "aim", "must", "no", or why it is not judged."""

    work: str
    against: str
    measured: float | None
    target: Target
    reached: str


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def work_table(work: Work, members: list[Member]) -> str:
    """Return the table of one work: a row a peer, ratios to the work's subject."""
    by_name = {member.name: member for member in members}
    subject, floor = by_name.get(work.subject), by_name.get(FLOOR)
    rows = []
    for member in members:
        ratio = member.seconds_per_token / subject.seconds_per_token if subject else None
        share = floor.seconds_per_token / member.seconds_per_token if floor else None
        rows.append([
            KINDS[member.name].about,
            f"{1 / member.seconds_per_token:,.0f}",
            f"{1e6 * member.seconds_per_token:.2f}",
            "" if ratio is None else f"{ratio:.2f}",
            "" if share is None else f"{share:.0%}",
            f"{member.peak_mb:.0f} ({member.libraries_mb:.0f})",
            f"{member.spread:.2f}",
        ])  # fmt: skip
    head = ["peer", "tokens/s", "µs a token", f"time, {work.subject} = 1", "share of the floor"]
    return markdown([*head, "peak memory, MB (libraries alone)", "slowest/fastest round"], rows)


def agreement(work: Work, members: list[Member]) -> str:
    """Say in a sentence whether the peers compute the same thing: the losses of their first steps."""
    subject = next((m for m in members if m.name == work.subject), None)
    others = [m for m in members if m is not subject and m.first_losses]
    if subject is None or not others:
        return "No two peers to compare losses of."
    losses = ", ".join(f"{loss:.5f}" for loss in subject.first_losses)
    said = []
    for other in others:
        gap = max(abs(a - b) for a, b in zip(subject.first_losses, other.first_losses, strict=True))
        low = "bf16" in subject.name or "bf16" in other.name
        allowed = BF16_AGREEMENT_NATS if low else AGREEMENT_NATS
        said.append(f"{other.name} {'agrees' if gap <= allowed else 'DISAGREES'} (within {gap:.1e})")
    return f"Same weights, first {len(subject.first_losses)} steps, nats a token: {losses}; {', '.join(said)}."


def verdicts(work: Work, members: list[Member]) -> list[Verdict]:
    """Return what each target of a work has come to."""
    return [_verdict(work, members, target) for target in work.targets]


def _verdict(work: Work, members: list[Member], target: Target) -> Verdict:
    by_name = {member.name: member for member in members}
    subject = by_name.get(work.subject)
    if work.name.startswith("F") and "amx_bf16" not in bf16_flags():
        has = "only avx512_bf16 instructions" if bf16_flags() else "none"
        reason = f"does not apply: no bf16 matrix unit here ({has})"
    else:
        reason = "not measured"
    # the targets against PyTorch are against the faster of its forms: torch, torch-padded
    rivals = [m for name, m in by_name.items() if name == target.against or name == f"{target.against}-padded"]
    measured = None
    if subject is not None and target.against == CLOCK:
        measured = 1e6 * subject.seconds_per_token
    elif subject is not None and rivals:
        rival = min(m.seconds_per_token for m in rivals)
        measured = rival / subject.seconds_per_token
    judged = measured is not None and not reason.startswith("does not apply")
    return Verdict(work.name, target.against, measured, target, _reached(target, measured) if judged else reason)


def _reached(target: Target, measured: float | None) -> str:
    def met(limit: float | None) -> bool:
        if limit is None or measured is None:
            return False
        return measured <= limit if target.against == CLOCK else measured >= limit

    return "aim" if met(target.aim) else "must" if met(target.must) else "no"


def summary(found: list[Verdict]) -> str:
    """Return the table of all targets."""
    rows = []
    for v in found:
        unit = "{:.0%}" if v.against == FLOOR else "{:.0f} µs" if v.against == CLOCK else "{:.2f}×"
        shown = ["–" if x is None else unit.format(x) for x in (v.measured, v.target.must, v.target.aim)]
        against = {FLOOR: "share of the floor", CLOCK: "time a word"}.get(v.against, NAMES.get(v.against, v.against))
        rows.append([v.work, against, *shown, v.reached])
    return markdown(["work", "against", "measured", "must", "aim", "reached"], rows)
