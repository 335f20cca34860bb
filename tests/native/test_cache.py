"""Machine code on disk: found again, private, bounded, and never a reason to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrograd.runtime import cache as cache_module
from retrograd.runtime.cache import MARK, Cache

ROOT = Path(__file__).parents[2]

STEP = """
import json, os, sys
import numpy as np
import retrograd as rg
from retrograd import losses, nn, optim
from retrograd.native import NativeProgram

def run():
    rg.seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = optim.Adam(1e-2)
    random = np.random.default_rng(0)
    x = rg.array(random.normal(size=(16, 4)).astype("float32"))
    y = rg.array(random.integers(0, 3, 16).astype("int32"))

    @rg.compile(executor="native")
    def step(model, optimizer, x, y):
        def loss_of(model, x, y):
            return losses.cross_entropy(model(x), y)
        loss, gradients = rg.value_and_grad(loss_of)(model, x, y)
        optimizer.update(model, gradients)
        return loss

    values = [float(step(model, optimizer, x, y)) for _ in range(3)]
    (program,) = (p.staged.graph.cache["native"] for p in step.programs.values())
    return program, values
"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "code")


def start(script: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    """Start Python with the package, the cache in a folder."""
    environment = {**os.environ, "RETROGRAD_CACHE": str(folder), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", "-c", script]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env={**environment, **more}, stdout=pipe, stderr=pipe, text=True
    )


def finish(process: subprocess.Popen[str]) -> Any:
    """What a process has printed, as JSON; it must have ended well and without a word."""
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return json.loads(printed)


# -- entries --------------------------------------------------------------------------------------


def test_hit_after_miss(cache: Cache) -> None:
    assert cache.get("a") is None
    assert cache.put("a", b"one") and cache.put("b", b"")
    assert (cache.get("a"), cache.get("b")) == (b"one", b"")
    assert cache.put("a", b"two")
    assert cache.get("a") == b"two"
    cache.forget("a")
    cache.forget("a")
    assert cache.get("a") is None


def test_nothing_is_made_before_there_is_something_to_keep(cache: Cache) -> None:
    assert cache.get("a") is None
    assert not cache.folder.parent.exists()


def test_private_to_its_owner(cache: Cache) -> None:
    before = os.umask(0)
    try:
        cache.put("a", b"content")
    finally:
        os.umask(before)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "a").stat().st_mode & 0o777 == 0o600
    cache.folder.chmod(0o755)
    assert cache.get("a") == b"content"
    assert cache.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(MARK) + 5],
        lambda raw: b"",
        lambda raw: raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:],
        lambda raw: b"X" + raw[1:],
        lambda raw: raw + b"more",
    ],
    ids=["truncated", "head only", "empty", "a bit", "another mark", "longer"],
)
def test_damaged_entries_are_deleted(cache: Cache, damage: Callable[[bytes], bytes]) -> None:
    cache.put("a", b"some content")
    place = cache.folder / "a"
    place.write_bytes(damage(place.read_bytes()))
    assert cache.get("a") is None
    assert not place.exists()
    assert cache.put("a", b"some content")
    assert cache.get("a") == b"some content"


def test_folders_of_others_are_refused(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", b"content")
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(UserWarning, match="another user.*RETROGRAD_CACHE=off"):
        assert cache.get("a") is None
    assert not cache.put("b", b"content")  # and it is said once
    assert sorted(path.name for path in cache.folder.iterdir()) == ["a"]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_folders_where_others_write_are_refused(cache: Cache, mode: int) -> None:
    cache.put("a", b"content")
    cache.folder.chmod(mode)
    with pytest.warns(UserWarning, match="others may write there"):
        assert cache.get("a") is None
    assert not cache.put("a", b"new")


def test_folders_inside_a_public_one_are_refused(cache: Cache) -> None:
    cache.put("a", b"content")
    cache.folder.parent.chmod(0o1777)  # as /tmp: others cannot rename what is ours
    assert cache.get("a") == b"content"
    cache.folder.parent.chmod(0o777)
    with pytest.warns(UserWarning, match="folder above"):
        assert cache.get("a") is None


@pytest.mark.parametrize("kind", ["writable", "link", "pipe", "folder"])
def test_files_that_are_not_ours_alone_are_no_entries(cache: Cache, kind: str) -> None:
    cache.put("a", b"content")
    place, elsewhere = cache.folder / "a", cache.folder.parent / "elsewhere"
    if kind == "writable":
        place.chmod(0o622)
    else:
        place.rename(elsewhere)
        if kind == "link":
            place.symlink_to(elsewhere)
        elif kind == "pipe":
            os.mkfifo(place, 0o600)
        else:
            place.mkdir()
    assert cache.get("a") is None


def test_a_linked_folder_is_refused(cache: Cache) -> None:
    cache.put("a", b"content")
    cache.folder.rename(cache.folder.parent / "moved")
    cache.folder.symlink_to(cache.folder.parent / "moved")
    assert cache.get("a") is None
    assert not cache.put("a", b"content")


def test_the_least_recently_used_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=10_000, kept=6_000)
    for number in range(9):
        cache.put(f"{number}", bytes(1_000))
        os.utime(cache.folder / f"{number}", (1e9 + number, 1e9 + number))
    assert cache.get("0") is not None  # used now: it stays
    cache.put("9", bytes(1_000))
    names = {path.name for path in cache.folder.iterdir()}
    assert names == {"0", "9", "8", "7", "6"}
    assert not cache.put("large", bytes(7_000))


