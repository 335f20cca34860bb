"""Saving when things go wrong: damaged and hostile files, full disks, killed processes."""

from __future__ import annotations

import copy
import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import retrograd as rg
from retrograd import nn
from retrograd.errors import FileFormatError, RetrogradError, SaveError


def make_model(value: float = 1.0) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Dropout(0.5), nn.ReLU())
    model.load_state(
        {path: np.full(array.shape, value, np.float32) for path, array in state_of(model).items()}
    )
    return model


def state_of(model: nn.Module) -> dict[str, Any]:
    return {path: array.numpy() for path, array in model.named_state().items()}


def assert_holds(path: Path, value: float) -> None:
    for name, array in state_of(rg.load_model(path)).items():
        assert (array == value).all(), name


def run_script(folder: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own that can be killed; `make_model` is defined in it as above."""
    start = """
        import os, signal, sys, errno
        import numpy as np
        import retrograd as rg
        from retrograd import nn
        def make_model(value):
            model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Dropout(0.5), nn.ReLU())
            model.load_state({
                path: np.full(array.shape, value, np.float32)
                for path, array in model.named_state().items()
            })
            return model
        target = sys.argv[1]
    """
    code = textwrap.dedent(start) + textwrap.dedent(script)
    package = str(Path(rg.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": package},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    return output


# -- damaged files --------------------------------------------------------------------------------

DAMAGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(1, 255)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.integers(0, 255)),
        st.tuples(st.just("delete"), st.floats(0, 1), st.just(1)),
    ),
    min_size=1,
    max_size=4,
)


def damage(data: bytes, damages: list[tuple[str, float, int]]) -> bytes:
    for kind, fraction, number in damages:
        place = min(int(fraction * len(data)), max(len(data) - 1, 0))
        if kind == "cut":
            data = data[:place]
        elif kind == "insert":
            data = data[:place] + bytes([number]) + data[place:]
        elif data:
            middle = bytes([data[place] ^ number]) if kind == "flip" else b""
            data = data[:place] + middle + data[place + 1 :]
    return data


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    rg.save_model(make_model(), folder / "m", extra={"classes": ["a", "b", "c"]})
    return folder


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages=DAMAGES)
def test_damage_is_an_error_or_harmless(
    saved: Path, name: str, damages: list[tuple[str, float, int]]
) -> None:
    broken = saved / "broken"
    shutil.copytree(saved / "m", broken, dirs_exist_ok=True)
    (broken / name).write_bytes(damage((saved / "m" / name).read_bytes(), damages))
    for load in (
        lambda: rg.load_model(broken),
        lambda: rg.load_model(broken, into=make_model(2.0)),
    ):
        try:
            model = load()
        except RetrogradError as error:
            assert isinstance(error, ValueError)
            continue
        for path, array in state_of(model).items():
            assert (array == 1.0).all(), path


def test_a_flipped_bit_in_the_values_is_found(saved: Path) -> None:
    path = saved / "flipped.safetensors"
    data = bytearray((saved / "m" / "weights.safetensors").read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="checksum"):
        rg.load_weights(make_model(), path)


# -- hostile model.json ---------------------------------------------------------------------------


def first_layer(manifest: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = manifest["architecture"]["root"]["config"]["layers"][0]
    return layer


def grow(manifest: dict[str, Any], sizes: int) -> None:
    first_layer(manifest)["config"].update(in_features=sizes, out_features=sizes)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (lambda m: m.update(format_version=2), r"format version 2(.|\n)*upgrade"),
    "version zero": (lambda m: m.update(format_version=0), "format_version"),
    "version true": (lambda m: m.update(format_version=True), "format_version"),
    "foreign": (lambda m: m.update(format="other"), "not written by retrograd"),
    "unknown layer": (lambda m: first_layer(m).update(type="Linaer"), "Did you mean 'Linear'"),
    "a module": (lambda m: first_layer(m).update(type="os.system"), "has no layer 'os.system'"),
    "a list": (lambda m: first_layer(m).update(type=["Linear"]), "has no layer"),
    "unknown argument": (lambda m: first_layer(m)["config"].update(colour=1), "colour"),
    "wrong argument": (lambda m: first_layer(m)["config"].update(bias="yes"), "bias"),
    "wrong init": (lambda m: first_layer(m)["config"].update(init={"name": 3}), "initialiser"),
    "missing argument": (lambda m: first_layer(m)["config"].pop("in_features"), "in_features"),
    "huge": (lambda m: grow(m, 10**12), "cannot be built"),
    "large": (lambda m: grow(m, 10**8), "in the weights file"),
    "beyond int64": (lambda m: grow(m, 10**30), "cannot be built"),
    "negative": (lambda m: grow(m, -1), "at least"),
    "layers": (lambda m: m["architecture"]["root"]["config"].update(layers=3), "no layer"),
    "itself": (
        lambda m: m["architecture"]["root"]["config"]["layers"].append({"same_as": 0}),
        "No layer 0",
    ),
    "frozen": (lambda m: m["architecture"].update(frozen=["nowhere"]), "nowhere"),
    "frozen kind": (lambda m: m["architecture"].update(frozen=[{}]), "frozen"),
    "class": (lambda m: m["architecture"].update({"class": "x)\nrm"}), "name of a class"),
    "shape": (lambda m: m["arrays"]["layers.0.bias"].update(shape=[2]), "does not belong"),
    "shape kind": (lambda m: m["arrays"]["layers.0.bias"].update(shape=[1.5]), "shape"),
    "dtype": (lambda m: m["arrays"]["layers.0.bias"].update(dtype="float16"), "dtype"),
    "array": (lambda m: m["arrays"].pop("layers.0.bias"), "does not belong"),
    "no architecture": (lambda m: m.pop("architecture"), "architecture"),
    "no extra": (lambda m: m.pop("extra"), "extra"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entries_are_refused(saved: Path, tmp_path: Path, case: str) -> None:
    change, message = HOSTILE[case]
    shutil.copytree(saved / "m", tmp_path / "m")
    manifest = copy.deepcopy(json.loads((saved / "m" / "model.json").read_text()))
    change(manifest)
    (tmp_path / "m" / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match=message):
        rg.load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"eps": 1e-05', '"eps": NaN', "NaN"),
        ('"eps": 1e-05', '"eps": 1e999', "not a finite number"),
        ('"eps": 1e-05', '"eps": ' + "9" * 5000, "not JSON"),
        ('"eps": 1e-05', '"eps": 1e-05, "eps": 1e-05', "stands twice"),
        ('"extra": {', '"extra": {"deep": ' + "[" * 200 + "]" * 200 + ", ", "nested"),
        ('"extra": {', '"extra": {"deep": ' + "[" * 100_000 + "]" * 100_000 + ", ", "nested"),
    ],
)
def test_json_that_is_none(saved: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    shutil.copytree(saved / "m", tmp_path / "m")
    text = (saved / "m" / "model.json").read_text()
    assert text.count(old) == 1
    (tmp_path / "m" / "model.json").write_text(text.replace(old, new))
    with pytest.raises(FileFormatError, match=message):
        rg.load_model(tmp_path / "m")


# -- disks that refuse ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("save", "name"),
    [
        *((rg.save_model, name) for name in ("mkdir", "fsync", "chmod", "rename")),
        *((rg.save_weights, name) for name in ("open", "fsync", "chmod", "replace")),
    ],
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_failing_disk_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Any, name: str, number: int
) -> None:
    target = tmp_path / "target"
    save(make_model(1.0), target)
    real = getattr(os, name)

    def fail(*arguments: Any, **keywords: Any) -> Any:
        if name == "open" and not arguments[1] & os.O_CREAT:
            return real(*arguments, **keywords)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(SaveError) as caught:
            save(make_model(2.0), target)
    assert os.strerror(number) in str(caught.value) and str(target) in str(caught.value)
    assert os.listdir(tmp_path) == ["target"]
    if save is rg.save_model:
        assert_holds(target, 1.0)
    else:
        model = make_model(3.0)
        rg.load_weights(model, target)
        assert all((array == 1.0).all() for array in state_of(model).values())


def test_a_limit_of_the_system_leaves_the_old_one(tmp_path: Path) -> None:
    """A real write that stops in the middle: the size of files is limited."""
    rg.save_model(make_model(1.0), tmp_path / "m")
    rg.save_weights(make_model(1.0), tmp_path / "w")
    script = """
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        for save, name in ((rg.save_model, "m"), (rg.save_weights, "w")):
            try:
                save(make_model(2.0), os.path.join(target, name))
            except rg.RetrogradError as error:
                assert type(error).__name__ == "SaveError" and "File too large" in str(error)
            else:
                raise AssertionError("it was saved")
    """
    finish(run_script(tmp_path, script))
    assert sorted(os.listdir(tmp_path)) == ["m", "w"]
    assert_holds(tmp_path / "m", 1.0)


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    model = make_model()
    with pytest.raises(SaveError, match="directory"):
        rg.save_weights(model, tmp_path)
    for path in (tmp_path / "file" / "x", tmp_path / ("n" * 300), Path("/proc/nowhere/x")):
        with pytest.raises(SaveError, match="could not be written"):
            rg.save_weights(model, path)
        with pytest.raises(SaveError, match="could not be written"):
            rg.save_model(model, path)
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    with pytest.raises(SaveError):
        rg.save_model(model, tmp_path / "loop")
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    for save in (rg.save_model, rg.save_weights):
        with pytest.raises(SaveError, match="Permission denied"):
            save(make_model(), folder / "m")
    assert os.listdir(folder) == []


# -- killed processes and several at once ---------------------------------------------------------


def test_a_process_killed_at_any_call_leaves_a_whole_model(tmp_path: Path) -> None:
    script = """
        CALLS = ("open", "mkdir", "fsync", "chmod", "rename", "replace", "rmdir", "unlink", "close")
        rg.save_model(make_model(1.0), target)
        old, outcomes = 1.0, set()
        for kill_at in range(200):
            new = float(kill_at + 2)
            model = make_model(new)
            child = os.fork()
            if child == 0:
                count = 0
                def count_and_die(real):
                    def call(*arguments, **keywords):
                        global count
                        if count == kill_at:
                            os.kill(os.getpid(), signal.SIGKILL)
                        count += 1
                        return real(*arguments, **keywords)
                    return call
                for name in CALLS:
                    setattr(os, name, count_and_die(getattr(os, name)))
                rg.save_model(model, target)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            found = {float(v) for a in rg.load_model(target).named_state().values()
                     for v in np.asarray(a).reshape(-1)}
            assert found in ({old}, {new}), (kill_at, found)
            outcomes.add(found == {new})
            old = found.pop()
            if status == 0:
                break
        assert status == 0 and kill_at > 10 and outcomes == {True, False}, (kill_at, outcomes)
        rg.save_model(make_model(0.0), target)
        print(sorted(os.listdir(os.path.dirname(target))), kill_at)
    """
    output = finish(run_script(tmp_path / "m", script))
    assert output.startswith("['m']"), output


@pytest.mark.slow
def test_a_process_killed_at_any_time_leaves_a_whole_model(tmp_path: Path) -> None:
    rg.save_model(make_model(1.0), tmp_path / "m")
    script = """
        print("ready", flush=True)
        for value in range(10**6):
            rg.save_model(make_model(float(value)), target)
    """
    delays = np.random.default_rng(0).uniform(0.0, 0.05, 8)
    for delay in delays:
        process = run_script(tmp_path / "m", script)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            process.wait(float(delay))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        arrays = state_of(rg.load_model(tmp_path / "m")).values()
        assert len({float(value) for array in arrays for value in array.reshape(-1)}) == 1
    rg.save_model(make_model(5.0), tmp_path / "m")
    assert_holds(tmp_path / "m", 5.0)
    assert os.listdir(tmp_path) == ["m"]


def test_several_writers_and_a_reader(tmp_path: Path) -> None:
    rg.save_model(make_model(0.0), tmp_path / "m", extra={"value": 0.0})
    script = """
        for number in range(40):
            value = float(int(sys.argv[2]) * 1000 + number)
            rg.save_model(make_model(value), target, extra={"value": value})
            rg.save_weights(make_model(value), target + ".safetensors")
    """
    writers = [run_script(tmp_path / "m", script, str(number)) for number in (1, 2, 3)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        arrays = state_of(rg.load_model(tmp_path / "m")).values()
        values = {float(value) for array in arrays for value in array.reshape(-1)}
        assert len(values) == 1
        seen |= values
        assert rg.load_model_info(tmp_path / "m").extra["value"] is not None
    for writer in writers:
        finish(writer)
    last = rg.load_model_info(tmp_path / "m").extra["value"]
    assert last % 1000 == 39
    assert_holds(tmp_path / "m", last)
    assert len(seen) > 3
    assert sorted(os.listdir(tmp_path)) == ["m", "m.safetensors"]
