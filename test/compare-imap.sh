#!/usr/bin/env bash
# compare-imap.sh BENCH_DIR [ROUNDS]: IMAP of three nodes of Porcupine against Dovecot, in turn, on this machine.
#
# BENCH_DIR holds baseline.sh. Needs root, Debian's postfix, dovecot-core, dovecot-pop3d, dovecot-lmtpd, dovecot-imapd and
# dovecot-managesieved, Go and python3. Each system gets one folder of M messages (default 100000; 20000 is the small
# form) of 4,700 bytes, filled by eight sessions with MULTIAPPEND. Then our load generator asks both for the same things,
# one after the other, for COMPARE_TIME seconds (default 5) each, or until one operation is done. Ours keeps two copies of
# each message, fsyncs before every answer, and its nodes speak TLS with each other; the sessions are in the clear on both
# sides. The figures are medians of the rounds, and the ratios are taken round by round. PORCUPINE names a program to use;
# without it one is built. The nodes listen on ports from COMPARE_BASE on. Everything is on loopback and is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$(realpath "${1:?usage: compare-imap.sh BENCH_DIR [ROUNDS]}")
rounds=${2:-1}
time=${COMPARE_TIME:-5}
messages=${M:-100000}
base=${COMPARE_BASE:-24500}
. test/comparing.sh
export BASELINE_DIR=$scratch/baseline NUSERS=20 TUNED=${TUNED:-1}

build

processes() { # SYSTEM: its processes
	local master
	if [ "$1" = ours ]; then
		cat "$scratch"/dev/node?/pid
	else
		master=$(bash "$bench/baseline.sh" pids)
		echo "${master#*,}"
		pgrep -P "${master#*,}"
	fi
}

processor() { # SYSTEM: the ticks that its processes have used, with those that have ended
	local p ticks=0 used
	for p in $(processes "$1"); do
		used=$(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null | awk '{print $12 + $13 + $14 + $15}') || continue
		ticks=$((ticks + ${used:-0}))
	done
	echo "$ticks"
}

load() { # SYSTEM ROUND NAME LOAD PATTERN USERS WORKERS MESSAGES SECONDS
	local addr=127.0.0.1:12143 password=pass out=$scratch/$1.$2.$3 before
	if [ "$1" = ours ]; then
		addr=$(ports 3 43) password=porcupine
	fi
	before=$(processor "$1")
	PORCUPINE_BENCH_PASSWORD=$password "$scratch/porcupine" bench imap "$4" --imap "$addr" --pattern "$5" --users "$6" -c "$7" \
		-m "$8" -d "$9s" --timeout 300s --json >"$out.json" || { cat "$out.json"; return 1; }
	echo "$(($(processor "$1") - before))" >"$out.ticks"
}

both() { # NAME LOAD PATTERN USERS WORKERS MESSAGES SECONDS
	local r who
	for ((r = 1; r <= rounds; r++)); do
		for who in ours theirs; do load "$who" "$r" "$@"; done
	done
	echo "$1: done ($SECONDS s)"
}

start_nodes 3 20 "$scratch/dev"
bash "$bench/baseline.sh" start >/dev/null
large='u%d@example.test'   # u0
others='u1%d@example.test' # u10 to u17: the large folder stays as it is

both append append "$others" 8 1 0 "$time"
both append8 append "$others" 8 8 0 "$time"
both multiappend multiappend "$others" 8 8 0 "$time"
for who in ours theirs; do
	began=$(date +%s%N)
	load "$who" 0 fill select "$large" 1 1 "$messages" 1
	echo $((($(date +%s%N) - began) / 1000000 - 1000)) >"$scratch/$who.fill.ms"
	echo "fill, $who: done ($SECONDS s)"
done
for what in select flags fetch headers sync search-from search-header search-body; do
	both "$what" "$what" "$large" 1 1 "$messages" "$time"
done
both fetch4 fetch "$large" 1 4 "$messages" "$time"
for ((r = 1; r <= rounds; r++)); do
	stop_daemon
	bash "$bench/baseline.sh" stop >/dev/null
	start_nodes 3 20 "$scratch/dev"
	bash "$bench/baseline.sh" start >/dev/null
	for who in ours theirs; do load "$who" "$r" cold select "$large" 1 1 "$messages" 1; done
done

python3 - "$scratch" "$rounds" "$messages" "$(getconf CLK_TCK)" <<'PY'
import json, statistics as st, sys
d, rounds, messages, tick = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
read = lambda who, name, r: json.load(open(f"{d}/{who}.{r}.{name}.json"))
ticks = lambda who, name, r: int(open(f"{d}/{who}.{r}.{name}.ticks").read()) / tick
runs = range(1, rounds + 1)
number = lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.2f}" if x < 10 else f"{x:.1f}"
bad = 0

def row(title, ours, theirs, ratios, mine, other):
    print(f"| {title} | {number(st.median(ours))} | {number(st.median(theirs))} | {st.median(ratios):.2f} | {number(st.median(mine))} | {number(st.median(other))} |")

print(f"Folder of {messages:,} messages; {rounds} rounds.\n")
print("| | ours | Dovecot | ratio | our processor, µs | theirs, µs |\n|---|---:|---:|---:|---:|---:|")
for name, title in [("append", "APPEND, messages a second, one session"), ("append8", "APPEND, eight users"),
                    ("multiappend", "MULTIAPPEND of 100, eight users"),
                    ("fetch", "FETCH of whole messages, a second"), ("fetch4", "the same, four sessions"),
                    ("flags", "FETCH FLAGS, messages a second"), ("headers", "FETCH HEADER.FIELDS"), ("sync", "FETCH ENVELOPE BODYSTRUCTURE"),
                    ("search-from", "SEARCH FROM, messages a second"), ("search-header", "SEARCH HEADER of another field"), ("search-body", "SEARCH BODY")]:
    a, b = ([read(w, name, r) for r in runs] for w in ("ours", "theirs"))
    bad += sum(x["failed"] for x in a)
    rate = lambda x: x["messages_per_sec"]
    cost = lambda w, xs: [1e6 * ticks(w, name, r) / max(1, x["messages"]) for r, x in zip(runs, xs)]
    row(title, map(rate, a), map(rate, b), [rate(x) / rate(y) for x, y in zip(a, b)], cost("ours", a), cost("theirs", b))
fill = [messages * 1000 / int(open(f"{d}/{w}.fill.ms").read()) for w in ("ours", "theirs")]
cost = [1e6 * ticks(w, "fill", 0) / messages for w in ("ours", "theirs")]
row("filling the folder, eight sessions, messages a second", fill[:1], fill[1:], [fill[0] / fill[1]], cost[:1], cost[1:])
a, b = ([read(w, "select", r)["latency"]["mean_ms"] for r in runs] for w in ("ours", "theirs"))
cost = lambda w: [1e6 * ticks(w, "select", r) / max(1, read(w, "select", r)["done"]) for r in runs]
row("SELECT and UNSELECT, ms (the ratio is of rates)", a, b, [y / x for x, y in zip(a, b)], cost("ours"), cost("theirs"))
a, b = ([read(w, "cold", r)["first_ms"] for r in runs] for w in ("ours", "theirs"))
row("the first login and SELECT after a restart, ms", a, b, [y / x for x, y in zip(a, b)], [0], [0])
print(f"\nprocessor: of all server processes, for one message; of SELECT for one. Operations of ours that failed: {bad}")
sys.exit(bad > 0)
PY
