"""Writes LLVM text: one function at a time, with structured loops."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..ir.types import DType
from .table import STATUS

SCALARS = {
    "f4": "float",
    "f8": "double",
    "i4": "i32",
    "i8": "i64",
    "u4": "i32",
    "u1": "i8",
    "b1": "i1",
}
"""By NumPy's short names: the long ones are put together anew whenever they are asked for."""


def scalar_type(dtype: DType) -> str:
    """LLVM's name of a dtype in registers (bool is i1 there)."""
    return SCALARS[dtype.str[1:]]


def memory_type(dtype: DType) -> str:
    """LLVM's name of a dtype in memory (bool is a byte there)."""
    return "i8" if dtype.kind == "b" else SCALARS[dtype.str[1:]]


def vector_of(element: str, lanes: int) -> str:
    """The vector type; the scalar type itself for one lane."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def literal(value: Any, dtype: DType) -> str:
    """A constant of a dtype in LLVM's notation, exact to the bit."""
    if dtype.kind == "f":
        number = float(value)
        if dtype.itemsize == 4:
            number = struct.unpack("f", struct.pack("f", number))[0]
        return "0x" + struct.pack(">d", number).hex().upper()
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(value))


class Function:
    """The text of one function.

    Args:
        name: its name.
        arguments: (type, name) of each argument.
        attributes: LLVM attributes after the argument list.
    """

    def __init__(
        self,
        name: str,
        arguments: list[tuple[str, str]],
        result: str = "void",
        linkage: str = "",
        attributes: str = "nounwind",
    ) -> None:
        listed = ", ".join(f"{kind} {title}" for kind, title in arguments)
        self.header = f"define {linkage} {result} @{name}({listed}) {attributes} {{"
        self.entry: list[str] = []
        self.lines: list[str] = []
        self.intrinsics: set[str] = set()
        self.helpers: set[str] = set()  # the text of functions that it calls
        self._count = 0
        self._block = "start"

    def name(self, hint: str = "v") -> str:
        self._count += 1
        return f"%{hint}{self._count}"

    def emit(self, operation: str, hint: str = "v") -> str:
        """One instruction with a result."""
        result = self.name(hint)
        self.lines.append(f"  {result} = {operation}")
        return result

    def do(self, operation: str) -> None:
        """One instruction without a result."""
        self.lines.append(f"  {operation}")

    def call(self, result: str, intrinsic: str, *arguments: tuple[str, str]) -> str:
        """A call of an intrinsic, which is declared at the end."""
        kinds = ", ".join(kind for kind, _ in arguments)
        self.intrinsics.add(f"declare {result} @{intrinsic}({kinds})")
        listed = ", ".join(f"{kind} {value}" for kind, value in arguments)
        return self.emit(f"call {result} @{intrinsic}({listed})")

    def word(self, position: int) -> str:
        """The place of one of a kernel's words."""
        return self.emit(f"getelementptr i64, ptr %words, i64 {position}")

    def number(self, position: int, kind: str = "i64") -> str:
        """One of a kernel's words that is a number."""
        return self.emit(f"load {kind}, ptr {self.word(position)}")

    def cut(self, value: str, step: int) -> str:
        """An i64 down to a multiple."""
        if step == 1:
            return value
        if step & (step - 1) == 0:
            return self.emit(f"and i64 {value}, {-step}")
        rest = self.emit(f"urem i64 {value}, {step}")
        return self.emit(f"sub i64 {value}, {rest}")

    def reserve(self, kind: str, alignment: int = 64) -> str:
        """A variable on the stack, which sroa turns into registers."""
        slot = self.name("slot")
        self.entry.append(f"  {slot} = alloca {kind}, align {alignment}")
        return slot

    def block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self._block = label

    def new_label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    @contextmanager
    def loop(self, start: str, stop: str, step: int | str = 1, hint: str = "i") -> Iterator[str]:
        """`for i in range(start, stop, step)`; the body is what is written inside.

        The loop runs at least once: ranges are never empty in a kernel.
        """
        head, tail = self.new_label("loop"), self.new_label("next")
        before = self._block
        self.do(f"br label %{head}")
        self.block(head)
        index, following = self.name(hint), self.name(hint)
        place = len(self.lines)
        self.lines.append("")
        yield index
        self.lines.append(f"  {following} = add nuw nsw i64 {index}, {step}")
        again = self.emit(f"icmp ult i64 {following}, {stop}")
        latch = self._block
        self.do(f"br i1 {again}, label %{head}, label %{tail}")
        self.lines[place] = f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]"
        self.block(tail)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """The body runs only where the condition holds."""
        inside, after = self.new_label("then"), self.new_label("after")
        self.do(f"br i1 {condition}, label %{inside}, label %{after}")
        self.block(inside)
        yield
        self.do(f"br label %{after}")
        self.block(after)

    def text(self) -> str:
        body = [self.header, "start:", *self.entry, *self.lines, "}"]
        return "\n".join(body)


def kernel_function(name: str, pointers: Sequence[str]) -> Function:
    """A kernel's function: it gets the table and its words, and finds its pointers with them.

    A slot of the table and an offset stand there for each pointer, both in bytes (steps.py).
    """
    f = Function(name, [("ptr", "%table"), ("ptr", "%words")])
    for order, pointer in enumerate(pointers):
        slot, offset = (f.emit(f"load i64, ptr {f.word(2 * order + n)}") for n in range(2))
        place = f.emit(f"getelementptr i8, ptr %table, i64 {slot}")
        base = f.emit(f"load ptr, ptr {place}")
        f.lines.append(f"  {pointer} = getelementptr i8, ptr {base}, i64 {offset}")
    f.lines.append(f"  %status = getelementptr i64, ptr %table, i64 {STATUS}")
    return f


class Module:
    """The text of a compilation unit: functions, and the intrinsics they use, declared once."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.globals: list[str] = []

    def text(self) -> str:
        helpers = sorted(set().union(*(f.helpers for f in self.functions)))
        declared = sorted(set().union(*(f.intrinsics for f in self.functions)))
        functions = [f.text() for f in self.functions]
        return "\n\n".join([*self.globals, *functions, *helpers, *declared])
