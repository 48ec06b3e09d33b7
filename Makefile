# The targets, a line each: make
#
# Everything here runs with Go alone, but for "lint", which builds its tool once (some minutes), and
# "race", which wants a C compiler.

GO      ?= go
SEED    ?= 1
N       ?= 2000
FAULTS  ?= 0
T       ?= FuzzParseListing
FUZZTIME ?= 10s
KILLS   ?= 20
ARGS    ?=

.DEFAULT_GOAL := help
.PHONY: help build check test race lint policy sim sim-many sim-bugs evidence fuzz fuzz-all crash cluster failover bench eval golden advice

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/porcupine, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/porcupine ./cmd/porcupine

check: ## before each commit, about a minute: format, vet, house rules, import policy, unit tests
	@.ci/check-format
	$(GO) vet ./...
	$(GO) test ./internal/lint/...
	$(GO) test -short ./internal/... ./cmd/...

test: ## all tests, as in CI
	$(GO) test ./...

race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./internal/... ./cmd/...

lint: ## golangci-lint, at the version of tools/go.mod
	$(GO) tool -modfile=tools/go.mod golangci-lint run

policy: ## the import policy and the house rules alone
	$(GO) test ./internal/lint/...

sim: ## replay one simulated cluster: make sim SEED=7
	$(GO) test -count=1 -v -run '^TestReplay$$' ./internal/sim -sim.seed=$(SEED)

sim-many: ## simulate at least N cluster-hours, seed after seed: make sim-many N=2000
	$(GO) test -count=1 -v -timeout 0 -run '^TestMany$$' ./internal/sim -sim.hours=$(N) -sim.first=$(SEED)

sim-bugs: ## plant each seeded bug and count the seeds until it is found
	$(GO) test -count=1 -v -timeout 0 -run '^TestSeededBugsAreFound$$' ./internal/sim -sim.bugs

evidence: ## simulate until docs/evidence.md has N hours and FAULTS faults; goes on where it was stopped; ANEW=1: a new account
	$(GO) test -count=1 -v -timeout 0 -run '^TestEvidence$$' ./internal/sim -sim.evidence -sim.hours=$(N) -sim.faults=$(FAULTS) $(if $(ANEW),-sim.anew)

fuzz: ## one fuzz target until it is stopped: make fuzz T=FuzzParseListing
	@dir=$$(grep -rl --include='*_test.go' 'func $(T)(' internal cmd | head -n 1 | xargs -r dirname); \
	test -n "$$dir" || { echo "no fuzz target $(T)"; exit 1; }; \
	$(GO) test -run '^$$' -fuzz '^$(T)$$' ./$$dir

fuzz-all: ## every fuzz target for FUZZTIME, two at a time: make fuzz-all FUZZTIME=10s
	@.ci/fuzz-all $(FUZZTIME)

crash: ## the store's crash tests, without -short
	$(GO) test -count=1 -run 'Crash' ./internal/cluster/store/...

cluster: ## real nodes killed, stopped, parted, with full and broken disks (root; Debian: iproute2 nftables e2fsprogs)
	PORCUPINE_CLUSTER_TESTS=1 $(GO) test -count=1 -v -timeout 40m ./test/...

failover: ## kill nodes under load and measure how long their users wait: make failover KILLS=200
	PORCUPINE_KILLS=$(KILLS) $(GO) test -count=1 -v -timeout 0 -run '^TestFailoverTime$$' ./test

eval: ## the papers' experiments into docs/evaluation, and the page; ARGS=--quick: in five minutes
	$(GO) run ./cmd/porcupine eval all --out docs/evaluation $(ARGS)
	$(GO) test ./internal/eval -run '^TestPage$$' -update

bench: ## load a running demo cluster: make bench ARGS='--smtp 127.0.0.1:10025 --pop3 127.0.0.1:10010'
	$(GO) run ./cmd/porcupine bench $(ARGS)

golden: ## rewrite the expected transcripts and show what changed
	@for dir in $$(grep -rl --include='*_test.go' 'flag.Bool("update"' internal cmd | xargs -r -n 1 dirname | sort -u); do \
		$(GO) test ./$$dir -update || exit 1; \
	done
	git diff --stat -- '*/testdata/*'
	git diff -- '*/testdata/*'

advice: ## what is larger than it should be, without breaking a rule
	$(GO) test -count=1 -v -run '^TestAdvice$$' ./internal/lint
