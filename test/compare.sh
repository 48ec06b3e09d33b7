#!/usr/bin/env bash
# compare.sh BENCH_DIR [ROUNDS]: Porcupine against Postfix + Dovecot, in turn, on this machine, and against the machine.
#
# BENCH_DIR holds mailbench and baseline.sh. Needs root, Go, curl, python3, and Debian's postfix, dovecot-core, dovecot-pop3d,
# dovecot-lmtpd, dovecot-imapd and dovecot-managesieved. Each round (default 1) loads one node that keeps one copy, three nodes that keep two
# of each message, and the other side, each with 1, 8 and 32 workers for COMPARE_TIME (default 12s), with warm login
# caches and empty mailboxes. One round takes three to six minutes. The figures are medians of the rounds, ratios are taken
# round by round, since machines are noisy. Everything listens on loopback, ours on ports from COMPARE_BASE on, and is stopped at the end.
#
# The last lines are the result: delivered messages a second (not merely queued), server processor time a session (of either
# kind) and a message, fsyncs a message, at each number of workers; and how far one node is from two limits: what
# this machine's disk takes of appends of the same size, with one fdatasync for each group of them, and what a session costs that
# throws its message away (test/bare).
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$(realpath "${1:?usage: compare.sh BENCH_DIR [ROUNDS]}")
rounds=${2:-1}
time=${COMPARE_TIME:-12s}
workers=${COMPARE_WORKERS:-1 8 32}
systems=${COMPARE_SYSTEMS:-one three theirs}
users=200
base=${COMPARE_BASE:-22000}
. test/comparing.sh
export BASELINE_DIR=$scratch/baseline NUSERS=$users TUNED=${TUNED:-1}

build
CGO_ENABLED=0 go build -trimpath -o "$scratch/bare" ./test/bare
(cd "$bench/mailbench" && go build -o "$scratch/mailbench" .)

load() { # LABEL PIDS WORKERS ARGS...
	local label=$1 pids=$2 count=$3
	shift 3
	echo "$label"
	"$scratch/mailbench" -label "$label" -c "$count" -d "$time" -server-pids "$pids" -json "$scratch/$label.json" "$@" |
		grep -E '^(accepted|delivered|processor|ledger)' || { cat "$scratch/$label.json"; return 1; }
}

syncs() { # NODES: fsyncs of all of them until now
	metrics "$1" | awk '/^porcupine_store_syncs_total /{s += $2} END {print s}'
}

ours() { # NODES LABEL
	local count pids before dir=$scratch/dev$1
	start_nodes "$1" $users "$dir"
	pids=$(pids_of "$1" "$dir")
	for count in $workers; do
		before=$(syncs "$1")
		load "$2.$count" "$pids" "$count" -purge -smtp "$(ports "$1" 25)" -pop "$(ports "$1" 10)" \
			-gen 'u%d@example.test' -gen-count $users -password porcupine
		echo $(($(syncs "$1") - before)) >"$scratch/$2.$count.syncs"
	done
	stop_daemon
	rm -rf "$dir"
}

theirs() { # LABEL
	local count
	bash "$bench/baseline.sh" start >/dev/null
	for count in $workers; do
		load "$1.$count" "$(bash "$bench/baseline.sh" pids)" "$count" -purge -smtp 127.0.0.1:12025 -pop 127.0.0.1:12110 -users "$BASELINE_DIR/users.txt"
	done
	bash "$bench/baseline.sh" stop >/dev/null
}

bare() { # LABEL
	local count
	"$scratch/bare" "127.0.0.1:$base" >"$scratch/bare.log" 2>&1 </dev/null &
	daemon=$!
	await "$scratch/bare.log"
	for count in $workers; do
		load "$1.$count" "$daemon" "$count" -d 5s -mix 1 -no-verify -smtp "127.0.0.1:$base" -gen 'u%d@example.test' -gen-count $users
	done
	stop_daemon
}

