# comparing.sh: what the compare scripts share: a directory that is removed at the end, nodes on loopback, and the end of both.
# It is sourced in the module's top directory, after: base, the ports to begin at; bench, where baseline.sh lies, if
# BASELINE_DIR is set (then the other side is stopped at the end too).
scratch=$(mktemp -d)
chmod 755 "$scratch" # the other side's processes run as other users
daemon=""

stop_daemon() {
	if [ -n "$daemon" ]; then kill -TERM "$daemon" 2>/dev/null && wait "$daemon" || true; fi
	daemon=""
}

finish() {
	stop_daemon
	if [ -n "${BASELINE_DIR:-}" ]; then bash "$bench/baseline.sh" stop >/dev/null 2>&1 || true; fi
	rm -rf "$scratch"
}
trap finish EXIT

build() { # our program: the one that PORCUPINE names, or a new one
	if [ -n "${PORCUPINE:-}" ]; then
		cp "$PORCUPINE" "$scratch/porcupine"
	else
		CGO_ENABLED=0 go build -trimpath -o "$scratch/porcupine" ./cmd/porcupine
	fi
}

await() { # LOG: until the daemon says there that it is ready
	until grep -qsx ready "$1"; do
		kill -0 "$daemon" || { cat "$1"; return 1; }
		sleep 0.1
	done
}

start_nodes() { # NODES USERS DIR: a cluster, new or resumed
	: >"$scratch/dev.log"
	"$scratch/porcupine" dev --nodes "$1" --users "$2" --dir "$3" --port-base "$base" >"$scratch/dev.log" 2>&1 </dev/null &
	daemon=$!
	await "$scratch/dev.log"
}

pids_of() { # NODES DIR: their processes
	local n list=""
	for ((n = 1; n <= $1; n++)); do list+=${list:+,}$(cat "$2/node$n/pid"); done
	echo "$list"
}

ports() { # NODES OFFSET: that port of each node
	local n list=""
	for ((n = 1; n <= $1; n++)); do list+=${list:+,}127.0.0.1:$((base + 100 * n + $2)); done
	echo "$list"
}

metrics() { # NODES: the figures of all of them
	local n
	for ((n = 1; n <= $1; n++)); do curl -sf "http://127.0.0.1:$((base + 100 * n + 80))/metrics"; done
}
