"""einsum: sums of products named by letters, as a sequence of dots, products and transposes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..trace import Array, bind
from .arithmetic import multiply
from .contract import contract_axes
from .promotion import as_array, convert, is_weak, result_dtype
from .reduce import sum_p
from .shape import reshape, slice_axis, transpose

Label = str
"""A letter, or "...n" for the axis of an ellipsis that is the n-th from the right."""


@dataclass(frozen=True)
class Term:
    """An operand and the label of each of its axes."""

    array: Array
    labels: tuple[Label, ...]

    def size_of(self, label: Label) -> int:
        return self.array.type.shape[self.labels.index(label)]


def einsum(subscripts: str, *operands: Any) -> Array:
    """Sum of products over named axes.

    `einsum("ij,jk->ik", a, b)` is `out[i, k] = sum over j of a[i, j] * b[j, k]`: axes with the
    same letter run together, and letters that are not in the output are summed over. `...` stands
    for any further axes, which broadcast. A letter twice in one term reads the diagonal. Without
    `->` the output has the axes of `...`, then the letters that occur once, in alphabetical order.

    Args:
        subscripts: the terms, separated by commas, and the output after `->`.
        operands: one array for each term. More than two are multiplied pair by pair, the
            cheapest pair first.

    Returns:
        An array of the operands' common dtype.

    Raises:
        ArgumentError: the subscripts cannot be read, or do not match the number of operands.
        ShapeError: a term does not fit its operand, or a letter stands for two sizes.

    Example:
        >>> import retrograd as rg
        >>> rg.einsum("bij,bjk->bik", rg.ones((5, 2, 3)), rg.ones((5, 3, 4))).shape
        (5, 2, 4)
        >>> float(rg.einsum("ii", rg.eye(3)))
        3.0
    """
    if not isinstance(subscripts, str):
        raise ArgumentTypeError(
            f"einsum: the first argument must be a string, received {type(subscripts).__name__}.",
            fix='write the terms first: einsum("ij,jk->ik", a, b)',
        )
    if not operands:
        raise ArgumentError("einsum needs at least one operand, received none.")
    arrays = [as_array(operand) for operand in operands]
    kept = [old if is_weak(old) else new for old, new in zip(operands, arrays, strict=True)]
    dtype = result_dtype(kept)
    arrays = [convert(array, dtype) for array in arrays]
    inputs, output = _parse(subscripts, len(arrays))
    terms = [
        Term(array, _label_axes(text, array, subscripts, position))
        for position, (text, array) in enumerate(zip(inputs, arrays, strict=True))
    ]
    labels = _label_output(inputs, output, terms, subscripts)
    sizes = _measure(terms, subscripts)
    terms = [_drop_ones(_take_diagonals(term), sizes) for term in terms]
    return _arrange(_contract_all(terms, labels), labels)


# -- reading the subscripts -----------------------------------------------------------------------


def _parse(subscripts: str, count: int) -> tuple[list[str], str | None]:
    """The terms of the inputs and of the output (None if it is left out)."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    for term in (*inputs, right):
        letters = term.replace("...", "", 1)
        if not all(letter.isascii() and letter.isalpha() for letter in letters):
            raise ArgumentError(
                f"einsum: cannot read the term {term!r} of {subscripts!r}.",
                fix='a term is letters and at most one "...": "...ij,jk->...ik"',
            )
    if len(inputs) != count:
        raise ArgumentError(
            f"einsum: {subscripts!r} has {len(inputs)} terms, received {count} operands."
        )
    return inputs, right if arrow else None


def _label_axes(text: str, array: Array, subscripts: str, position: int) -> tuple[Label, ...]:
    """The label of each axis of an operand."""
    before, dots, after = text.partition("...")
    ndim = array.type.ndim
    extra = ndim - len(before) - len(after)
    if extra < 0 or (extra > 0 and not dots):
        raise ShapeError(
            f"einsum: term {text!r} (number {position + 1} of {subscripts!r}) names "
            f"{len(before) + len(after)} axes, its operand has {ndim}: {array.type.shape}.",
            fix='add "..." for further axes' if extra > 0 else "",
        )
    return (*before, *(f"...{n}" for n in range(extra, 0, -1)), *after)


