"""Products of matrices and tensors."""

from __future__ import annotations

from typing import Any

import retrograd as rg
from adapters.common import Skip, adapts

for _name in ("matmul", "mm", "bmm", "mv", "dot", "vdot"):
    adapts(_name)(rg.matmul)
adapts("__rmatmul__")(lambda a, b: rg.matmul(b, a))
adapts("outer")(lambda a, b: rg.einsum("i,j->ij", a, b))


@adapts("inner")
def inner(a: Any, b: Any) -> Any:
    return a * b if a.ndim == 0 or b.ndim == 0 else rg.tensordot(a, b, axes=((-1,), (-1,)))


@adapts("einsum")
def einsum(operands: Any, equation: str) -> Any:
    if "->" in equation and "..." in equation and "..." not in equation.split("->")[1]:
        raise Skip("axes of '...' that the output leaves out: an error in retrograd, as in NumPy")
    return rg.einsum(equation, *operands)


@adapts("tensordot")
def tensordot(a: Any, b: Any, dims: Any) -> Any:
    if not isinstance(dims, int):
        pairs = zip(dims[0], dims[1], strict=True)
        if any(a.shape[i] != b.shape[j] for i, j in pairs):
            raise Skip("contracted axes of different sizes: PyTorch broadcasts a size of 1")
    return rg.tensordot(a, b, axes=dims)


@adapts("addmm", "addmm.decomposed", "addmv", "baddbmm")
def addmm(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    return beta * x + alpha * rg.matmul(a, b)


@adapts("addbmm")
def addbmm(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    return beta * x + alpha * rg.einsum("bij,bjk->ik", a, b)


@adapts("addr")
def addr(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    return beta * x + alpha * a[:, None] * b


@adapts("kron")
def kron(a: Any, b: Any) -> Any:
    rank = max(a.ndim, b.ndim)
    a, b = (m.reshape(*(1,) * (rank - m.ndim), *m.shape) for m in (a, b))
    left = a.reshape(*(size for n in a.shape for size in (n, 1)))
    right = b.reshape(*(size for n in b.shape for size in (1, n)))
    return (left * right).reshape(*(m * n for m, n in zip(a.shape, b.shape)))


@adapts("linalg.vecdot")
def vecdot(a: Any, b: Any, dim: int = -1) -> Any:
    return rg.sum(a * b, axis=dim)


@adapts("linalg.multi_dot")
def multi_dot(matrices: Any) -> Any:
    product = matrices[0]
    for matrix in matrices[1:]:
        product = rg.matmul(product, matrix)
    return product


@adapts("nn.functional.linear")
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    product = rg.matmul(x, weight.T)
    return product if bias is None else product + bias


@adapts("nn.functional.bilinear")
def bilinear(a: Any, b: Any, weight: Any, bias: Any = None) -> Any:
    product = rg.einsum("...i,oij,...j->...o", a, weight, b)
    return product if bias is None else product + bias
