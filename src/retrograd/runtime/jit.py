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


MOST_LIBRARIES = 64
"""Libraries that one linker takes. LLVM frees their code one by one, but what the linker knows of
them (8 KiB each) only with itself, and it goes with the last of its libraries."""


class Engine:
    """What LLVM needs for one target. LLVM loses some memory with each set of passes: one is made.

    Args:
        target: the CPU.
    """

    def __init__(self, target: Target) -> None:
        llvm = initialise()
        self.machine = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=3
        )
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        self.builder = llvm.create_pass_builder(self.machine, options)
        self.passes = llvm.create_new_module_pass_manager()
        self.passes.add_sroa_pass()
        self.passes.add_instruction_combine_pass()
        self.linker: Any = None
        self.libraries = 0

    def link(self, builder: Any) -> Any:
        """The handle of a library."""
        if self.linker is None or self.libraries == MOST_LIBRARIES:
            self.linker, self.libraries = initialise().create_lljit_compiler(self.machine), 0
        self.libraries += 1
        return builder.link(self.linker, f"retrograd{next(_numbers)}")


_engines: dict[Target, Engine] = {}


def _engine(target: Target) -> Engine:
    """The engine for a target, made once."""
    if target not in _engines:
        _engines[target] = Engine(target)
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
    chosen = host_target() if target is None else target
    engine = _engine(chosen)
    module = initialise().parse_assembly(text)
    module.triple = chosen.triple
    module.data_layout = str(engine.machine.target_data)
    engine.passes.run(module, engine.builder)
    return engine.machine, module


def load(code: bytes, names: list[str], process: bool = False) -> Library:
    """Object code made callable in this process.

    Args:
        code: from `assemble`.
        names: the functions whose addresses are wanted.
        process: whether the code calls functions of the process, as those of the C library.
    """
    llvm = initialise()
    with LOCK:
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        if process:
            builder = builder.add_current_process()
        for name in names:
            builder = builder.export_symbol(name)
        handle = _engine(host_target()).link(builder)
        return Library(handle, {name: handle[name] for name in names})


def function(library: Library, name: str, arguments: int) -> Any:
    """A function of the library that takes pointers and returns an int64."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * arguments)
    return kind(library.addresses[name])
