"""Whether a review of food is a great one, from its text: `make reviews`.

The R package modeldata ships 5,000 reviews, split into 4,000 to learn and 1,000 to test with. The
test rows are never seen by the training: what is chosen is chosen by the 4,000.
"""

from __future__ import annotations

from pathlib import Path

from retrograd.data.table import write_predictions

from .application import make_parser, retrograd, run
from .packages import DebianPackage
from .r_data import read_r_database

PACKAGE = DebianPackage(
    "r-cran-modeldata",
    "1.1.0-1",
    "66c2e08bb4bf695d972b1e72ea44d5af9ada3c42841793d3871017f7b896bf95",
)
DATABASE = "usr/lib/R/site-library/modeldata/data/Rdata"
COLUMNS = ("product", "review", "score")


def write_reviews(folder: Path, data: Path | None = None) -> tuple[Path, Path]:
    """Write the tables to learn and to test with.

    Returns:
        their files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = read_r_database(PACKAGE.open(data), DATABASE, ("training_data", "testing_data"))
    files = []
    for name, table in tables.items():
        file = folder / f"{name}.csv"
        columns = {column: [str(value) for value in table[column]] for column in COLUMNS}
        write_predictions(str(file), columns)
        files.append(file)
    return files[0], files[1]


def main() -> None:
    parser = make_parser("reviews", __doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="how many, counted from --seed (1)")
    options = parser.parse_args()
    learned, tested = write_reviews(options.folder, options.data)
    for seed in range(int(options.seed), int(options.seed) + options.seeds):
        model = options.folder / f"judge-{seed}"
        train = ("train", learned, "--task", "text", "--target", "score")
        retrograd(*train, "--out", model, "--seed", str(seed), "--force")
        retrograd("evaluate", model, tested)


if __name__ == "__main__":
    run(main)
