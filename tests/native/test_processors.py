"""How many threads: affinity, quotas of both versions of control groups, the variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retrograd.config import get_config, read_threads
from retrograd.errors import ArgumentError
from retrograd.runtime.processors import choose_thread_count, count_processors, read_quota

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
LEGACY = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def unified(path: str, files: dict[str, str], mounts: str = UNIFIED) -> dict[str, str]:
    return {
        "proc/self/cgroup": f"0::{path}\n",
        "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }


def legacy(
    path: str, files: dict[str, tuple[int, int]], mounts: str = LEGACY, more: str = ""
) -> dict[str, str]:
    tree = {
        "proc/self/cgroup": f"5:cpuset:/other\n4:cpu,cpuacct:{path}\n{more}",
        "proc/self/mountinfo": "31 1 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        + mounts,
    }
    for name, (quota, period) in files.items():
        folder = f"sys/fs/cgroup/cpu,cpuacct/{name}".rstrip("/")
        tree[f"{folder}/cpu.cfs_quota_us"] = f"{quota}\n"
        tree[f"{folder}/cpu.cfs_period_us"] = f"{period}\n"
    return tree


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (unified("/", {}), None),
        (unified("/a/b", {"a/b/cpu.max": "200000 100000\n"}), 2.0),
        (unified("/a/b", {"a/b/cpu.max": "max 100000\n"}), None),
        (unified("/a/b", {"a/b/cpu.max": "300000\n"}), 3.0),
        (unified("/a/b", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 20000\n"}), 2.5),
        (unified("/a/b", {"a/b/cpu.max": "100000 100000", "a/cpu.max": "900000 100000"}), 1.0),
        # A container: its own group is the root of what it sees.
        (unified("/", {"cpu.max": "150000 100000"}), 1.5),
        (
            unified(
                "/docker/abc",
                {"cpu.max": "400000 100000"},
                UNIFIED.replace(" / /sys", " /docker/abc /sys"),
            ),
            4.0,
        ),
        (unified("/../sibling", {"cpu.max": "100000 100000"}), 1.0),
        (unified("/a", {"a/cpu.max": "much 100000"}), None),
        (unified("/a", {"a/cpu.max": "100000 0"}), None),
        (unified("/a", {"a/cpu.max": "-5 100000"}), None),
        (unified("/a", {"a/cpu.max": ""}), None),
        (legacy("/a/b", {"a/b": (300000, 100000)}), 3.0),
        (legacy("/a/b", {"a/b": (-1, 100000)}), None),
        (legacy("/a/b", {"a/b": (-1, 100000), "a": (50000, 100000)}), 0.5),
        (
            legacy(
                "/docker/abc",
                {"": (200000, 100000)},
                LEGACY.replace(" / /sys", " /docker/abc /sys"),
            ),
            2.0,
        ),
        # Both versions at once: the processor time is with version 1.
        (
            legacy("/a", {"a": (200000, 100000)}, LEGACY + UNIFIED.replace("cgroup ", "cgroup/u "))
            | {"proc/self/cgroup": "4:cpu,cpuacct:/a\n0::/\n"},
            2.0,
        ),
        ({"proc/self/cgroup": "nonsense\n::\n", "proc/self/mountinfo": "also - nonsense"}, None),
        ({"proc/self/cgroup": "0::/a\n"}, None),
    ],
)
def test_quotas(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    assert read_quota(write(tmp_path, files)) == quota


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    files = unified("/", {}, UNIFIED.replace("/sys/fs/cgroup", "/my\\040groups"))
    files["my groups/cpu.max"] = "100000 100000"
    assert read_quota(write(tmp_path, files)) == 1.0


@pytest.mark.parametrize(
    ("allowed", "quota", "count"),
    [(8, "max", 8), (8, "300000", 3), (8, "250000", 2), (8, "50000", 1), (2, "900000", 2)],
)
def test_the_smaller_of_affinity_and_quota(
    allowed: int, quota: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    root = write(tmp_path, unified("/", {"cpu.max": f"{quota} 100000"}))
    assert count_processors(root) == count


def test_without_affinity_the_processors_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert count_processors(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert count_processors(tmp_path) == 1


def test_the_variable_is_obeyed_above_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_THREADS", "77")
    get_config.cache_clear()
    try:
        assert choose_thread_count() == 77
        monkeypatch.setenv("RETROGRAD_THREADS", " ")
        get_config.cache_clear()
        assert choose_thread_count() == count_processors() >= 1
    finally:
        monkeypatch.undo()
        get_config.cache_clear()


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "257", "9" * 5000, "²", "1e1"])
def test_a_bad_variable_is_an_error(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_THREADS", given)
    with pytest.raises(ArgumentError, match="expected a whole number from 1 to 256"):
        read_threads()
