"""A report as a page of text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .kernels import KernelReport
    from .profile import KernelTime, Profile
    from .report import Report

WIDEST = (38, 36, 26)
"""Characters of what a kernel is, its shape, and where it comes from or goes to, at the most."""

NUMBERS = ("time", "share", "waited", "of limit", "times", "FLOPs", "bytes")
HEADINGS = ("kernel", "shape", "from", "updates", "FLOPs", "bytes")


def format_report(report: Report, most: int | None) -> str:
    """The page.

    Args:
        report: what to show.
        most: how many kernels, at the most; None for all.
    """
    return "\n".join(_write(report, most))


def format_time(seconds: float) -> str:
    """A time in the unit in which people would say it.

    Example:
        >>> format_time(0.00123), format_time(4.5e-6)
        ('1.23 ms', '4.50 us')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{1e9 * seconds:.0f} ns" if seconds else "0"


def format_amount(number: float) -> str:
    """A large number with a letter for its thousands.

    Example:
        >>> format_amount(51_380_224), format_amount(12)
        ('51.4 M', '12')
    """
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{_three_digits(number / size)} {letter}"
    return f"{number:.0f}"


def format_bytes(count: float) -> str:
    """Bytes with a letter for their thousands.

    Example:
        >>> format_bytes(1_335_296), format_bytes(32)
        ('1.34 MB', '32 B')
    """
    amount = format_amount(count)
    return f"{amount}B" if " " in amount else f"{amount} B"


def _three_digits(number: float) -> str:
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"


def _write(report: Report, most: int | None) -> Iterator[str]:
    threads = f"{report.threads} thread" + ("s" if report.threads > 1 else "")
    where = threads if report.is_native else "node by node"
    yield f"{report.call}: {report.executor}, {where}"
    yield ""
    yield from _write_summary(report)
    if report.kernels:
        yield ""
        if report.measured is None:
            yield from _write_kernels(report, most)
        else:
            yield from _write_profile(report, report.measured, most)
    elif not report.is_native:
        yield ""
        yield "The NumPy executor makes no kernels and no machine code; they are there with"
        yield 'rg.compile(f, executor="native"). report.text() shows the program.'


def _write_summary(report: Report) -> Iterator[str]:
    times = ", ".join(f"{_name_time(k)} {format_time(v)}" for k, v in report.times.items())
    if report.cached:
        times += " (machine code from the disk cache)"
    yield f"time        {times}"
    memory = report.memory
    parts = [f"inputs {format_bytes(memory['inputs'])}"]
    if memory["state"]:
        part = f"state {format_bytes(memory['state'])}"
        if "in_place" in memory:
            part += f", {format_bytes(memory['in_place'])} of it written in place"
        parts.append(part)
    if "arena" in memory:
        parts.insert(0, f"arena {format_bytes(memory['arena'])}")
    yield f"memory      {'; '.join(parts)}"
    if report.parameters:
        yield f"parameters  {report.parameters:,}"
    # A name and its number stay on one line.
    stages = [f"{stage.name}~{stage.nodes}" for stage in report.stages]
    for line in textwrap.wrap("nodes       " + " > ".join(stages), 100, subsequent_indent=" " * 12):
        yield line.replace("~", " ")
    if report.kernels:
        kinds = Counter(kernel.kind for kernel in report.kernels)
        listed = ", ".join(f"{times} {kind}{'s' * (times > 1)}" for kind, times in kinds.items())
        flops, moved = report.work
        yield f"kernels     {len(report.kernels)}, {report.distinct} of them different: {listed}"
        yield f"work        {format_amount(flops)}FLOP, {format_bytes(moved)} moved by kernels"
        unknown = {part for kernel in report.kernels for part in kernel.when.split(", ")}
        if "each iteration" in unknown:
            yield "            (of a while_loop: each iteration)"
        if unknown & {"if true", "if false"}:
            yield "            (of a cond: either branch runs, the one with more is counted)"


def _name_time(name: str) -> str:
    return {"llvm": "LLVM", "text": "LLVM text"}.get(name, name)


def _write_kernels(report: Report, most: int | None) -> Iterator[str]:
    """The kernels in the order in which they run."""
    shown = report.kernels if most is None else report.kernels[:most]
    rows = [["", *HEADINGS]]
    rows += [[str(kernel.number), *_tell(kernel)] for kernel in shown]
    yield from _lay_out(rows, right=[0, 5, 6])
    yield from _tell_rest(len(report.kernels) - len(shown))


