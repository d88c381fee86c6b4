#!/bin/bash
# tests/run: timeout=1200
# tools/quickstart from nothing, again over its own result, and its end.
set -u
cd "$(dirname "$0")/../.." || exit 1
QUICKSTART=tools/quickstart # as the README has it: its output names it
WAYPOST_QUICKSTART_DIR=$(mktemp -d /tmp/wp-quickstart-XXX)
export WAYPOST_QUICKSTART_DIR
OUT=$WAYPOST_QUICKSTART_DIR.out
N=0 FAILED=0

cleanup()
{
	"$QUICKSTART" --stop >/dev/null
	rm -rf "$WAYPOST_QUICKSTART_DIR" "$OUT"
}
trap cleanup EXIT

# point NAME COMMAND...
point()
{
	local name=$1

	shift
	N=$((N + 1))
	if "$@"; then
		echo "ok $N - $name"
	else
		echo "not ok $N - $name"
		FAILED=1
	fi
}

running()
{
	local pid file n=0

	for file in "$WAYPOST_QUICKSTART_DIR"/sites/*/*.pid; do
		pid=$(cat "$file" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && n=$((n + 1))
	done
	[ $n = "$1" ]
}

said() { grep -Eq -- "$1" "$OUT"; }
# before_and_after N DECISION REASON NEXT-HOP: of the N-th route explained
before_and_after()
{
	local got

	got=$(awk -v n="$1" '/Decision:/{d=$0} /Reason:/{r=$2} /Next hop:/{if (++i == n)
		print d " " r " " $3}' "$OUT")
	[[ $got == *"$2"*" $3: $4" ]] || { echo "# route $1: $got"; false; }
}

narrow()
{
	[ "$(wc -L <"$OUT")" -le 80 ] || { awk 'length($0) > 80 { print "# " $0 }' "$OUT"; false; }
}
quickstart() { "$QUICKSTART" >"$OUT" 2>&1 </dev/null || { cat "$OUT"; return 1; }; }

quickstart_complete()
{
	point "$1: runs to its end" quickstart
	point "$1: all sites hold 9000 people" said 'Hub 9000 +Site1 9000 +Site2 9000'
	point "$1: the search is shown with its command" said '\$ ldapsearch .*ldap://'
	point "$1: a person of Site2 is found" said '^ +dn:.*'
	point "$1: connected before" before_and_after 1 'connected sites, 2 hops' FLAG_OFF \
		mx:hub.example.com
	point "$1: direct after" before_and_after 2 'direct, one hop' OK mx:site2.example.com
	point "$1: system mail keeps to the hub" before_and_after 3 'connected sites, 2 hops' \
		SYSTEM mx:hub.example.com
	point "$1: the time it took" said 'took [0-9]+ ms'
	point "$1: how to stop it" said '--stop'
	point "$1: six daemons run" running 6
}

quickstart_complete first
point "lines fit a terminal" narrow
quickstart_complete again
point "stop" "$QUICKSTART" --stop
point "no daemon is left" running 0
echo "1..$N"
exit $FAILED
