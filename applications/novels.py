"""Character models of Jane Austen's six novels: `make novels`.

The texts are those of the R package janeaustenr (4.0 million characters, in the public domain). A
GPT and an LSTM learn them for 4,000 steps each; bits per character are measured on the last tenth
of each novel.
"""

from __future__ import annotations

from pathlib import Path

from .application import make_parser, retrograd, run
from .packages import DebianPackage, write_whole
from .r_data import read_r_database

PACKAGE = DebianPackage(
    "r-cran-janeaustenr",
    "1.0.0-1",
    "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
)
DATABASE = "usr/lib/R/site-library/janeaustenr/data/Rdata"


def write_novels(folder: Path, data: Path | None = None) -> Path:
    """Write each novel into a text file.

    Returns:
        the folder of the files.
    """
    texts = folder / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    for name, lines in read_r_database(PACKAGE.open(data), DATABASE).items():
        text = "\n".join(str(line) for line in lines) + "\n"
        write_whole(texts / f"{name}.txt", text.encode())
    return texts


def main() -> None:
    parser = make_parser("novels", __doc__.splitlines()[0])
    parser.add_argument("--networks", default="gpt,lstm", help="which ones (gpt,lstm)")
    options = parser.parse_args()
    texts = write_novels(options.folder, options.data)
    for network in options.networks.split(","):
        model = options.folder / network
        train = ("train", texts, "--task", "language", "--network", network)
        retrograd(*train, "--out", model, "--seed", options.seed, "--force")
        retrograd("generate", model, "--prompt", "It is a truth", "--seed", "1")


if __name__ == "__main__":
    run(main)