appends() { # FILE: how many appends of a message the disk takes a second, by how many share an fdatasync
	python3 - "$scratch/appends" "$1" <<'PY'
import json, os, sys, time
path, out = sys.argv[1:]
rates, record = {}, os.urandom(4700)
for group in (1, 6, 32):
    f = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    data, done, begun = record * group, 0, time.monotonic()
    while time.monotonic() - begun < 2:
        os.write(f, data)
        os.fdatasync(f)
        done += group
    rates[group] = done / (time.monotonic() - begun)
    os.close(f)
os.remove(path)
json.dump(rates, open(out, "w"))
PY
}

for ((r = 1; r <= rounds; r++)); do
	appends "$scratch/appends$r.json"
	bare "bare$r"
	for s in $systems; do
		case $s in
		one) ours 1 "one$r" ;;
		three) ours 3 "three$r" ;;
		theirs) theirs "theirs$r" ;;
		esac
	done
done

python3 - "$scratch" "$rounds" "$workers" "$systems" <<'PY'
import json, os, statistics as st, sys
d, rounds = sys.argv[1], range(1, int(sys.argv[2]) + 1)
workers, systems = sys.argv[3].split(), sys.argv[4].split()
runs = {(s, w): [json.load(open(f"{d}/{s}{r}.{w}.json")) for r in rounds] for s in systems + ["bare"] for w in workers}
rate = lambda x: x["delivered_per_s"]
session = lambda x: 1000 * x["server_cpu_s"] / max(1, x["acked"] + x["pickups"])
message = lambda x: 1000 * x["server_cpu_s"] / max(1, x["acked"])
med = lambda f, s, w: st.median(map(f, runs[s, w]))
ratio = lambda f, a, b, w: st.median(f(x) / f(y) if f(y) else float("nan") for x, y in zip(runs[a, w], runs[b, w]))
def syncs(s, w):
    return st.median(int(open(f"{d}/{s}{r}.{w}.syncs").read()) / max(1, x["acked"]) for r, x in zip(rounds, runs[s, w]))
names = {"one": "one node, one copy", "three": "three nodes, two copies", "theirs": "Postfix + Dovecot"}
print("\n| workers | | messages a second | times theirs | server ms a session | of theirs | server ms a message | fsyncs a message | ack p50/p95/p99 ms |")
print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
for w in workers:
    for s in systems:
        against = s != "theirs" and "theirs" in systems
        ack = "/".join(f"{st.median(x['smtp_ack'][k + '_ms'] for x in runs[s, w]):.1f}" for k in ("p50", "p95", "p99"))
        print(f"| {w} | {names[s]} | {med(rate, s, w):,.0f} | {ratio(rate, s, 'theirs', w):.1f} |" if against else f"| {w} | {names[s]} | {med(rate, s, w):,.0f} | |",
              f"{med(session, s, w):.2f} |", f"1/{ratio(session, 'theirs', s, w):.1f} |" if against else "|",
              f"{med(message, s, w):.2f} |", f"{syncs(s, w):.2f} |" if s != "theirs" else "|", f"{ack} |")
if "one" in systems:
    disk = {int(k): st.median(json.load(open(f"{d}/appends{r}.json"))[k] for r in rounds) for k in ("1", "6", "32")}
    print("\nHow far from the limit:")
    for w in workers:
        bound = disk[32] if int(w) >= 32 else disk[6] if int(w) >= 6 else disk[1]
        name = 32 if int(w) >= 32 else 6 if int(w) >= 6 else 1
        print(f"{w} workers: {med(rate, 'one', w):,.0f} durable messages a second, the disk takes {bound:,.0f} appends a second with {name} to an fdatasync: {med(rate, 'one', w) / bound:.2f} of it;",
              f"{med(session, 'one', w):.2f} ms a session, a bare one {med(session, 'bare', w):.2f}: {ratio(session, 'one', 'bare', w):.1f} times")
bad = sum(x[k] for s in systems if s != "theirs" for w in workers for x in runs[s, w] for k in ("lost", "duplicated", "wrong_user", "corrupt", "phantom"))
errors = sum(x["error_count"] for s in systems if s != "theirs" for w in workers for x in runs[s, w])
print(f"broken promises of ours {bad}, sessions of ours that failed {errors}")
sys.exit(bad > 0)
PY