def test_what_dead_writers_left_goes(cache: Cache) -> None:
    cache.put("a", b"content")
    old, new = cache.folder / "dead.new", cache.folder / "alive.new"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (1e9, 1e9))
    cache.put("b", b"content")
    assert not old.exists() and new.exists()


def test_no_place_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    inside = Cache(tmp_path / "file" / "inside")
    assert not inside.put("a", b"content")
    assert inside.get("a") is None


# -- processes ------------------------------------------------------------------------------------


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    script = (
        STEP
        + """
from retrograd.runtime import jit
made = []
assemble = jit.assemble
jit.assemble = lambda *given: (made.append(1), assemble(*given))[1]
program, values = run()
print(json.dumps([program.cached, len(made), values]))
"""
    )
    cached, made, values = finish(start(script, tmp_path))
    assert (cached, made) == (False, 2)  # the kernels, and the step of all programs
    assert finish(start(script, tmp_path)) == [True, 0, values]
    assert finish(start(script, tmp_path, PYTHONHASHSEED="7")) == [True, 0, values]


def test_a_full_disk_is_no_error(tmp_path: Path) -> None:
    """The limit of a file's size stands for a disk that is full: writing fails half-way."""
    script = (
        STEP
        + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
program, values = run()
print(json.dumps([program.cached, values, os.listdir(os.environ["RETROGRAD_CACHE"] + "/native")]))
"""
    )
    first, second = (finish(start(script, tmp_path)) for _ in range(2))
    assert first == second and first[0] is False
    assert first[2] == []


def test_writers_at_once(tmp_path: Path) -> None:
    """Readers see all of an entry or nothing, whoever writes, forgets and sweeps."""
    script = """
import json
from pathlib import Path
from retrograd.runtime.cache import Cache
cache = Cache(Path(FOLDER), most=30_000, kept=20_000)
seen = 0
for turn in range(300):
    key = str(turn % 7)
    content = (key * 4000).encode()
    cache.put(key, content)
    found = cache.get(str((turn + SHIFT) % 7))
    if found is not None:
        assert len(set(found)) == 1 and len(found) == 4000, found[:20]
        seen += 1
    if turn % 50 == SHIFT:
        cache.forget(key)
print(json.dumps(seen))
"""
    processes = [
        start(f"FOLDER = {str(tmp_path)!r}; SHIFT = {shift}\n{script}", tmp_path)
        for shift in range(4)
    ]
    assert all(finish(process) > 0 for process in processes)
    assert not list((tmp_path / "native").glob("*.new"))
    assert sum(path.stat().st_size for path in (tmp_path / "native").iterdir()) <= 30_000


def test_a_hundred_processes_share_the_cache(tmp_path: Path) -> None:
    """Forked at once before anything is compiled: all end well, with the same bits."""
    script = (
        STEP
        + """
import llvmlite.binding
from retrograd.runtime import kept
kept.hash_sources()
children, ends = [], []
for number in range(100):
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        program, values = run()
        os.write(send, json.dumps([program.cached, values]).encode())
        os._exit(0)
    os.close(send)
    children.append((child, receive))
    if len(children) == 10 or number == 99:
        for child, receive in children:
            with open(receive, "rb") as file:
                ends.append(json.loads(file.read()))
            assert os.waitpid(child, 0)[1] == 0
        children = []
print(json.dumps(ends))
"""
    )
    ends = finish(start(script, tmp_path))
    assert len(ends) == 100
    assert {json.dumps(values) for _, values in ends} == {json.dumps(ends[0][1])}
    assert sum(cached for cached, _ in ends) >= 90
    assert not list((tmp_path / "native").glob("*.new"))
