#!/bin/sh
# Times the models of this kit on this Mac, without Python:
#
#     sh run.sh
#
# The same command goes on where an earlier one stopped. It asks for no password and changes nothing outside of two
# folders in your home: the program, in ~/@PROGRAM@, and the results, in ~/coremlbench-native-results.
# COREMLBENCH_NATIVE_SWIFTC names another Swift compiler than that of Apple's Command Line Tools.
set -eu

say() { printf '%s\n' "$*"; }
stop() { say "$*" >&2; exit 2; }

unset CDPATH
kit=$(cd "$(dirname "$0")" && pwd)
[ -n "${HOME:-}" ] || stop "This user has no home folder (HOME is not set), and the program is kept there."
for part in plan.json manifest.json swift packages; do
    [ -e "$kit/$part" ] || stop "This kit is not whole: it has no $part; copy its folder again."
done

# --- the system ---

system=$(uname -s)
if [ "$system" = Darwin ]; then
    # Under Rosetta, every figure would be that of a translation.
    if [ "$(uname -m)" = x86_64 ] && [ "$(/usr/sbin/sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
        exec /usr/bin/arch -arm64 /bin/sh "$0" ${1+"$@"}
    fi
    release=$(/usr/bin/sw_vers -productVersion)
    [ "${release%%.*}" -ge 14 ] || stop "This kit needs macOS 14 or later, and this is macOS $release."
elif [ -z "${COREMLBENCH_NATIVE_SWIFTC:-}" ]; then
    stop "This kit runs on a Mac, as Core ML is part of macOS, and this is $system."
fi

sha256() { if command -v shasum >/dev/null; then shasum -a 256; else sha256sum; fi; }
if [ "$system" = Darwin ]; then
    identity=$(/usr/sbin/ioreg -rd1 -c IOPlatformExpertDevice | sed -n 's/.*"IOPlatformUUID" = "\([^"]*\)".*/\1/p')
else
    identity=$(cat /etc/machine-id 2>/dev/null || uname -n)
fi
# Twelve digits that tell machines apart and reveal nothing of their own.
machine=$(printf 'coremlbench machine 1:%s' "$identity" | sha256 | cut -c 1-12)

# --- the program ---

folder="$HOME/@PROGRAM@"
program="$folder/coreml_runner"
if [ -x "$program" ]; then
    say "Step 1 of 3: the program is in $folder already"
else
    if [ -n "${COREMLBENCH_NATIVE_SWIFTC:-}" ]; then
        [ -x "$COREMLBENCH_NATIVE_SWIFTC" ] ||
            stop "There is no Swift compiler $COREMLBENCH_NATIVE_SWIFTC; name another in COREMLBENCH_NATIVE_SWIFTC."
        compile() { "$COREMLBENCH_NATIVE_SWIFTC" "$@"; }
    else
        # Where no tools are installed, swiftc of macOS opens a window instead of running.
        if ! /usr/bin/xcode-select -p >/dev/null 2>&1 || ! /usr/bin/xcrun --find swiftc >/dev/null 2>&1; then
            stop "There is no Swift compiler on this Mac; run \`xcode-select --install\`, which needs an administrator" \
                "(this one step does), then run this again."
        fi
        # By xcrun, which also tells the compiler where Apple's frameworks are.
        compile() { /usr/bin/xcrun swiftc "$@"; }
    fi
    say "Step 1 of 3: compiling the program into $folder; this takes a minute"
    mkdir -p "$folder"
    compile @FLAGS@ "$kit"/swift/*.swift -o "$program.partial" ||
        stop "The program could not be compiled; the lines above say why. Update the tools in System Settings, General," \
            "Software Update, then run this again."
    mv "$program.partial" "$program"
fi

# --- the measurement ---

# A kit and a machine have one folder of results: the stick may go from Mac to Mac.
short=$(sed -n 's/.*"kit": "\([0-9a-f]\{8\}\).*/\1/p' "$kit/plan.json" | head -n 1)
[ -n "$short" ] || stop "The plan.json of this kit is damaged; copy its folder again."
name="$short-$machine"
results="$HOME/coremlbench-native-results/$name"
mkdir -p "$results"
cp -R "$kit/manifest.json" "$kit/expected" "$results/"
{
    say "machine: $machine"
    say "system: $system"
    say "architecture: $(uname -m)"
    if [ "$system" = Darwin ]; then
        say "version: $release"
        say "build: $(/usr/bin/sw_vers -buildVersion)"
        /usr/sbin/sysctl hw.model hw.memsize hw.physicalcpu hw.logicalcpu machdep.cpu.brand_string kern.hv_vmm_present
        /usr/sbin/sysctl hw.perflevel0 hw.perflevel1 2>/dev/null || :
        say "power: $(/usr/bin/pmset -g batt | head -n 1)"
    else
        say "version: $(uname -r)"
    fi
} >"$results/machine.txt" 2>/dev/null

say "Step 2 of 3: timing the models of $kit; results go to $results"
interrupted() {
    trap - INT TERM HUP
    say ""
    say "Interrupted; what was measured is kept. Run the same command again to go on where it stopped."
    exit 130
}
trap interrupted INT TERM HUP
awake=
if [ "$system" = Darwin ]; then awake="/usr/bin/caffeinate -dims"; fi
ended=0
$awake "$program" --matrix "$kit" "$results" || ended=$?
[ "$ended" -lt 128 ] || interrupted
[ "$ended" -eq 0 ] || exit "$ended"

# --- one file to bring back ---

target="$kit/results-$name.tar.gz"
if ! : >"$target.partial" 2>/dev/null; then target="$HOME/results-$name.tar.gz"; fi
# Without the files that macOS would add beside each on other disks.
COPYFILE_DISABLE=1 tar -czf "$target.partial" -C "${results%/*}" --exclude "$name/compiled" "$name"
mv "$target.partial" "$target"
say "Step 3 of 3: the results are in $target; bring it back and run, where coremlbench is:" \
    "coremlbench convert-and-time --collect ${target##*/}"
say "To remove the program and the results: rm -r \"$folder\" \"$results\""
