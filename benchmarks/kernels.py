"""Single kernels of retrograd beside PyTorch and NumPy, and beside the limits of the machine.

    make bench-kernels [ARGS="--only conv --threads 1,2 --rounds 5 --seconds 0.3 --all --json FILE"]

All sides take turns at each kernel, in processes of their own. A side's time is the quickest call
of its best round; one thread is measured by its processor time, several by the clock on the wall.
docs/benchmarks.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from retrograd.cli.progress import show_parts
from retrograd.report.limits import Limits, Meter
from retrograd.report.machine import describe_machine
from retrograd.runtime.processors import choose_thread_count
from retrograd.runtime.target import host_target

from .kernel_cases import Case, list_main_cases, list_more_cases
from .run import TORCH_FOLDER, read_count, read_seconds
from .sides import REST_SECONDS, ROOT, Process, Side, SideError, make_environment, scratch_folder

FORMAT = 2
"""Of the JSON; it changes when a name or a unit does."""
LIMIT = "limit"
"""The side that measures the limit of what memory bounds."""
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-kernels", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="kernels whose name contains this")
    parser.add_argument("--all", action="store_true", help="more shapes, those without a goal too")
    parser.add_argument("--threads", type=read_threads, help="such as 1,2; one and all by default")
    parser.add_argument("--rounds", type=read_count, default=5, help="turns of each side")
    parser.add_argument("--seconds", type=read_seconds, default=0.3, help="of a turn")
    parser.add_argument("--no-rivals", action="store_true", help="measure retrograd alone")
    parser.add_argument("--torch", type=Path, help="the Python of an environment with PyTorch")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args(arguments)


def read_threads(text: str) -> list[int]:
    return sorted({read_count(part.strip()) for part in text.split(",")})


def list_sides(options: argparse.Namespace) -> list[Side]:
    """Who is measured."""
    here = Path(sys.executable)
    sides = [Side("retrograd", here, "benchmarks.side_kernels", (), False, "call")]
    sides.append(Side(LIMIT, here, "benchmarks.side_limits", (), False, "call"))
    if options.no_rivals:
        return sides
    torch = options.torch or ROOT / TORCH_FOLDER / "bin" / "python"
    if torch.exists():
        sides.append(Side("PyTorch", torch, "benchmarks.rivals.kernels_torch", (), True, "call"))
    else:
        print(f"{torch} is missing, hence PyTorch too; `make bench-kernels` makes it.")
    sides.append(Side("NumPy", here, "benchmarks.rivals.kernels_numpy", (), True, "call"))
    return sides


def start(side: Side, threads: int, scratch: Path) -> Process:
    environment = make_environment(side, scratch)
    environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    environment["RETROGRAD_THREADS"] = str(threads)
    if side.name == "NumPy" and host_target().vector_bytes == 64:
        # On some processors OpenBLAS does not use AVX-512 unless it is told to.
        environment["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    return Process(side, {"threads": threads}, scratch, environment)


def measure(
    case: Case,
    processes: dict[str, Process],
    options: argparse.Namespace,
    advance: Callable[[str], None],
) -> dict[str, float | None]:
    """Seconds of the quickest call of each side."""
    best: dict[str, float | None] = dict.fromkeys(processes)
    names = list(processes)
    for number in range(options.rounds):
        advance(f"{case.name}: round {number + 1} of {options.rounds}")
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            time.sleep(REST_SECONDS)
            taken = processes[name].ask({"case": case.name, "seconds": options.seconds})["seconds"]
            if taken is not None:
                best[name] = min(best[name] or taken, taken)
    return best


def find_limit(
    case: Case, limits: Limits, threads: int, streams: float | None
) -> tuple[float, str]:
    """The least seconds, and whose they are.

    Args:
        case: the kernel.
        limits: of multiply-adds.
        threads: how many run it.
        streams: seconds of the same memory without arithmetic, measured beside the kernel.
    """
    if not case.flops:
        assert streams is not None
        return streams, "the same arrays without arithmetic"
    peak = limits.peak_all if threads >= limits.threads else threads * limits.peak
    return case.flops * (2 if case.wide else 1) / peak, "multiply-adds"


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    cases = [*list_main_cases(), *(list_more_cases() if options.all else [])]
    cases = [case for case in cases if options.only in case.name]
    if not cases:
        print(f"no kernel's name contains {options.only!r}", file=sys.stderr)
        return 2
    cores = choose_thread_count()
    counts = options.threads or sorted({1, cores})
    sides = list_sides(options)
    meter = Meter(cores)
    limits = meter.measure()
    machine = describe_machine()
    found: list[tuple[int, Case, dict[str, float | None]]] = []
    versions: dict[str, str] = {}
    try:
        with show_parts(len(counts) * len(cases) * options.rounds) as advance:
            for threads in counts:
                with scratch_folder() as scratch:
                    processes = {side.name: start(side, threads, scratch) for side in sides}
                    try:
                        for process in processes.values():
                            versions |= process.prepared.get("versions", {})
                        for case in cases:
                            found.append(
                                (threads, case, measure(case, processes, options, advance))
                            )
                            limits = limits.raise_to(meter.measure(1))
                    finally:
                        for process in processes.values():
                            process.close()
    except SideError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing is reported", file=sys.stderr)
        return 130
    report = to_json(machine, versions, limits, options, found)
    print(format_report(report), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def to_json(
    machine: dict[str, Any],
    versions: dict[str, str],
    limits: Limits,
    options: argparse.Namespace,
    found: list[tuple[int, Case, dict[str, float | None]]],
) -> dict[str, Any]:
    """All that was measured: seconds, FLOPs, bytes."""
    kernels = []
    for threads, case, best in found:
        best = dict(best)
        limit, of = find_limit(case, limits, threads, best.pop(LIMIT))
        kernels.append(
            {
                "name": case.name,
                "threads": threads,
                "flops": case.flops,
                "bytes": case.bytes,
                "bound": case.bound,
                "limit": limit,
                "limit_of": of,
                "goal": case.goal,
                "seconds": best,
                "of_limit": {n: None if s is None else limit / s for n, s in best.items()},
            }
        )
    return {
        "format": FORMAT,
        "machine": machine | {"load_after": os.getloadavg()[0]},
        "versions": versions,
        "options": {"rounds": options.rounds, "seconds": options.seconds},
        "limits": limits.as_dict(),
        "kernels": kernels,
    }


def format_report(report: dict[str, Any]) -> str:
    """The figures as lines of text."""
    machine, limits = report["machine"], report["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    one, both = limits["peak"] / 1e9, limits["peak_all"] / 1e9
    memory, together = limits["bandwidth"] / 1e9, limits["bandwidth_all"] / 1e9
    copy, copy_all = limits["copy"] / 1e9, limits["copy_all"] / 1e9
    lines = [
        f"{machine['cpu']}, {limits['threads']} cores, {machine['system']}; {versions}",
        f"multiply-adds {one:.0f} GFLOP/s on one core, {both:.0f} on all",
        f"memory {memory:.0f} GB/s on one core, {together:.0f} on all",
        f"copies {copy:.0f} GB/s on one core, {copy_all:.0f} on all",
        f"load {machine['load']:.1f} before, {machine['load_after']:.1f} after",
    ]
    names = list(report["kernels"][0]["seconds"])
    heading = f"{'threads':>7}  {'kernel':<43}{'limit':>13}"
    heading += "".join(f"{name:>21}" for name in names)
    lines += ["", heading + f"{'goal':>8}"]
    for kernel in report["kernels"]:
        work, unit = (kernel["flops"], "GFLOP/s") if kernel["flops"] else (kernel["bytes"], "GB/s")
        limit = f"{work / kernel['limit'] / 1e9:.0f} {unit}"
        line = f"{kernel['threads']:>7}  {kernel['name']:<43}{limit:>13}"
        for name in names:
            seconds, share = kernel["seconds"][name], kernel["of_limit"][name]
            cell = (
                "" if seconds is None else f"{work / seconds / 1e9:.0f} {unit} {100 * share:.0f} %"
            )
            line += f"{cell:>21}"
        goal = "" if kernel["goal"] is None else f"{100 * kernel['goal']:.0f} %"
        lines.append(line + f"{goal:>8}")
    lines += ["", "Shares are of the limit: of multiply-adds for contractions; for all else of the"]
    lines.append("same arrays read and written without arithmetic, in turns with the kernel.")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
