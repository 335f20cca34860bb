"""Programs from the cache: their names, their bits, and what happens when a part is missing."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import config
from retrograd.ir.fingerprint import fingerprint
from retrograd.native import NativeProgram
from retrograd.runtime import jit, kept, libraries
from retrograd.runtime.cache import Cache
from retrograd.runtime.target import host_target
from tests.native.helpers import same_bits, trace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process keeps machine code in a folder of its own."""
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "code"))
    config.get_config.cache_clear()
    libraries.forget_all()
    yield tmp_path / "code" / "native"
    monkeypatch.undo()
    config.get_config.cache_clear()


def forbid_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str, target: Any = None) -> bytes:
        raise AssertionError("LLVM is asked for code")

    monkeypatch.setattr(jit, "assemble", refuse)


# -- what is kept, and under which name -----------------------------------------------------------


def test_names_depend_on_the_cpu_and_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_target()
    names = [kept.name_plan("graph", host, [False])]
    names.append(kept.name_plan("other graph", host, [False]))
    names.append(kept.name_plan("graph", host, [True]))
    names.append(kept.name_plan("graph", replace(host, cpu="generic"), [False]))
    names.append(kept.name_plan("graph", replace(host, features="+avx2"), [False]))
    assert names[0] == kept.name_plan("graph", host, [False])
    for place, name, value in (
        (kept, "VERSION", "99"),
        (kept, "hash_sources", lambda: "edited"),
        (kept, "_hash_jit", lambda: "edited"),
        (kept.np, "__version__", "99"),
        (sys.modules["llvmlite"], "__version__", "99"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            names.append(kept.name_plan("graph", host, [False]))
    assert len(set(names)) == len(names)


def test_code_depends_on_the_cpu(folder: Path) -> None:
    text = "define i64 @answer() { ret i64 42 }"
    names = {kept.assemble_named(text, replace(host_target(), cpu=cpu))[1] for cpu in ("", "x")}
    assert len(names) == 2


def test_the_sources_have_a_part_in_names(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept.hash_sources()
    assert before == kept.hash_sources.__wrapped__()
    monkeypatch.setattr(kept, "SOURCES", kept.SOURCES[1:])
    assert before != kept.hash_sources.__wrapped__()


def names_of(functions: list[Callable[..., Any]], *arrays: Any) -> list[str]:
    found = [fingerprint(trace(function, arrays)) for function in functions]
    return ["" if name is None else name[0] for name in found]


def test_fingerprints_tell_programs_apart() -> None:
    x = np.ones((2, 3), np.float32)
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    other = table.copy()
    other[1, 2] += 1
    functions: list[Callable[..., Any]] = [
        lambda x: x + 1.0,
        lambda x: x + 2.0,
        lambda x: x - 1.0,
        lambda x: x + rg.array(table),
        lambda x: x + rg.array(other),
        lambda x: x.sum(0),
        lambda x: x.sum(1),
        lambda x: (x, x + 1.0),
        lambda x: rg.scan(lambda c, t: (c + t, c), x[0], x),
        lambda x: rg.scan(lambda c, t: (c - t, c), x[0], x),
        lambda x: rg.scan(lambda c, t: (c + t, c), x[0], x, reverse=True),
    ]
    names = names_of(functions, x)
    assert "" not in names and len(set(names)) == len(names)
    assert names == names_of(functions, x)
    assert not set(names) & set(names_of(functions[:3], x.astype(np.float64)))
    assert not set(names) & set(names_of(functions[:3], x[:, :2]))


def test_fingerprints_leave_names_and_places_out() -> None:
    x = np.ones(3, np.float32)

    def first(value: Any) -> Any:
        return value * value + 1.0

    def second(other: Any) -> Any:
        square = other * other
        return square + 1.0

    assert len(set(names_of([first, second], x))) == 1


# -- programs -------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(size=(5, 4)).astype(np.float32)

PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elementwise": (lambda x, y: rg.exp(x) * y, (TABLE, TABLE + 1)),
    "a table inside": (lambda x: x @ rg.array(TABLE), (TABLE @ TABLE.T,)),
    "inputs as outputs": (lambda x: (x, rg.ones((3,)), rg.zeros((0, 2)), x.T), (TABLE,)),
    "a callback": (lambda x: (rg.sort(x, axis=0), rg.argsort(-x, axis=1)), (TABLE,)),
    "loops": (
        lambda x: rg.scan(lambda c, t: (c * 0.5 + t @ rg.array(TABLE.T), c), rg.zeros((5,)), x),
        (TABLE,),
    ),
    "a uniform table": (lambda x: x + rg.array(np.full((5, 4), 3, np.float32)), (TABLE,)),
}


@pytest.mark.parametrize("poison", [False, True], ids=["plain", "poison"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_from_the_cache_give_the_same_bits(
    name: str, poison: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, arrays = PROGRAMS[name]
    first = NativeProgram(trace(function, arrays), poison=poison)
    libraries.forget_all()
    forbid_compiling(monkeypatch)
    second = NativeProgram(trace(function, arrays), poison=poison)
    assert (first.cached, second.cached) == (False, True)
    assert not second.times.passes and not second.times.text
    assert [c.node.primitive for c in first.callbacks] == [
        c.node.primitive for c in second.callbacks
    ]
    for a, b in zip(first.run(arrays), second.run(arrays), strict=True):
        assert same_bits(a, b)
    assert second.plan.lifetimes == first.plan.lifetimes
    assert second.text == first.text  # made for whoever wants to read it


def test_the_two_levels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function, arrays = PROGRAMS["elementwise"]
    graph = trace(function, arrays)
    first = NativeProgram(graph)
    assert first.compiled
    (folder / first.name).unlink()
    libraries.forget_all()
    with monkeypatch.context() as patch:
        forbid_compiling(patch)
        assert not NativeProgram(graph).cached  # passes again, but the code is there
        assert NativeProgram(graph).cached
    for path in folder.iterdir():
        if path.name != first.name:
            path.unlink()
    libraries.forget_all()
    again = NativeProgram(graph)
    assert not again.cached and again.compiled == first.compiled
    assert NativeProgram(graph).cached


def test_kernels_are_shared_by_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(x: Any) -> Any:
        return rg.exp(x.sum(0))

    def two(x: Any) -> Any:
        return rg.tanh(x.sum(0)) * 2.0

    x, y = np.ones((5, 4), np.float32), np.ones((3, 7), np.float32)
    first = NativeProgram(trace(one, (x,)))
    assert first.compiled == first.distinct > 0
    with monkeypatch.context() as patch:  # in memory
        patch.setattr(libraries, "get_cache", lambda: None)
        again = NativeProgram(trace(lambda x: (one(x), x), (x,)))
        assert not again.cached and not again.compiled
    libraries.forget_all()  # on disk
    second = NativeProgram(trace(lambda x, y: (one(x), two(y)), (x, y)))
    assert 0 < second.compiled < second.distinct
    assert len(second.plan.libraries) == 2
    forbid_compiling(monkeypatch)
    libraries.forget_all()
    last = NativeProgram(trace(lambda x, y: (one(x), two(y)), (x, y)))
    assert last.cached and not last.compiled
    for a, b in zip(second.run((x, y)), last.run((x, y)), strict=True):
        assert same_bits(a, b)


def test_code_is_freed_when_no_program_needs_it() -> None:
    x = np.ones(7, np.float32)
    program = NativeProgram(trace(lambda x: rg.cos(x) * 1.25, (x,)))
    held = [weakref.ref(library) for library in program.libraries]
    other = NativeProgram(trace(lambda x: (rg.cos(x) * 1.25, x), (x,)))
    assert held and not other.compiled
    del program
    gc.collect()
    assert all(library() is not None for library in held)
    del other
    gc.collect()
    assert all(library() is None for library in held)


@pytest.mark.parametrize("content", [b"", b"{}", b"no library"])
def test_libraries_that_make_no_sense_are_made_anew(folder: Path, content: bytes) -> None:
    function, arrays = PROGRAMS["elementwise"]
    graph = trace(function, arrays)
    first = NativeProgram(graph)
    expected = first.run(arrays)[0]
    for name in first.plan.libraries:
        Cache(folder.parent).put(name, content)
    libraries.forget_all()
    program = NativeProgram(graph)
    assert not program.cached and program.compiled == first.compiled
    assert same_bits(program.run(arrays)[0], expected)


@pytest.mark.parametrize("content", [b"", b"{}", bytes(8) + b"{}", b"\x02" + bytes(7) + b"{}"])
def test_plans_that_make_no_sense_are_made_anew(folder: Path, content: bytes) -> None:
    function, arrays = PROGRAMS["elementwise"]
    graph = trace(function, arrays)
    name = NativeProgram(graph).name
    Cache(folder.parent).put(name, content)
    program = NativeProgram(graph)
    assert not program.cached
    assert same_bits(program.run(arrays)[0], NativeProgram(graph).run(arrays)[0])


@pytest.mark.parametrize("word", ["off", "0", "OFF"])
def test_without_a_cache(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_CACHE", word)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.read_cache_folder() is None
    function, arrays = PROGRAMS["elementwise"]
    graph = trace(function, arrays)
    assert not NativeProgram(graph).cached and not NativeProgram(graph).cached
    monkeypatch.setenv("RETROGRAD_CACHE", "")
    assert config.read_cache_folder() == tmp_path / "retrograd" / "code"
