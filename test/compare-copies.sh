#!/usr/bin/env bash
# compare-copies.sh [BENCH_DIR [ROUNDS]]: three nodes with one and with two copies of each message, in turn, on
# this machine.
#
# BENCH_DIR holds mailbench; without it our own load generator is used. Each round loads a new cluster with
# one copy and then one with two, 32 workers for COMPARE_TIME (default 20s), on the ports from COMPARE_BASE on. The figures are medians of the
# rounds, and the ratios are taken round by round, since machines are noisy. fsyncs are honest: a node answers
# after they are done. Everything listens on loopback and is stopped at the end. It takes Go, curl and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=${1:-}
rounds=${2:-3}
time=${COMPARE_TIME:-20s}
users=200
base=${COMPARE_BASE:-23500}
. test/comparing.sh

build
if [ -n "$bench" ]; then
	(cd "$bench/mailbench" && go build -o "$scratch/mailbench" .)
fi

load() { # RESULT PIDS
	if [ -n "$bench" ]; then
		"$scratch/mailbench" -c 32 -d "$time" -server-pids "$2" -json "$1" -smtp "$(ports 3 25)" -pop "$(ports 3 10)" \
			-gen 'u%d@example.test' -gen-count "$users" -password porcupine >"$1.log" || { cat "$1.log"; return 1; }
	else
		"$scratch/porcupine" bench --smtp "$(ports 3 25)" --pop3 "$(ports 3 10)" --users "$users" -c 32 -d "$time" --json >"$1" ||
			{ cat "$1"; return 1; }
	fi
}

processor() { # PIDS: seconds that they have used
	local p ticks=0
	for p in ${1//,/ }; do
		ticks=$((ticks + $(sed 's/.*) //' "/proc/$p/stat" | awk '{print $12 + $13}')))
	done
	echo "$ticks"
}

run() { # COPIES ROUND
	local dir=$scratch/dev$1.$2 out=$scratch/$1.$2 n pids before
	start_nodes 3 1 "$dir"
	stop_daemon
	for n in 1 2 3; do sed -i "s/^\[cluster\]/[cluster]\nmessage_copies = $1/" "$dir/node$n/porcupine.toml"; done
	start_nodes 3 "$users" "$dir"
	pids=$(pids_of 3 "$dir")
	echo "round $2, $1 copies: $users users, nodes $pids"
	metrics 3 >"$out.before"
	before=$(processor "$pids")
	load "$out.json" "$pids"
	echo "$(($(processor "$pids") - before))" >"$out.ticks"
	metrics 3 >"$out.after"
	stop_daemon
	rm -rf "$dir"
	echo "round $2, $1 copies: done"
}

for ((r = 1; r <= rounds; r++)); do
	run 1 "$r"
	run 2 "$r"
done

python3 - "$scratch" "$rounds" "$(getconf CLK_TCK)" <<'PY'
import json, re, statistics as st, sys
d, rounds, tick = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def sums(path):
    """The figures of all nodes, added up; those with a method also without."""
    total = {}
    for line in open(path):
        m = re.match(r'(porcupine_[a-z_]+)(?:\{method="([^"]*)"\})? (\S+)$', line.strip())
        if m:
            for key in {m[1], m[1] + ":" + (m[2] or "")}:
                total[key] = total.get(key, 0) + float(m[3])
    return total

def figures(copies, r):
    base = f"{d}/{copies}.{r}"
    j, a, b = json.load(open(base + ".json")), sums(base + ".before"), sums(base + ".after")
    acked = j.get("acked", j.get("accepted"))
    rate = j.get("acked_per_s", j.get("accepted_per_sec"))
    grown = lambda key: (b.get(key, 0) - a.get(key, 0)) / acked
    ledger = j.get("ledger", j)
    return {
        "messages a second": rate,
        "server processor ms a message": 1000 * float(open(base + ".ticks").read()) / tick / acked,
        "fsyncs a message": grown("porcupine_store_syncs_total"),
        "durable commits a message": grown("porcupine_store_commits_total"),
        "calls between nodes a message": grown("porcupine_calls_total") - grown("porcupine_calls_total:membership"),
        "of them with contents (apply)": grown("porcupine_calls_total:apply"),
        "of them retirements": grown("porcupine_calls_total:retire"),
        "bytes between nodes a message": grown("porcupine_calls_sent_bytes_total") + grown("porcupine_calls_received_bytes_total"),
        "bad": sum(ledger.get(k, 0) for k in ("lost", "duplicated", "wrong_user", "misplaced", "corrupt", "phantom")),
    }

one, two = ([figures(c, r) for r in range(1, rounds + 1)] for c in (1, 2))
print("| | one copy | two copies | ratio |\n|---|---:|---:|---:|")
for key in one[0]:
    if key != "bad":
        f = lambda runs: st.median(x[key] for x in runs)
        ratio = st.median(b[key] / a[key] if a[key] else float("nan") for a, b in zip(one, two))
        digits = 0 if f(one) >= 100 else 2
        print(f"| {key} | {f(one):,.{digits}f} | {f(two):,.{digits}f} | {ratio:.2f} |")
bad = sum(x["bad"] for x in one + two)
print(f"broken promises: {bad}")
sys.exit(bad > 0)
PY
