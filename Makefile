# The targets install what they need (Debian) and say so.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT    := .cache/golangci-lint-v2.15.0
FUZZ    ?= 30s

# Without grpc's trace, whose page is a template, the linker can leave out what is not called;
# see docs/adr/0007-dead-code-elimination.md. All go commands share the tag, trimmed paths and the
# absence of C, as the released binary has them: so the linter, the binaries and the tests compile
# each package once. The race detector needs C, and compiles all again.
export GOFLAGS := -tags=grpcnotrace -trimpath $(GOFLAGS)
export CGO_ENABLED := 0

FUZZERS := $(shell grep -rlE '^func Fuzz' --include='*_test.go' . 2>/dev/null | xargs -r -n1 dirname | sort -u)

# The agent's own code is concurrent, so its tests run with the race detector. The others
# wait for engines and other programs, or compute one thing at a time; the longest, and those that mostly
# wait, are first.
# What these packages lock, the tests of agent and of the simulation use at the same time; their
# own do one thing after the other.
ALONE = $(addprefix agent/,board consent decision desired dora drift events explain fleetsim gates gitlab/gitlabtest health \
	inventory metrics pace page preview publish record report selection settings setup store) harbor sync/gittest \
	$(addprefix internal/,bounded demoimage durations hostpath limits oneline privatefile sdnotify slots structure visible)
RACE  = $(filter-out $(ALONE:%=\%/%),$(shell go list ./agent/... ./checks ./harbor/... ./internal/... ./sync/...))
PLAIN = ./cmd/agent ./examples/demo ./examples/layers ./deploy ./compose/paritytest ./deploy/enginetest $(filter-out $(RACE),$(shell go list ./...))

.PHONY: build demo test engines vault walk simulate fleet lint check fuzz bench compare soak screenshots docs licences dist images

build: ## the static binary, bin/agent
	go build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/agent ./cmd/agent

demo: ## the main job for real, on a private Swarm: DEMO_FLAGS=-keep leaves it running
	go run ./examples/demo $(DEMO_FLAGS)

# What has to hold on every engine, in few tests: parity of the example, adoption, drift, missing
# images, crash loops, rollbacks, secrets.
CONFORMANCE := ^Test(ExampleNodes|AdoptionRestartsNothing|EngineKeepsEveryField|MissingImage|AllFailuresAreReported|MendedCause|SwarmRollbackIsFailure|MismatchedSecrets)$$

# Beside the others the simulation runs without the race detector, in which it is slow: RACE has
# fewer rounds of it. A few tests run on a newer engine, too. The load stays low enough for
# engines to answer in time on two cores. The linter, not each test, runs vet. Compilers, engines
# and tests collect garbage less often than by default: there is memory, and no processor to spare.
test: export GOGC = 400
test: ## all tests, on private engines; with the race detector where the code is concurrent
	scripts/need dockerd docker docker-registry git gcc sshd gpg age-keygen postgres promtool amtool chromium systemd-analyze tmux
	scripts/axe
	scripts/engine 28.5
	go list -export -f '' ./... # compiles once, since go commands that run at the same time compile the same packages
	ROUNDS=20000 nice go test -vet=off -timeout 40m -run 'TestSimulation$$' ./agent/simulation & simulation=$$!; \
		(CGO_ENABLED=1 go test -vet=off -race -p 1 -timeout 30m $(RACE); race=$$?; \
			SWARM_TEST_ENGINE=28.5 go test -vet=off -p 1 -timeout 30m -run '$(CONFORMANCE)' ./deploy ./compose/paritytest && exit $$race) & others=$$!; \
		go test -vet=off -p 2 -timeout 30m $(PLAIN); plain=$$?; \
		wait $$simulation; simulation=$$?; wait $$others && [ $$simulation = 0 ] && exit $$plain

