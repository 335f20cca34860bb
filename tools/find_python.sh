#!/bin/sh
# Prints the command of a Python that can make a virtual environment: 3.11 or newer, with venv and
# ensurepip. The newest known version wins; a version given as argument is preferred, e.g.
# `tools/find_python.sh 3.11`. $PYTHON, when set, is the only candidate.
#
# A candidate counts only if it really runs: a pyenv shim may exist for a version that is not active.
set -u

preferred=${1:+python$1}
candidates=${PYTHON:-"$preferred python3.14 python3.13 python3.12 python3.11 python3 python"}
# "3.12 complete" or "3.12 partial" (no venv or no ensurepip). Every Python since 2.6 can run it.
probe='
import sys
try:
    import ensurepip, venv
    state = "complete"
except ImportError:
    state = "partial"
print("%d.%d %s" % (sys.version_info[0], sys.version_info[1], state))
'
partial_command=
partial_version=
too_old=

for command in $candidates; do
    answer=$("$command" -c "$probe" </dev/null 2>/dev/null) || continue
    version=${answer%% *}
    state=${answer##* }
    major=${version%%.*}
    minor=${version##*.}
    case "$major$minor" in '' | *[!0-9]*) continue ;; esac
    if [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt 11 ]; }; then
        too_old="$too_old $command ($version)"
        continue
    fi
    if [ "$state" = complete ]; then
        printf '%s\n' "$command"
        exit 0
    fi
    if [ -z "$partial_command" ]; then
        partial_command=$command
        partial_version=$version
    fi
done

{
    if [ -n "$partial_command" ]; then
        echo "retrograd: $partial_command (Python $partial_version) lacks the modules venv or ensurepip,"
        echo "which are needed to make the environment. Install them, then run make again:"
        if command -v apt-get >/dev/null 2>&1; then
            echo "    sudo apt-get install python$partial_version-venv"
        else
            echo "    Debian, Ubuntu:  sudo apt-get install python$partial_version-venv"
            echo "    elsewhere:       install a complete Python from https://www.python.org/downloads/"
        fi
    else
        echo "retrograd needs Python 3.11 or newer; none was found (looked for: $(echo $candidates))."
        [ -n "$too_old" ] && echo "Too old:$too_old."
        echo "Install one, then run make again:"
        echo "    Debian 12+, Ubuntu 24.04+:  sudo apt-get install python3 python3-venv"
        echo "    Fedora:                     sudo dnf install python3"
        echo "    macOS with Homebrew:        brew install python@3.13"
        echo "    elsewhere:                  https://www.python.org/downloads/"
        echo "If it lies off the PATH, name it: make test PYTHON=/path/to/python3"
    fi
} >&2
exit 1
