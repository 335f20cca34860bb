"""Writes src/retrograd/data/files/digits.npz from scikit-learn's copy of the UCI digits.

Run with scikit-learn: python oracles/make_digits.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parent.parent / "src" / "retrograd" / "data" / "files" / "digits.npz"


def main() -> None:
    images, labels = load_digits().images, load_digits().target
    small_images, small_labels = images.astype(np.uint8), labels.astype(np.uint8)
    if not (np.array_equal(small_images, images) and np.array_equal(small_labels, labels)):
        raise SystemExit("the digits are no longer whole numbers below 256")
    np.savez_compressed(TARGET, images=small_images, labels=small_labels)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
