#!/bin/bash
# The replication simulator: worlds without a failure, the same world twice, planted bugs found.
# tests/run: timeout=300 soak=7200
set -u

SIM=${WAYPOST_BUILDDIR:-build}/tests/sim/sim
[ -x "$SIM" ] || { echo "no simulator at $SIM"; exit 77; }
N=0 BAD=0

# point NAME COMMAND...
point()
{
	local name=$1 out rc

	shift
	out=$("$@" 2>&1)
	rc=$?
	N=$((N + 1))
	if [ $rc = 0 ]; then
		echo "ok $N - $name"
	else
		echo "not ok $N - $name"
		BAD=1
	fi
	[ -z "$out" ] || tail -n 20 <<<"$out" | sed 's/^/# /'
}

twice()
{
	local seed

	for seed in 7 40 161; do
		cmp <("$SIM" --seed $seed --trace) <("$SIM" --seed $seed --trace) || return 1
	done
}

if [ -n "${WAYPOST_SOAK:-}" ]; then
	point "10000 worlds" "$SIM" --seeds 10000
else
	point "worlds of 40 seconds" "$SIM" --seeds 10000 --seconds 40
fi
point "a seed replays the same to the byte" twice
for plant in $("$SIM" --plants); do
	point "planted $plant is found" "$SIM" --seeds 1000 --plant "$plant"
done
echo "1..$N"
exit $BAD
