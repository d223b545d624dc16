#!/bin/sh
# Times the models of this kit on this machine:
#
#     sh run.sh --quick                a first look, in minutes
#     sh run.sh                        the whole method
#     sh run.sh --units CPU_AND_NE     any option of `coremlbench convert-and-time`
#     sh run.sh report                 any other command of coremlbench
#
# It needs Python 3.10 to 3.13 and, the first time, a package index. It asks for no password and changes nothing outside
# of two folders in your home: the program, in ~/@ENVIRONMENT@, and the results, in ~/coremlbench-results.
# COREMLBENCH_PYTHON names a Python to use.
set -eu

say() { printf '%s\n' "$*"; }
tell() { say "$*" >&2; }  # standard output is the program's alone: it may be JSON
stop() { tell "$*"; exit 2; }

unset CDPATH
kit=$(cd "$(dirname "$0")" && pwd)
[ -n "${HOME:-}" ] || stop "This user has no home folder (HOME is not set), and the program is installed there."
environment="$HOME/@ENVIRONMENT@"
results="$HOME/coremlbench-results"
lock="$kit/program/requirements.lock"

[ -f "$lock" ] || stop "This kit is not whole: it has no program/requirements.lock; copy its folder again."

# --- the system ---

# Under Rosetta, every figure would be that of a translation.
if [ "$(uname -s) $(uname -m)" = "Darwin x86_64" ] && [ "$(/usr/sbin/sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
    exec /usr/bin/arch -arm64 /bin/sh "$0" ${1+"$@"}
fi
processor=$(uname -m)
case $(uname -s) in
Darwin)
    release=$(/usr/bin/sw_vers -productVersion)
    [ "${release%%.*}" -ge 14 ] || stop "This kit needs macOS 14 or later, and this is macOS $release."
    ;;
Linux)
    [ "$processor" = x86_64 ] || stop "This kit runs on Macs and on Linux for x86-64, and this processor is $processor."
    ;;
*)
    stop "This kit runs on Macs and on Linux for x86-64, and this is $(uname -s)."
    ;;
esac

# --- Python 3.10 to 3.13 ---

# Prints the version of a Python that can be used, or fails: it is another version, cannot make environments, or is for
# another processor.
usable() {
    "$1" -c 'import ensurepip, platform, sys, venv
if (3, 10) <= sys.version_info[:2] <= (3, 13) and platform.machine() == sys.argv[1]:
    print(platform.python_version())
else:
    sys.exit(1)' "$processor" 2>/dev/null
}

candidates() {
    for version in 3.12 3.13 3.11 3.10; do
        command -v "python$version" || :
        for folder in "$HOME/.local/bin" /opt/homebrew/bin /usr/local/bin \
            "/Library/Frameworks/Python.framework/Versions/$version/bin"; do
            say "$folder/python$version"
        done
        for path in "$HOME/.local/share/uv/python/cpython-$version".*/bin/python3 \
            "$HOME/.pyenv/versions/$version".*/bin/python3; do
            say "$path"
        done
    done
    command -v python3 || :
    for folder in miniforge3 miniconda3 anaconda3; do say "$HOME/$folder/bin/python3"; done
}

find_python() {
    candidates | while IFS= read -r path; do
        # Where no developer tools are installed, /usr/bin/python3 of macOS opens a window instead of running.
        [ "$path" != /usr/bin/python3 ] || [ "$(uname -s)" != Darwin ] || continue
        [ -x "$path" ] || continue
        if found=$(usable "$path"); then
            say "$path"
            break
        fi
    done
}

if [ -n "${COREMLBENCH_PYTHON:-}" ]; then
    python=$COREMLBENCH_PYTHON
    version=$(usable "$python") ||
        stop "$python is no Python 3.10 to 3.13 for $processor that can make environments; name another in COREMLBENCH_PYTHON."
else
    python=$(find_python)
    [ -n "$python" ] || stop "There is no Python 3.10 to 3.13 for $processor here (macOS's own is 3.9); without" \
        "administrator rights, \`curl -LsSf https://astral.sh/uv/install.sh | sh\`, then \`~/.local/bin/uv python install" \
        "3.12\` puts one into your home folder; then run this again."
    version=$(usable "$python")
fi

# --- the program ---

if [ -f "$environment/kit-installed" ] && "$environment/bin/python" -c "" 2>/dev/null; then
    tell "The program is installed in $environment already."
else
    tell "Step 1 of 3: making an environment with Python $version ($python) in $environment"
    "$python" -m venv "$environment" ||
        stop "The environment could not be made; the lines above say why. Remove $environment and run this again."
    tell "Step 2 of 3: installing what $lock lists into it, each file checked by its hash; this takes a minute or two"
    "$environment/bin/python" -m pip install --disable-pip-version-check --quiet --progress-bar off --no-compile \
        --no-deps -r "$lock" ||
        stop "The packages could not be installed; the lines above say why. Check the connection, then run this again."
    : >"$environment/kit-installed"
fi

# --- the measurement ---

export COREMLBENCH_RESULTS="$results"
mkdir -p "$results"
case ${1:-} in
[a-z]*)
    exec "$environment/bin/coremlbench" "$@" ;;
esac
tell "Step 3 of 3: timing the models of $kit; results go to $results"
ended=0
"$environment/bin/coremlbench" convert-and-time --from-kit "$kit" ${1+"$@"} || ended=$?
[ "$ended" -ne 2 ] || exit 2  # wrong options: nothing was measured
# Beside the kit too, so that they travel with it.
if mkdir -p "$kit/results" 2>/dev/null && cp -R "$results/." "$kit/results/" 2>/dev/null; then
    tell "The results are in $kit/results too."
else
    tell "This folder cannot be written to, so the results are in $results only."
fi
tell "To remove the program: rm -r \"$environment\""
exit "$ended"
