"""The version of retrograd, which files that it writes name."""

VERSION = "0.1.0"
