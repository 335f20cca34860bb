"""What each column of a table is, and why, in words that can be shown as text or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from retrograd.data.column_kinds import (
    KINDS,
    LARGEST_CATEGORY_COUNT,
    USED_KINDS,
    ColumnDecision,
    decide_kind,
)
from retrograd.data.leaks import find_leak
from retrograd.data.table import Table
from retrograd.data.target import TASKS, TargetDecision, decide_target
from retrograd.data.values import DATE_STYLES, NUMBER_STYLES
from retrograd.errors import ArgumentError, DataError, FileFormatError, suggest

__all__ = ["ColumnDecision", "ColumnPlan", "TargetDecision", "decide_columns"]


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The target, the task, and one decision for each of the other columns.

    Args:
        target: what is predicted, and whether as a class or as a number.
        decisions: one for each other column, in the order of the table.
        warnings: what the user should look at, in plain words.
    """

    target: TargetDecision
    decisions: tuple[ColumnDecision, ...]
    warnings: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self.target.task

    @property
    def features(self) -> tuple[ColumnDecision, ...]:
        """The decisions about the columns that the network sees."""
        return tuple(decision for decision in self.decisions if decision.is_used)

    def explain(self) -> list[tuple[str, str, str]]:
        """(column, kind, reason) for every column, the target first."""
        rows = [(self.target.name, f"target ({self.task})", self.target.reason)]
        return rows + [(item.name, item.kind, item.reason) for item in self.decisions]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain dicts and lists, for a model directory."""
        return {
            "target": asdict(self.target),
            "columns": [asdict(decision) for decision in self.decisions],
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_json(data: Any) -> ColumnPlan:
        """The plan that `to_json` wrote.

        Raises:
            FileFormatError: a field is missing, of another type, or unknown.
        """
        try:
            plan = ColumnPlan(
                TargetDecision(**data["target"]),
                tuple(ColumnDecision(**item) for item in data["columns"]),
                tuple(str(warning) for warning in data["warnings"]),
            )
            fields = [asdict(plan.target), *(asdict(item) for item in plan.decisions)]
            is_sound = (
                plan.task in TASKS
                and all(isinstance(value, str) for field in fields for value in field.values())
                and all(item.kind in KINDS for item in plan.decisions)
                and all(item["style"] in ("", *NUMBER_STYLES, *DATE_STYLES) for item in fields)
            )
        except (KeyError, TypeError) as error:
            raise _make_plan_error(f"{type(error).__name__}: {error}") from None
        if not is_sound:
            raise _make_plan_error("a value that retrograd does not know")
        return plan


def _make_plan_error(reason: str) -> FileFormatError:
    return FileFormatError(
        f"The column plan of the model cannot be read ({reason}).",
        fix="Train the model again: its preprocessing file is damaged or of another version.",
    )


def decide_columns(
    table: Table,
    target: str,
    task: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> ColumnPlan:
    """Decide for each column whether and how the network sees it, and give the reasons.

    Args:
        table: the whole table.
        target: the name of the column to predict.
        task: `classification` or `regression`; by default decided from the target.
        drop: names of columns to leave out.
        kinds: `numeric`, `categorical` or `date` for columns where the decision should be yours;
            such a column is kept even where it looks like an identifier or a leak.

    Returns:
        A ColumnPlan.

    Raises:
        DataError: unknown names, a target that cannot be learned, text or infinite values in a
            numeric column, or no column left to learn from.
        ArgumentError: an unknown task or kind.

    Example:
        >>> table = Table.from_columns({"size": [1.5, 2.5, 9.1, 8.7], "kind": list("aabb")})
        >>> plan = decide_columns(table, "kind")
        >>> plan.task, plan.features[0].kind
        ('classification', 'numeric')
    """
    kinds = dict(kinds or {})
    _check_names(table, target, drop, kinds)
    decision, labelled = decide_target(table, target, task)
    warnings = list(decision.warnings)
    known = table if labelled.all() else table.rows(np.flatnonzero(labelled))
    decisions = []
    for name in table.names:
        if name == target:
            continue
        if name in drop:
            decisions.append(ColumnDecision(name, "dropped", "you asked to leave it out"))
            continue
        found = decide_kind(known, name, kinds.get(name))
        if found.is_used:
            leak = find_leak(known, found, decision.target)
            if leak is not None and leak.is_certain and name not in kinds:
                found = replace(found, kind="leak", reason=leak.reason)
            elif leak is not None:
                found = replace(found, reason=f"{found.reason}; {leak.reason}")
                warnings.append(
                    f"column {name!r}: {leak.reason}; leave it out if it is not known "
                    "when you predict"
                )
        decisions.append(found)
    decisions = _keep_an_only_feature(known, decisions, warnings)
    if not any(item.is_used for item in decisions):
        raise _make_nothing_left_error(table, target, decisions)
    return ColumnPlan(decision.target, tuple(decisions), tuple(warnings))


def _check_names(table: Table, target: str, drop: Sequence[str], kinds: Mapping[str, str]) -> None:
    if isinstance(drop, str):
        raise ArgumentError(
            f"drop is the text {drop!r}; expected a list of column names.", fix=f"drop=[{drop!r}]"
        )
    for role, names in (("target", [target]), ("drop", drop), ("kinds", kinds)):
        for name in names:
            if name not in table:
                raise DataError(
                    f"There is no column {name!r} in {table.source} (given as {role}).",
                    fix=suggest(name, table.names),
                )
    if target in drop or target in kinds:
        role = "drop" if target in drop else "kinds"
        raise DataError(
            f"The target {target!r} is also named in {role}.",
            fix=f"Take it out of {role}, or choose another target.",
        )
    for name, kind in kinds.items():
        if kind not in USED_KINDS:
            raise ArgumentError(
                f"Column {name!r} cannot be of the kind {kind!r}.", fix=suggest(kind, USED_KINDS)
            )


def _keep_an_only_feature(
    table: Table, decisions: list[ColumnDecision], warnings: list[str]
) -> list[ColumnDecision]:
    """Where one column is all there is, learning from it is what the user wants."""
    candidates = [item for item in decisions if item.kind not in ("dropped", "constant", "empty")]
    if len(candidates) != 1 or candidates[0].is_used:
        return decisions
    only = candidates[0]
    if only.kind not in ("identifier", "leak"):
        return decisions
    forced = "numeric" if _reads_as(table, only.name, "numeric") else "categorical"
    if forced == "categorical" and only.kind == "identifier":
        return decisions
    kept = decide_kind(table, only.name, forced)
    reason = f"{kept.reason}; kept as the only column to learn from, though {only.reason}"
    warnings.append(f"column {only.name!r} is the only one to learn from, though {only.reason}")
    return [replace(kept, reason=reason) if item is only else item for item in decisions]


def _reads_as(table: Table, name: str, kind: str) -> bool:
    try:
        decide_kind(table, name, kind)
    except DataError:
        return False
    return True


def _make_nothing_left_error(
    table: Table, target: str, decisions: list[ColumnDecision]
) -> DataError:
    shown = "; ".join(f"{item.name!r}: {item.kind}, {item.reason}" for item in decisions[:8])
    more = f"; and {len(decisions) - 8} more" if len(decisions) > 8 else ""
    found = f"{shown}{more}" if decisions else "the table has only the target"
    return DataError(
        f"No column of {table.source} is left to predict {target!r} from ({found}).",
        fix="Add columns with numbers, dates, or texts of few values (at most "
        f"{LARGEST_CATEGORY_COUNT}), or drop fewer.",
    )
