"""The errors: every one says what was expected, what was received, where, and what to do."""

from __future__ import annotations

import inspect
import os
import traceback
from pathlib import Path
from types import FunctionType

import pytest

from retrograd import errors
from retrograd.errors import RetrogradError, SourceLine

ERROR_CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, RetrogradError)
]


def make_error(error_class: type[RetrogradError]) -> RetrogradError:
    if error_class is errors.MissingDependencyError:
        return error_class("polars", "tables", "Reading Parquet")  # type: ignore[arg-type]
    return error_class("expected 3, received 4", fix="pass 3")


def define_internal_function(source: str, name: str) -> FunctionType:
    """A function whose frames look like those of a file inside the package."""
    namespace: dict[str, object] = {}
    file = os.path.join(errors.PACKAGE_FOLDER, "pretended.py")
    exec(compile(source, file, "exec"), namespace)
    function = namespace[name]
    assert isinstance(function, FunctionType)
    return function


# --- the classes


@pytest.mark.parametrize("error_class", ERROR_CLASSES, ids=lambda item: item.__name__)
def test_every_error_shows_its_message_place_and_fix(error_class: type[RetrogradError]) -> None:
    error = make_error(error_class)
    lines = str(error).splitlines()
    assert lines[0] == error.message
    assert lines[1].startswith(f"  where: {__file__}:")
    assert "in make_error" in lines[1]
    assert lines[2] == f"  fix: {error.fix}"
    assert len(lines) == 3


@pytest.mark.parametrize("error_class", ERROR_CLASSES, ids=lambda item: item.__name__)
def test_every_error_has_a_docstring_of_its_own(error_class: type[RetrogradError]) -> None:
    assert error_class.__dict__.get("__doc__")


