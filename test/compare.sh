#!/usr/bin/env bash
# compare.sh BENCH_DIR [ROUNDS]: one node of Porcupine against Postfix + Dovecot, in turn, on this machine.
#
# BENCH_DIR holds mailbench and baseline.sh. Needs root, and Debian's postfix, dovecot-core, dovecot-pop3d,
# dovecot-lmtpd, dovecot-imapd and dovecot-managesieved. Each round loads one system and then the other with 32 workers for
# COMPARE_TIME (default 20s), both with warm login caches and empty mailboxes; the figures are the medians, and the
# ratios are taken round by round, since machines are noisy. Everything listens on loopback and is stopped at the end.
#
# The last lines are the result: delivered messages a second (not merely queued), server processor time a message,
# fsyncs a message of ours.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$(realpath "${1:?usage: compare.sh BENCH_DIR [ROUNDS]}")
rounds=${2:-3}
time=${COMPARE_TIME:-20s}
users=200
base=22000
scratch=$(mktemp -d)
chmod 755 "$scratch" # the other side's processes run as other users
export BASELINE_DIR=$scratch/baseline NUSERS=$users TUNED=${TUNED:-1}
node=""

finish() {
	if [ -n "$node" ]; then kill -TERM "$node" 2>/dev/null && wait "$node" || true; fi
	bash "$bench/baseline.sh" stop >/dev/null 2>&1 || true
	rm -rf "$scratch"
}
trap finish EXIT

CGO_ENABLED=0 go build -trimpath -o "$scratch/porcupine" ./cmd/porcupine
(cd "$bench/mailbench" && go build -o "$scratch/mailbench" .)

load() { # LABEL PIDS ARGS...
	local label=$1 pids=$2
	shift 2
	"$scratch/mailbench" -label "$label" -c 32 -d "$time" -purge -server-pids "$pids" -json "$scratch/$label.json" "$@" |
		grep -E '^(label|accepted|delivered|smtp ack|processor|ledger)'
}

ours() {
	"$scratch/porcupine" dev --nodes 1 --users $users --dir "$scratch/dev" --port-base $base >"$scratch/dev.log" 2>&1 </dev/null &
	node=$!
	until grep -qx ready "$scratch/dev.log"; do kill -0 "$node"; sleep 0.1; done
	local metrics="http://127.0.0.1:$((base + 180))/metrics" before after
	before=$(curl -s "$metrics" | awk '/^porcupine_store_syncs_total /{print $2}')
	load "ours$1" "$(cat "$scratch/dev/node1/pid")" -smtp 127.0.0.1:$((base + 125)) -pop 127.0.0.1:$((base + 110)) \
		-gen 'u%d@example.test' -gen-count $users -password porcupine
	after=$(curl -s "$metrics" | awk '/^porcupine_store_syncs_total /{print $2}')
	echo $((after - before)) >"$scratch/ours$1.syncs"
	kill -TERM "$node" && wait "$node"
	node=""
}

theirs() {
	bash "$bench/baseline.sh" start >/dev/null
	load "theirs$1" "$(bash "$bench/baseline.sh" pids)" -smtp 127.0.0.1:12025 -pop 127.0.0.1:12110 -users "$BASELINE_DIR/users.txt"
	bash "$bench/baseline.sh" stop >/dev/null
}

for ((r = 1; r <= rounds; r++)); do
	ours "$r"
	theirs "$r"
done

python3 - "$scratch" "$rounds" <<'PY'
import json, statistics as st, sys
d, n = sys.argv[1], int(sys.argv[2])
runs = lambda who: [json.load(open(f"{d}/{who}{r}.json")) for r in range(1, n + 1)]
ours, theirs = runs("ours"), runs("theirs")
rate = lambda x: x["delivered_per_s"]
cpu = lambda x: 1000 * x["server_cpu_s"] / x["acked"]
syncs = [int(open(f"{d}/ours{r}.syncs").read()) / ours[r - 1]["acked"] for r in range(1, n + 1)]
med = lambda f, rs: st.median(map(f, rs))
print(f"delivered a second    ours {med(rate, ours):.0f}, theirs {med(rate, theirs):.0f}, "
      f"ratio {st.median(rate(a) / rate(b) for a, b in zip(ours, theirs)):.1f}")
print(f"server ms a message   ours {med(cpu, ours):.2f}, theirs {med(cpu, theirs):.2f}, "
      f"ratio 1/{st.median(cpu(b) / cpu(a) for a, b in zip(ours, theirs)):.1f}")
print(f"fsyncs a message      ours {st.median(syncs):.3f}")
bad = sum(x[k] for x in ours for k in ("lost", "duplicated", "wrong_user", "corrupt", "phantom"))
print(f"broken promises       ours {bad}")
sys.exit(bad > 0)
PY