def _label_output(
    inputs: list[str], output: str | None, terms: list[Term], subscripts: str
) -> tuple[Label, ...]:
    """The labels of the result, in order."""
    ellipsis = max(
        (sum(label.startswith(".") for label in term.labels) for term in terms), default=0
    )
    dotted = tuple(f"...{n}" for n in range(ellipsis, 0, -1))
    letters = "".join(inputs).replace(".", "")
    if output is None:
        return (*dotted, *sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    before, dots, after = output.partition("...")
    if dotted and not dots:
        raise ArgumentError(
            f"einsum: the output {output!r} of {subscripts!r} has no '...', but the inputs have "
            f"{ellipsis} such axes.",
            fix='keep them ("...i->..."), or name them with letters to sum over them',
        )
    for letter in before + after:
        if letter not in letters:
            raise ArgumentError(
                f"einsum: {letter!r} of the output {output!r} is in no input of {subscripts!r}."
            )
        if output.count(letter) > 1:
            raise ArgumentError(
                f"einsum: {letter!r} occurs twice in the output {output!r} of {subscripts!r}."
            )
    return (*before, *(dotted if dots else ()), *after)


def _measure(terms: list[Term], subscripts: str) -> dict[Label, int]:
    """The size of each label; axes of an ellipsis broadcast, those of a letter must agree."""
    sizes: dict[Label, int] = {}
    first: dict[Label, int] = {}
    for position, term in enumerate(terms):
        for label, size in zip(term.labels, term.array.type.shape, strict=True):
            known = sizes.setdefault(label, size)
            origin = first.setdefault(label, position)
            if known == size:
                continue
            if label.startswith(".") and 1 in (known, size):
                sizes[label] = size if known == 1 else known
                continue
            name = f"axis {label[3:]} from the right of '...'" if label[0] == "." else repr(label)
            raise ShapeError(
                f"einsum {subscripts!r}: {name} has size {known} in operand {origin + 1} "
                f"{terms[origin].array.type.shape} and size {size} in operand {position + 1} "
                f"{term.array.type.shape}."
            )
    return sizes


# -- one operand ----------------------------------------------------------------------------------


def _take_diagonals(term: Term) -> Term:
    """Labels that occur more than once in a term become one axis, its diagonal."""
    for label in dict.fromkeys(term.labels):
        while term.labels.count(label) > 1:
            first = term.labels.index(label)
            second = term.labels.index(label, first + 1)
            term = _take_diagonal(term, first, second)
    return term


def _take_diagonal(term: Term, first: int, second: int) -> Term:
    rest = [axis for axis in range(len(term.labels)) if axis not in (first, second)]
    shape = tuple(term.array.type.shape[axis] for axis in rest)
    size = term.array.type.shape[first]
    # In a flattened square matrix the elements of the diagonal are size + 1 apart.
    flat = reshape(transpose(term.array, (*rest, first, second)), (*shape, size * size))
    diagonal = slice_axis(flat, len(rest), 0, size * size, size + 1)
    return Term(diagonal, (*(term.labels[axis] for axis in rest), term.labels[first]))


def _drop_ones(term: Term, sizes: dict[Label, int]) -> Term:
    """The term without the axes of size 1 that broadcast against larger ones."""
    kept = [label for label in term.labels if term.size_of(label) == sizes[label]]
    if len(kept) == len(term.labels):
        return term
    return Term(reshape(term.array, tuple(sizes[label] for label in kept)), tuple(kept))


def _sum_out(term: Term, needed: set[Label]) -> Term:
    """The term summed over the labels that nothing else needs."""
    axes = tuple(axis for axis, label in enumerate(term.labels) if label not in needed)
    if not axes:
        return term
    labels = tuple(label for label in term.labels if label in needed)
    return Term(bind(sum_p, term.array, axes=axes)[0], labels)


def _arrange(term: Term, labels: tuple[Label, ...]) -> Array:
    """The axes in the order of the output."""
    return transpose(term.array, tuple(term.labels.index(label) for label in labels))


# -- pairs ----------------------------------------------------------------------------------------


def _contract_all(terms: list[Term], labels: tuple[Label, ...]) -> Term:
    """Multiply the terms pair by pair, the cheapest pair first."""
    terms = [_sum_out(term, _needed(terms, (n,), labels)) for n, term in enumerate(terms)]
    while len(terms) > 1:
        pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]
        i, j = min(pairs, key=lambda pair: _cost(terms, pair, labels))
        needed = _needed(terms, (i, j), labels)
        product = _contract_pair(
            _sum_out(terms[i], needed | set(terms[j].labels)),
            _sum_out(terms[j], needed | set(terms[i].labels)),
            needed,
        )
        terms = [product, *(term for n, term in enumerate(terms) if n not in (i, j))]
    return terms[0]


def _needed(terms: list[Term], positions: tuple[int, ...], labels: tuple[Label, ...]) -> set[Label]:
    """The labels of the output and of all terms but those at `positions`."""
    others = (term.labels for n, term in enumerate(terms) if n not in positions)
    return set(labels).union(*others)


def _cost(terms: list[Term], pair: tuple[int, int], labels: tuple[Label, ...]) -> tuple[int, int]:
    """How much a pair adds to memory, and its number of multiplications."""
    first, second = terms[pair[0]], terms[pair[1]]
    needed = _needed(terms, pair, labels)
    sizes = dict(zip(first.labels, first.array.type.shape, strict=True))
    sizes.update(zip(second.labels, second.array.type.shape, strict=True))
    result = math.prod(size for label, size in sizes.items() if label in needed)
    work = math.prod(sizes.values())
    return result - first.array.type.size - second.array.type.size, work


def _contract_pair(first: Term, second: Term, needed: set[Label]) -> Term:
    """The product of two terms, summed over the shared labels that are not needed any more."""
    shared = [label for label in first.labels if label in second.labels]
    summed = [label for label in shared if label not in needed]
    batch = [label for label in shared if label in needed]
    free_first = tuple(label for label in first.labels if label not in shared)
    free_second = tuple(label for label in second.labels if label not in shared)
    labels = (*batch, *free_first, *free_second)
    if not summed:
        return Term(_multiply(first, second, labels), labels)
    pairs = [
        (
            tuple(first.labels.index(label) for label in group),
            tuple(second.labels.index(label) for label in group),
        )
        for group in (summed, batch)
    ]
    return Term(contract_axes(first.array, second.array, pairs[0], pairs[1]), labels)


def _multiply(first: Term, second: Term, labels: tuple[Label, ...]) -> Array:
    """The elementwise product, for a pair that has nothing to sum over."""
    factors = []
    for term in (first, second):
        present = [label for label in labels if label in term.labels]
        array = transpose(term.array, tuple(term.labels.index(label) for label in present))
        shape = tuple(term.size_of(label) if label in present else 1 for label in labels)
        factors.append(reshape(array, shape))
    return multiply(*factors)
