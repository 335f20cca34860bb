"""What the CPU can do: its name, features, vector width and registers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A CPU as the code generator sees it.

    Args:
        triple: LLVM's name of the platform.
        cpu: LLVM's name of the CPU.
        features: LLVM's list of features.
        vector_bytes: the width of a vector register.
        registers: the number of vector registers.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int

    def lanes(self, itemsize: int) -> int:
        """Elements in a vector register."""
        return self.vector_bytes // itemsize


@lru_cache(maxsize=1)
def initialise() -> Any:
    """LLVM, ready to make code for this machine."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@lru_cache(maxsize=1)
def host_target() -> Target:
    """The CPU of this machine."""
    llvm = initialise()
    features = llvm.get_host_cpu_features()
    return describe_target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten())


def describe_target(triple: str, cpu: str, features: str) -> Target:
    """The vector width and registers that a list of features stands for."""
    enabled = {item[1:] for item in features.split(",") if item.startswith("+")}
    if "avx512f" in enabled and "avx512vl" in enabled:
        return Target(triple, cpu, features, 64, 32)
    if "avx2" in enabled and "fma" in enabled:
        return Target(triple, cpu, features, 32, 16)
    if triple.startswith(("aarch64", "arm64")):
        return Target(triple, cpu, features, 16, 32)
    return Target(triple, cpu, features, 16, 16)
