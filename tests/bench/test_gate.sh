#!/bin/bash
# No hot path of dird needs a tenth more instructions than its limit (gate.limits); and the gate can fail.
# tests/run: timeout=400
cd "$(dirname "$0")" || exit 1
./gate
rc=$?
[ $rc = 0 ] || exit $rc
out=$(./gate --scale 0.5 base-read) && { echo "half the limit was enough: $out"; exit 1; }
case $out in
*"not ok 1 - base-read"*) exit 0 ;;
esac
echo "no verdict: $out"
exit 1