@pytest.mark.parametrize(
    ("error_class", "builtin"),
    [
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.ArgumentError, ValueError),
        (errors.ArgumentTypeError, TypeError),
        (errors.IndexRangeError, IndexError),
        (errors.ImmutableError, TypeError),
        (errors.TracingError, TypeError),
        (errors.ClosureError, ValueError),
        (errors.StateError, ValueError),
        (errors.NotDifferentiableError, TypeError),
        (errors.GradientCheckError, AssertionError),
        (errors.VerificationError, AssertionError),
        (errors.DataError, ValueError),
        (errors.FileFormatError, ValueError),
        (errors.ModelFileError, errors.FileFormatError),
        (errors.SaveError, OSError),
        (errors.DownloadError, OSError),
        (errors.MissingDependencyError, ImportError),
    ],
    ids=lambda item: item.__name__,
)
def test_errors_are_also_the_builtin_that_fits(
    error_class: type[RetrogradError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise make_error(error_class)
    with pytest.raises(RetrogradError):
        raise make_error(error_class)


def test_an_error_without_a_fix_ends_with_its_place() -> None:
    error = errors.ShapeError("expected (2, 3), received (3, 2)")
    assert error.fix is None
    assert str(error).splitlines()[-1].startswith("  where: ")
    assert "fix:" not in str(error)


def test_a_given_place_is_kept() -> None:
    where = SourceLine("model.py", 12, "forward")
    error = errors.ShapeError("expected (2, 3)", where=where)
    assert error.where is where
    assert "  where: model.py:12, in forward" in str(error)


def test_an_error_that_is_an_os_error_keeps_its_message() -> None:
    error = errors.SaveError("cannot write model.json: the disk is full", fix="free some space")
    assert str(error).startswith("cannot write model.json: the disk is full\n")
    assert error.args == ("cannot write model.json: the disk is full",)


def test_a_missing_dependency_names_the_package_and_the_extra() -> None:
    error = errors.MissingDependencyError("polars", extra="tables", purpose="Reading Parquet")
    text = str(error)
    assert "Reading Parquet needs the package polars, which is not installed." in text
    assert 'pip install "retrograd[tables]"' in text
    assert "pip install polars" in text


# --- the user's line


def test_source_line_shows_file_line_function_and_text(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("x = 1\n    y = x @ x\n", encoding="utf-8")
    line = SourceLine(str(file), 2, "step")
    assert line.text() == "y = x @ x"
    assert str(line) == f"{file}:2, in step: y = x @ x"


def test_source_line_without_a_readable_file_shows_the_place_only() -> None:
    line = SourceLine("<stdin>", 3, "<module>")
    assert line.text() == ""
    assert str(line) == "<stdin>:3, in <module>"


def test_source_lines_are_values() -> None:
    line = SourceLine("a.py", 1, "f")
    assert line == SourceLine("a.py", 1, "f")
    assert len({line, SourceLine("a.py", 1, "f"), SourceLine("a.py", 2, "f")}) == 2
    with pytest.raises(AttributeError):
        line.line = 2  # type: ignore[misc]


def test_internal_files_are_those_of_the_package() -> None:
    assert errors.is_internal(errors.__file__)
    assert errors.is_internal("<frozen importlib._bootstrap>")
    assert not errors.is_internal(__file__)
    # A neighbour whose name begins alike is the user's.
    assert not errors.is_internal(errors.PACKAGE_FOLDER.rstrip(os.sep) + "_extras/model.py")
    assert not errors.is_internal("<stdin>")


def test_the_users_line_is_the_innermost_outside_the_package() -> None:
    call = define_internal_function("def call(function):\n    return function()\n", "call")
    line = call(errors.find_user_line)
    assert line is not None
    assert line.file == __file__
    assert line.function == "test_the_users_line_is_the_innermost_outside_the_package"
    assert "errors.find_user_line" in line.text()


def test_a_callback_of_the_user_is_the_users_line() -> None:
    call = define_internal_function("def call(function):\n    return function()\n", "call")

    def callback() -> SourceLine | None:
        return errors.find_user_line()

    line = call(callback)
    assert line is not None
    assert line.function == "callback"


def test_an_error_raised_inside_the_package_names_the_users_line() -> None:
    fail = define_internal_function(
        "from retrograd.errors import ShapeError\n"
        "def fail():\n"
        "    raise ShapeError('expected (2,), received (3,)')\n",
        "fail",
    )
    with pytest.raises(errors.ShapeError) as caught:
        fail()
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
    assert caught.value.where.text() == "fail()"


# --- suggestions


def test_suggest_offers_the_nearest_name() -> None:
    assert errors.suggest("adm", ["sgd", "adam", "adagrad"]) == "Did you mean 'adam'?"


def test_suggest_lists_all_names_when_none_is_near() -> None:
    assert errors.suggest("xyz", ["sgd", "adam"]) == "Known: 'sgd', 'adam'."


def test_suggest_cuts_a_long_list_and_counts_the_rest() -> None:
    names = [f"column_{index}" for index in range(25)]
    text = errors.suggest("!!!", names)
    assert text.endswith("'column_19' and 5 more.")
    assert "column_20" not in text


def test_suggest_shows_exactly_twenty_without_a_rest() -> None:
    text = errors.suggest("!!!", [f"column_{index}" for index in range(20)])
    assert text.endswith("'column_19'.")


def test_suggest_has_nothing_to_say_without_names() -> None:
    assert errors.suggest("adam", []) == ""


def test_suggest_takes_any_iterable_and_names_that_are_not_strings() -> None:
    assert errors.suggest("adm", iter({"adam": 1})) == "Did you mean 'adam'?"
    assert errors.suggest("7", [1, 2]) == "Known: '1', '2'."


# --- tracebacks


def raise_through_the_package() -> None:
    call = define_internal_function("def call(function):\n    return function()\n", "call")

    def fail() -> None:
        raise errors.ShapeError("expected (2,), received (3,)")

    call(fail)


def catch_and_hide() -> RetrogradError:
    try:
        raise_through_the_package()
    except RetrogradError as error:
        errors.hide_internal_frames(error)
        return error
    raise AssertionError("the function should have raised")


def list_functions(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_internal_frames_are_hidden_and_the_users_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETROGRAD_FULL_TRACEBACK", raising=False)
    assert list_functions(catch_and_hide()) == [
        "catch_and_hide",
        "raise_through_the_package",
        "fail",
    ]


def test_line_numbers_survive_the_hiding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETROGRAD_FULL_TRACEBACK", raising=False)
    frames = traceback.extract_tb(catch_and_hide().__traceback__)
    assert [frame.line for frame in frames] == [
        "raise_through_the_package()",
        "call(fail)",
        'raise errors.ShapeError("expected (2,), received (3,)")',
    ]


def test_the_full_traceback_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_FULL_TRACEBACK", "1")
    assert list_functions(catch_and_hide()) == [
        "catch_and_hide",
        "raise_through_the_package",
        "call",
        "fail",
    ]


def test_hiding_takes_an_error_that_was_never_raised() -> None:
    error = errors.DataError("the table is empty")
    errors.hide_internal_frames(error)
    assert error.__traceback__ is None


def test_hiding_works_for_errors_of_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETROGRAD_FULL_TRACEBACK", raising=False)
    divide = define_internal_function("def divide():\n    return 1 / 0\n", "divide")
    try:
        divide()
    except ZeroDivisionError as error:
        errors.hide_internal_frames(error)
        hidden = error
        assert list_functions(hidden) == [
            "test_hiding_works_for_errors_of_other_libraries",
        ]
    else:
        raise AssertionError("the function should have raised")
