"""How many threads this process may run at once: affinity, and the CPU quota of its control group.

Containers limit the time of their processes, not the processors that they see: with two threads
more than the quota carries, all are stopped for most of each period.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..config import get_config


def choose_thread_count() -> int:
    """`RETROGRAD_THREADS`, or else as many threads as run at once."""
    return get_config().threads or count_processors()


def count_processors(root: Path = Path("/")) -> int:
    """The processors that this process may use, at least 1.

    A quota is rounded down: the other threads would wait for one that has a part of a processor.

    Args:
        root: where `proc` and `sys` lie.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has none
        allowed = os.cpu_count() or 1
    quota = read_quota(root)
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def read_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that the control groups of this process allow; None: no limit.

    Both versions of control groups are read, and every group above the process's own: the
    smallest quota holds. What cannot be read does not limit.

    Source: the kernel's documentation, admin-guide/cgroup-v2 and scheduler/sched-bwc; proc(5).

    Args:
        root: where `proc` and `sys` lie.
    """
    quotas = []
    for version, place, top in _find_groups(root):
        while True:
            quota = _read_unified(place) if version == 2 else _read_legacy(place)
            if quota is not None:
                quotas.append(quota)
            if place == top:
                break
            place = place.parent
    return min(quotas, default=None)


def _find_groups(root: Path) -> list[tuple[int, Path, Path]]:
    """(version, the group's folder, the folder where its hierarchy is mounted)."""
    paths: dict[int, str] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = path
        elif "cpu" in controllers.split(","):
            paths[1] = path
    groups = []
    for line in _read(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        if version == 1 and (kind[0] != "cgroup" or "cpu" not in kind[2].split(",")):
            continue
        if version in paths:
            # In a container the mount shows only what lies below some group of the host.
            inside = _relative(paths[version], fields[3])
            top = root / _unescape(fields[4]).lstrip("/")
            groups.append((version, top / inside if inside else top, top))
    return groups


def _relative(path: str, base: str) -> str:
    """The part of a group's path below the one that is mounted; "" where it is not below."""
    base = base.rstrip("/")
    inside = path[len(base) :] if path == base or path.startswith(base + "/") else ""
    inside = inside.strip("/")
    return "" if ".." in inside.split("/") else inside


def _unescape(path: str) -> str:
    """mountinfo writes a space in a path as its octal number."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _read_unified(group: Path) -> float | None:
    """Version 2: one file, "quota period" in microseconds, or "max period"."""
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    return _divide(quota, period or "100000")


def _read_legacy(group: Path) -> float | None:
    """Version 1: two files in microseconds; a quota of -1 is none."""
    return _divide(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _divide(quota: str, period: str) -> float | None:
    try:
        given, each = int(quota), int(period)
    except ValueError:
        return None
    return given / each if given > 0 and each > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
