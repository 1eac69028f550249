#!/bin/sh
# Runs a command many times and counts its failures. The output of each failed run is kept.
#
# Usage: repeat.sh RUNS COMMAND [ARGUMENT...]
# Exit status: 0 when no run failed, 1 when some did, 2 when it was called wrongly.
set -u

case "${1:-}" in
    '' | *[!0-9]*)
        echo "usage: repeat.sh RUNS COMMAND [ARGUMENT...]" >&2
        exit 2
        ;;
esac
runs=$1
shift
if [ "$#" -eq 0 ]; then
    echo "repeat.sh: which command?" >&2
    exit 2
fi

logs=$(mktemp -d "${TMPDIR:-/tmp}/repeat.XXXXXX") || exit 2
failures=0
run=1
while [ "$run" -le "$runs" ]; do
    if "$@" >"$logs/$run.log" 2>&1; then
        rm -f "$logs/$run.log"
    else
        failures=$((failures + 1))
        echo "run $run failed: $logs/$run.log"
    fi
    run=$((run + 1))
done

echo "$failures of $runs runs failed"
if [ "$failures" -eq 0 ]; then
    rmdir "$logs"
    exit 0
fi
exit 1
