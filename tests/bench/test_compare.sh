#!/bin/bash
# The harness of the comparison works: every operation against slapd and dird, every answer verified.
# The figures mean nothing here. tests/run: timeout=240
cd "$(dirname "$0")" || exit 1
if ! command -v slapd >/dev/null; then
	echo "slapd is not installed"
	exit 77
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
./compare --entries 2000 --rounds 1 --seconds 0.05 --idle 50 --no-raw --check --json "$out/json" || exit 1

# a generator that counts wrong answers as right ones would say nothing
WAYPOST_BENCH_SPOIL=1 ./compare --entries 200 --rounds 1 --seconds 0.05 --idle 0 --no-raw --without-slapd \
	--only equality >"$out/spoilt" 2>&1 && { echo "a wrong answer was not noticed"; exit 1; }
grep -q "wrong answer" "$out/spoilt" || { cat "$out/spoilt"; exit 1; }
