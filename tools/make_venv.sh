#!/bin/sh
# Makes a virtual environment: tools/make_venv.sh FOLDER [PREFERRED_VERSION]
#
# Whatever an interrupted run left is removed first. The stamp FOLDER/.made is written last and
# holds the absolute path: an environment does not survive being moved, and the Makefile compares.
set -eu

folder=$1
python=$(sh "$(dirname "$0")/find_python.sh" "${2:-}")
rm -rf "$folder"
echo "Making $folder with $("$python" --version 2>&1) ($python)"
"$python" -m venv "$folder"
printf '%s\n' "$(pwd -P)/$folder" >"$folder/.made"
