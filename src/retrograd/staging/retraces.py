"""Why a function was traced again: what differs in its arguments from a call that it knew."""

from __future__ import annotations

import sys
import warnings
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RetraceWarning, is_internal
from .describe import Call, Leaf, Static, Template

MOST_KNOWN = 16
"""Calls that a new one is compared with: the last ones."""
MOST_KEPT = 100
"""Retraces that are remembered: the last ones."""
MANY = 8
"""Retraces for one argument after which the user is told."""
LONGEST = 60
"""Characters of a value in a message."""
MOST_SHOWN = 6
"""Different reasons in the text of a retrace."""
LOGGER = "retrograd"


@dataclass(frozen=True, slots=True)
class Difference:
    """One argument, or part of one, that is not as it was.

    Args:
        path: where it stands: `x`, `model.layers[2].weight`, `batch['mask']`.
        before: what stood there; None if nothing did.
        now: what stands there; None if nothing does.
    """

    path: str
    before: str | None
    now: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.path}: {self.now} is new"
        if self.now is None:
            return f"{self.path}: {self.before} is gone"
        return f"{self.path}: {self.before} before, {self.now} now"


@dataclass(frozen=True, slots=True)
class Retrace:
    """A function was traced again, though it had been traced before.

    Args:
        function: its name.
        number: which of its programs was made, counted from 1; a retrace is 2 or more.
        differences: all that differs from the most similar of the calls before.
    """

    function: str
    number: int
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        """All differences, but one that many places have in common (a mode) once."""
        groups: dict[tuple[Any, ...], list[Difference]] = {}
        for difference in self.differences:
            name = difference.path.rpartition(".")[2]
            groups.setdefault((name, difference.before, difference.now), []).append(difference)
        reasons = [
            f"{group[0]} (and {len(group) - 1} more places)" if len(group) > 1 else str(group[0])
            for group in groups.values()
        ]
        if len(reasons) > MOST_SHOWN:
            left = len(reasons) - MOST_SHOWN
            reasons = [*reasons[:MOST_SHOWN], f"and {left} more differences"]
        return f"{self.function} is traced again (program {self.number}): {'; '.join(reasons)}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """What stands at a path: in words, inside of what, and what else is compared."""

    text: str
    parent: str | None
    static: Static | None = None
    keys: tuple[Any, ...] = ()  # of a dict, in its order


Entries = dict[str, _Entry]


class TraceHistory:
    """The calls for which a function was traced, and why each was not one of those before.

    Args:
        function: its name, for messages.
    """

    def __init__(self, function: str) -> None:
        self.function = function
        self.retraces: deque[Retrace] = deque(maxlen=MOST_KEPT)
        self._known: deque[Entries] = deque(maxlen=MOST_KNOWN)
        self._count = 0
        self._blamed: Counter[str] = Counter()

    def record(self, call: Call, names: Sequence[str]) -> None:
        """A program was made for this call.

        Args:
            call: the arguments, taken apart.
            names: those of the parameters.
        """
        entries = _list_entries(call, names)
        self._count += 1
        if self._known:
            found = min((_compare(known, entries) for known in reversed(self._known)), key=len)
            self._tell(Retrace(self.function, self._count, tuple(found)))
        self._known.append(entries)

    def _tell(self, retrace: Retrace) -> None:
        import logging  # here, as importing retrograd shall stay quick

        self.retraces.append(retrace)
        logging.getLogger(LOGGER).info("%s", retrace)
        for difference in retrace.differences:
            self._blamed[difference.path] += 1
            if self._blamed[difference.path] == MANY + 1:
                warnings.warn(
                    f"{self.function} was traced again {MANY + 1} times for one argument, this "
                    f"time for {difference}. Each program is compiled anew. Keep shapes the same "
                    "(pad, or drop the last part of an epoch), and pass values that change as "
                    "numbers or Arrays rather than as bools, strings or new objects; "
                    f"{self.function}.retraces lists all reasons.",
                    RetraceWarning,
                    stacklevel=_count_internal_frames(),
                )


def _count_internal_frames() -> int:
    """The stacklevel at which the caller of `_tell` has to warn for the user's line to be shown."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
        level += 1
    return level