def _write_profile(report: Report, profile: Profile, most: int | None) -> Iterator[str]:
    """The kernels, those that take longest first; equal ones in one line."""
    limits = profile.limits
    pairs = list(zip(report.kernels, profile.kernels))
    inside = sum(time.seconds for kernel, time in pairs if not kernel.depth)
    whole = inside + profile.waiting + profile.between
    yield (
        f"profile     {profile.runs} steps, median {format_time(profile.median)}; lower "
        f"quartiles: {format_time(profile.step)},"
    )
    yield (
        f"            with time stamps {format_time(profile.stamped)}, the sum of the parts "
        f"{format_time(whole)}:"
    )
    parts = f"            {_percent(inside, whole)} in kernels"
    if profile.threads > 1:
        parts += f", {_percent(profile.waiting, whole)} waiting for other threads"
    yield f"{parts}, {_percent(profile.between, whole)} between kernels"
    cores = f"{limits.threads} cores" if profile.threads > 1 else "one core"
    peak = limits.peak_all if profile.threads > 1 else limits.peak
    bandwidth = limits.bandwidth_all if profile.threads > 1 else limits.bandwidth
    caches = ", ".join(
        f"{together / 1e9 if profile.threads > 1 else one / 1e9:.0f} in {size >> 10} KiB"
        for size, one, together in limits.caches
    )
    yield f"limits      {cores}: {peak / 1e9:.0f} GFLOP/s of multiply-adds;"
    yield f"            {bandwidth / 1e9:.0f} GB/s in memory, {caches}"
    yield ""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, (kernel, _) in enumerate(pairs):
        groups.setdefault(_group(kernel), []).append(number)
    order = sorted(groups.values(), key=lambda numbers: -sum(pairs[n][1].seconds for n in numbers))
    shown = order if most is None else order[:most]
    rows = [["time", "share", "waited", "of limit", "", "times", *HEADINGS]]
    rows += [_tell_group([pairs[n] for n in numbers]) for numbers in shown]
    if profile.threads == 1:
        rows = [[*row[:2], *row[3:]] for row in rows]
    right = [place for place, name in enumerate(rows[0]) if name in NUMBERS]
    yield from _lay_out(rows, right)
    left = [pairs[n] for numbers in order[len(shown) :] for n in numbers]
    more = sum(time.share for kernel, time in left if not kernel.depth)
    yield from _tell_rest(len(left), f", {_percent(more, 1.0)} of the step")


def _group(kernel: KernelReport) -> tuple[object, ...]:
    """What is the same for equal kernels."""
    return kernel.name or kernel.number, kernel.depth, kernel.when


def _tell_group(pairs: Sequence[tuple[KernelReport, KernelTime]]) -> list[str]:
    """The line of equal kernels: their time together."""
    kernels, times = [kernel for kernel, _ in pairs], [time for _, time in pairs]
    seconds, waiting = sum(t.seconds for t in times), sum(t.waiting for t in times)
    limit, share = sum(t.limit for t in times), sum(t.share for t in times)
    runs = sum(kernel.runs for kernel in kernels)
    cells = _tell(kernels[0])
    if len(kernels) > 1:
        places = list(dict.fromkeys(kernel.place for kernel in kernels))
        cells[2] = _name_places(places)
        updated = [name for kernel in kernels for name in kernel.writes]
        cells[3] = _name_places(updated)
        flops = sum(kernel.flops for kernel in kernels)
        cells[4] = format_amount(flops) if flops else ""
        cells[5] = format_bytes(sum(kernel.bytes for kernel in kernels))
    return [
        format_time(seconds),
        _percent(share, 1.0),
        format_time(waiting) if waiting > 1e-9 else "",
        f"{100 * limit / seconds:.0f} %" if limit and seconds else "",
        times[0].bound if limit else "",
        _tell_runs(runs, kernels[0].when),
        *cells,
    ]


def _tell_runs(runs: int, when: str) -> str:
    """How often kernels run: n where that is not known before."""
    if not when:
        return str(runs)
    return "n" if "each iteration" in when else f"0 or {runs}"


def _tell(kernel: KernelReport) -> list[str]:
    """What it is, its shape, its place, what it updates, its FLOPs and bytes."""
    text = "  " * kernel.depth + kernel.what
    if kernel.what == "fused loop" or kernel.kind == "contraction":
        text = "  " * kernel.depth + kernel.operations_text
    elif kernel.kind == "repeat" and kernel.when:
        text += ", " + kernel.when.split(", ")[-1]
    place = _name_places(kernel.paths) or cut(kernel.place, WIDEST[2])
    cells = [cut(cell, width) for cell, width in zip((text, kernel.shape), WIDEST)]
    cells += [place, _name_places(kernel.writes)]
    flops = format_amount(kernel.flops) if kernel.flops else ""
    return [*cells, flops, format_bytes(kernel.bytes)]


def _name_places(names: Sequence[str]) -> str:
    """The end of the first name, which says most, and how many more there are."""
    if not names:
        return ""
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    width = WIDEST[2] - len(more)
    first = names[0] if len(names[0]) <= width else "..." + names[0][3 - width :]
    return first + more


def cut(text: str, width: int) -> str:
    """The text, or its begin and an ellipsis."""
    return text if len(text) <= width else text[: width - 3] + "..."


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _tell_rest(count: int, note: str = "") -> Iterator[str]:
    if count > 0:
        noun = "kernel" if count == 1 else "kernels"
        yield f"and {count} more {noun}{note}; report.page() shows all"


def _lay_out(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths))
        ]
        yield "  ".join(cells).rstrip()