# The engines of the targets engines and compare are those of ENGINES, if it is given.
engines: ## deploy, its engine contract, compose/paritytest and the demo on each of ENGINES; 20.10 is the installed one (Debian 12)
	scripts/need dockerd docker docker-registry git gcc
	@for engine in $(or $(ENGINES),20.10 26.1 28.5 28.5-containerd); do \
		echo "=== engine $$engine"; export SWARM_TEST_ENGINE=$${engine#20.10}; \
		{ [ $$engine = 20.10 ] || scripts/engine $${engine%-containerd}; } && \
		go test -count 1 -p 1 -timeout 30m ./deploy ./deploy/enginetest ./compose/paritytest && \
		go run ./examples/demo || failed="$$failed $$engine"; \
	done; [ -z "$$failed" ] || { echo "failed on:$$failed"; exit 1; }

vault: ## the tests of Vault's double on a real Vault, which the first run builds, and the agent with it on a real Swarm
	scripts/need dockerd docker git gcc
	VAULT_TEST_BINARY=$$(scripts/vault) go test -count 1 -v -run '^Test(Contract|Vault)$$' ./vault ./cmd/agent

walk: ## random commits, bad releases, kills and restarts on a real engine for ROUNDS rounds (200), from SEED if given
	scripts/need dockerd docker git gcc
	WALK_ROUNDS=$(or $(ROUNDS),200) WALK_SEED=$(SEED) go test -count 1 -timeout 3h -v -run 'TestRandomWalk$$' ./cmd/agent

simulate: ## the agent in a simulated world for ROUNDS rounds (1000000), from SEED on where one is given
	SEED=$(or $(SEED),$(shell date +%s)000) ROUNDS=$(or $(ROUNDS),1000000) go test -count 1 -timeout 0 -v -run 'TestSimulation$$' ./agent/simulation

fleet: ## AGENTS (10000; at least 1000) agents on one simulated GitLab; their costs go into docs/fleet-costs.md, unless AGENTS is given
	AGENTS=$(or $(AGENTS),10000) go test -count 1 -v -timeout 1h -run 'TestFleet$$' ./agent/fleetsim $(if $(AGENTS),,-update)

lint: $(LINT)
	$(LINT) run ./...

$(LINT):
	GOBIN=$(CURDIR)/.cache go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv .cache/golangci-lint $(LINT)

check: lint ## what CI runs: the linter with staticcheck, known vulnerabilities, the binary's size, go.mod tidy, the tests
	scripts/vulnerabilities
	scripts/binary
	go mod tidy -diff
	$(MAKE) test

# Go would instrument all dependencies: minutes to build, and counters that make each execution
# slow. These are what parses.
FUZZED := coin.internal/coin-agent/... github.com/getsops/sops/v3/... github.com/compose-spec/compose-go/v2/... \
	mvdan.cc/sh/v3/... go.yaml.in/yaml/v3 gopkg.in/ini.v1

fuzz: ## every fuzz target for FUZZ: a time (30s) or executions (5000000x); FUZZERS=./secrets for one folder
	@mkdir -p .cache/fuzz; for dir in $(FUZZERS); do \
		go test -c -o .cache/fuzz.test $(foreach path,$(FUZZED),'-gcflags=$(path)=-d=libfuzzer') $$dir || exit 1; \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | sed 's/func //'); do \
			echo "$$dir $$target"; (cd $$dir && $(CURDIR)/.cache/fuzz.test -test.run '^$$' -test.fuzz "^$$target\$$" \
				-test.fuzztime $(FUZZ) -test.fuzzminimizetime 20x -test.fuzzcachedir $(CURDIR)/.cache/fuzz) || exit 1; \
		done; \
	done

bench: ## time and memory; docs/benchmarks.md says what they mean
	go test -run '^$$' -bench . -benchmem ./compose/... ./agent/page ./agent/preview ./deploy/... ./manifests/... ./secrets/... ./sync/...

# A run of another size does not replace the document.
COMPARISON ?= $(if $(ENGINES)$(LOADS)$(ROUNDS)$(PEERS),,docs/comparison.md)

compare: build ## the agent and docker stack deploy, side by side, on ENGINES (20.10 28.5), with LOADS (1x20 1x200 10x20), ROUNDS (5) and PEERS; writes docs/comparison.md, or COMPARISON; prints the document if a size is given
	scripts/need dockerd docker docker-registry git
	@for engine in $(filter-out 20.10,$(or $(ENGINES),20.10 28.5)); do scripts/engine $${engine%-containerd} || exit 1; done
	go run ./examples/compare -agent bin/agent -engines "$(or $(ENGINES),20.10 28.5)" -loads "$(or $(LOADS),1x20 1x200 10x20)" \
		-rounds $(or $(ROUNDS),5) -peers "$(PEERS)" -o "$(COMPARISON)"

soak: ## the daemon's memory over LOOKS looks (10000) and SYNCS syncs (1000) of SERVICES services (20) on a real engine: table, measures and plot
	scripts/need dockerd git gcc
	go run ./examples/soak -services $(or $(SERVICES),20) -looks $(or $(LOOKS),10000) -syncs $(or $(SYNCS),1000)

PICTURES ?= $(CURDIR)/.cache/pictures

screenshots: ## the page in each of its states, seen in a browser, in PICTURES; those of the documents, in docs
	scripts/need dockerd docker git gcc chromium
	scripts/axe
	mkdir -p $(PICTURES)
	PAGE_PICTURES=$(abspath $(PICTURES)) go test -vet=off -count 1 -timeout 30m -run 'TestPage$$' ./cmd/agent
	cp $(PICTURES)/page-in-sync.png $(PICTURES)/page-failed.png $(PICTURES)/page-drifted.png docs/

docs: ## what is generated: the schema and the reference of config.yml, those of settings and commands, the page's templates as Go
	cd agent/page && go tool templ generate
	go test ./manifests ./cmd/agent ./agent/record ./agent/control ./stackfiles -run 'TestSchema|TestReference|TestStatesDocument|TestOpenAPI' -update

licences: ## docs/licences.md: the licence of each module in the agent; fails if one is not fit
	go run ./packaging/modules

dist: ## what a release consists of, in dist: static binaries, .deb, .rpm, bill of materials, checksums; MAINTAINER='Name <address>' of the packages
	scripts/need dpkg-deb git
	scripts/dist

images: dist ## of dist: the agent's image (amd64, arm64) and that of pipelines, as archives; BASE= of the latter, debootstrap for none from a registry; TRY=1 runs the jobs of ci/ in it
	scripts/need git
	BASE="$(BASE)" TRY="$(TRY)" scripts/images