# -- what a call is made of -----------------------------------------------------------------------


def _list_entries(call: Call, names: Sequence[str]) -> Entries:
    """Every place in the arguments, by its path."""
    entries: Entries = {}
    places: dict[int, str] = {}  # of leaves and objects that may occur again
    objects: dict[int, str] = {}

    def visit(template: Template, path: str, parent: str | None) -> None:
        form = template[0]
        if form == "leaf":
            first = places.setdefault(template[1], path)
            leaf = call.leaves[template[1]]
            text = _describe_leaf(leaf) if first == path else f"the same Array as {first}"
            entries[path] = _Entry(text, parent)
        elif form == "static":
            entries[path] = _Entry(_describe_static(template[1]), parent, template[1])
        elif form == "seen":
            entries[path] = _Entry(f"the same object as {objects[template[1]]}", parent)
        elif form == "object":
            objects[template[1]] = path
            entries[path] = _Entry(template[2].__name__, parent)
            for name, child in template[3]:
                visit(child, f"{path}.{name}", path)
        else:
            kind = template[1]
            text = "None" if kind[0] == "none" else f"a {kind[1].__name__}"
            keys = kind[2].order if kind[0] == "dict" else ()
            entries[path] = _Entry(text, parent, keys=keys)
            for part, child in zip(_list_parts(template[1], template[2]), template[2], strict=True):
                visit(child, path + part, path)

    for position, template in enumerate(call.arguments):
        name = names[position] if position < len(names) else f"argument {position + 1}"
        visit(template, name, None)
    for name, template in call.keywords:
        visit(template, name, None)
    return entries


def _describe_leaf(leaf: Leaf) -> str:
    if leaf.kind == "number":
        return f"a Python {type(leaf.value).__name__}"
    value = leaf.value.type if leaf.kind == "array" else leaf.value
    text = f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
    return text if leaf.kind == "array" else f"NumPy {text}"


def _describe_static(static: Static) -> str:
    text = " ".join(repr(static.value).split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    plain = static.value is None or isinstance(static.value, (bool, str, int, float))
    return text if plain else f"{type(static.value).__name__} {text}"


def _list_parts(kind: tuple[Any, ...], children: tuple[Any, ...]) -> list[str]:
    """What is written behind the path of a container for each of its parts."""
    form = kind[0]
    if form == "dict":
        return [f"[{key!r}]" for key in kind[2]]
    if form == "dataclass":
        return [f".{name}" for name in kind[2]]
    fields = getattr(kind[1], "_fields", None) if form == "tuple" else None
    if fields is not None:
        return [f".{name}" for name in fields]
    return [f"[{number}]" for number in range(len(children))]


# -- what differs ---------------------------------------------------------------------------------


def _compare(before: Entries, now: Entries) -> list[Difference]:
    """All differences; of what is new, gone or of another kind only the whole, not its parts."""
    found: list[Difference] = []
    covered: set[str] = set()
    for path in (*now, *(path for path in before if path not in now)):
        old, new = before.get(path), now.get(path)
        parent = (new or old or _NOTHING).parent
        if parent in covered:
            covered.add(path)
        elif old is None or new is None:
            covered.add(path)
            texts = [None if entry is None else entry.text for entry in (old, new)]
            found.append(Difference(path, *texts))
        elif old.text != new.text:
            covered.add(path)
            found.append(Difference(path, old.text, new.text))
        elif old.static != new.static:
            found.append(Difference(path, old.text, f"another {new.text}"))
        elif old.keys != new.keys and set(old.keys) == set(new.keys):
            found.append(Difference(path, _describe_order(old), _describe_order(new)))
    return found


_NOTHING = _Entry("nothing", None)


def _describe_order(entry: _Entry) -> str:
    return f"keys in the order {', '.join(map(repr, entry.keys))}"
