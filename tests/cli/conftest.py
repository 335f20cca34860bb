"""What the tests of the command line share: a runner, and models that are trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrograd.cli.main import main
from tests.cli.helpers import Runner, make_flowers, make_houses, write_table


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(capsys)


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `flowers.csv` and `model`, a classification."""
    folder = tmp_path_factory.mktemp("flowers")
    table = write_table(folder / "flowers.csv", make_flowers())
    arguments = ["--target", "kind", "--out", str(folder / "model"), "--epochs", "60"]
    assert main(["train", str(table), *arguments]) == 0
    return folder


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `houses.csv` and `model`, a regression."""
    folder = tmp_path_factory.mktemp("houses")
    table = write_table(folder / "houses.csv", make_houses())
    arguments = ["--target", "price", "--out", str(folder / "model"), "--epochs", "150"]
    assert main(["train", str(table), *arguments]) == 0
    return folder
