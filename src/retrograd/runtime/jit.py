"""LLVM text in, callable machine code out."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass
from typing import Any

from .forks import LOCK
from .target import Target, host_target, initialise

_numbers = itertools.count()


@dataclass(slots=True, weakref_slot=True, eq=False)
class Library:
    """Loaded machine code. The addresses are valid while it is alive.

    Args:
        handle: keeps the code in memory.
        addresses: of functions, by name.
        name: its entry in the cache; empty where it has none.
    """

    handle: Any
    addresses: dict[str, int]
    name: str = ""


_engines: dict[Target, tuple[Any, Any]] = {}


def _engine(target: Target) -> tuple[Any, Any]:
    """The target machine and the compiler for a target, made once."""
    if target not in _engines:
        llvm = initialise()
        machine = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=3
        )
        _engines[target] = (machine, llvm.create_lljit_compiler(machine))
    return _engines[target]


def assemble(text: str, target: Target | None = None) -> bytes:
    """Object code for LLVM text.

    The mid-level pipeline is short: the code generator writes explicit vectors with invariants
    outside of loops, and only asks for values in registers (sroa) and tidy addresses.
    """
    with LOCK:
        machine, module = _optimise(text, target)
        return bytes(machine.emit_object(module))


def write_assembly(text: str, target: Target | None = None) -> str:
    """The assembly of what `assemble` makes, for readers."""
    with LOCK:
        machine, module = _optimise(text, target)
        return str(machine.emit_assembly(module))


def _optimise(text: str, target: Target | None) -> tuple[Any, Any]:
    """The target machine, and the module after the passes."""
    llvm = initialise()
    chosen = host_target() if target is None else target
    machine, _ = _engine(chosen)
    module = llvm.parse_assembly(text)
    module.triple = chosen.triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.run(module, builder)
    return machine, module


def load(code: bytes, names: list[str], process: bool = False) -> Library:
    """Object code made callable in this process.

    Args:
        code: from `assemble`.
        names: the functions whose addresses are wanted.
        process: whether the code calls functions of the process, as those of the C library.
    """
    llvm = initialise()
    with LOCK:
        _, compiler = _engine(host_target())
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        if process:
            builder = builder.add_current_process()
        for name in names:
            builder = builder.export_symbol(name)
        handle = builder.link(compiler, f"retrograd{next(_numbers)}")
        return Library(handle, {name: handle[name] for name in names})


def function(library: Library, name: str, arguments: int) -> Any:
    """A function of the library that takes pointers and returns an int64."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * arguments)
    return kind(library.addresses[name])
