# make run     builds and starts the exporter on 0.0.0.0:28282; needs nothing but Rust
# make test    installs what the tests need and runs every test of the repository
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

ARGS    ?=
SHARED  := $(or $(KEPLER_SHARED),$(CURDIR)/../shared)
VENV    := $(CURDIR)/.venv
BIN     := $(VENV)/bin
PYTEST  := $(VENV)/.ready
DEPLOY  := $(CURDIR)/.venv-deploy
TOOLS   := $(or $(KUBE_BIN),$(HOME)/.cache/kube-test/bin)
NODE    := kepler-node/node_modules/.package-lock.json
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
MUSL    := $(shell uname -m)-unknown-linux-musl
# The two bindings are tested from Python and Node, which build them; linking them as Rust tests would show nothing.
RUST    := --workspace --exclude kepler-py --exclude kepler-node

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: ## build and start the exporter (more flags: make run ARGS="--fake")
	cargo build --release -p kepler-exporter
	exec target/release/kepler-exporter $(ARGS)

test: test-rust test-server test-python test-node ## every test of the repository

test-rust: tools $(PYTEST) ## the core, the examples and the documentation's examples
	PATH="$(BIN):$$PATH" cargo test $(RUST)

test-server: $(PYTEST) ## a minute of requests made up from the model server's OpenAPI document
	cargo build -p kepler-model-server
	$(BIN)/python examples/model-server/tests/fuzz.py target/debug/kepler-model-server 50

test-python: $(PYTEST) ## the Python package: stubs, types, tests
	cd kepler-py && $(BIN)/maturin develop --quiet --generate-stubs && git diff --exit-code -- python
	cd kepler-py && $(BIN)/pyright --pythonpath $(BIN)/python
	cd kepler-py && PATH="$(BIN):$$PATH" pyright --verifytypes kepler --ignoreexternal | grep 'score: 100%'
	cd kepler-py && $(BIN)/python -m pytest -q

test-node: $(NODE) ## the Node package: declarations, types, tests
	cd kepler-node && npm run --silent build:debug && git diff --exit-code -- index.d.ts
	cd kepler-node && npx tsc --noEmit && npm test --silent

lint: $(PYTEST) $(NODE) ## formats, clippy, ruff, biome, spelling
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check kepler-py examples && $(BIN)/ruff check kepler-py examples
	cd kepler-node && npx biome ci --colors=off --error-on-warnings
	$(BIN)/typos

fmt: $(PYTEST) $(NODE) ## write the formats that lint asks for
	cargo fmt --all
	$(BIN)/ruff format kepler-py examples && $(BIN)/ruff check --fix kepler-py examples
	cd kepler-node && npx biome check --write

doc: ## the reference of the core, in target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features -p kepler-core

bench: tools $(PYTEST) $(NODE) ## every figure of the README (takes a while; best on an idle machine, as root)
	@type wrk >/dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends wrk; }
	cargo build --release -p kepler-exporter -p kepler-model-server -p kepler-benches
	cd kepler-py && $(BIN)/maturin develop --release --quiet
	cd kepler-node && npm run --silent build
	status=0; $(BIN)/python benches/figures.py sampling exporter kubelet short prometheus server hooks cost || status=1; \
		$(BIN)/python benches/bindings.py; cargo bench -p kepler-benches; exit $$status

soak: ## an hour of 100 forks a second: memory and series stay flat (as root)
	cargo build --release -p kepler-exporter -p kepler-benches
	python3 benches/figures.py soak

models: ## train the embedded models anew, bit for bit the same
	KEPLER_SHARED="$(SHARED)" cargo run --release -p kepler-benches --bin models

eval: ## how far off trained models are, on rows that they had not seen
	cargo run --release -p kepler-benches --bin eval -- "$(SHARED)"

bpf: ## rebuild the checked-in kernel object (clang 19)
	$(MAKE) -C kepler-core/bpf

bpf-check: ## rebuild it elsewhere and compare
	$(MAKE) -C kepler-core/bpf check

test-kernels: ## boot Debian's 6.1 and 6.12 kernels under qemu and run the object there
	$(MAKE) -C kepler-core/tests/kernels

test-guest: ## a real virtual machine reads as its meter what the exporter says that it used (qemu, as root)
	cargo build -p kepler-exporter
	EXPORTER=target/debug/kepler-exporter examples/exporter/tests/guest/run

test-deploy: tools $(DEPLOY)/.ready ## chart, manifests, rules, dashboards and AWS scripts, by the real tools
	@command -v helm $(TOOLS)/helm >/dev/null || CGO_ENABLED=0 GOBIN=$(TOOLS) go install -ldflags='-s -w' helm.sh/helm/v3/cmd/helm@v3.22.0
	@command -v compose-go $(TOOLS)/compose-go >/dev/null || { CGO_ENABLED=0 GOBIN=$(TOOLS)/new go install -ldflags='-s -w' github.com/compose-spec/compose-go/v2/cmd@v2.16.2 && mv $(TOOLS)/new/cmd $(TOOLS)/compose-go; }
	$(CARGO_DEB)
	cargo build -p kepler-exporter -p kepler-model-server
	cd examples/deploy/tests && PATH="$(DEPLOY)/bin:$$PATH:$(TOOLS)" python -m pytest -q

test-cluster: tools programs $(DEPLOY)/.ready ## the chart on a real Kubernetes of one node (root; builds it from Go modules once, some minutes)
	cd examples/deploy/cluster && trap 'test "$${KUBE_KEEP:-}" || $(DEPLOY)/bin/python cluster.py down' EXIT && $(DEPLOY)/bin/python -m pytest -q -s

programs: ## what is in the images, built as the Dockerfiles do
	@type musl-gcc >/dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends musl-tools; }
	rustup target add $(MUSL)
	cargo build --release --locked -p kepler-exporter
	cargo build --release --locked -p kepler-model-server --target $(MUSL)

# Against the glibc of 2012, by zig's linker, so that both run on any distribution that is still kept.
GLIBC = 2.17
ZIG = $(BIN)/pip install --quiet --disable-pip-version-check ziglang==0.17.1 cargo-zigbuild==0.24.1

wheels: $(PYTEST) ## dist/kepler-*.whl, installable without network or compiler
	$(ZIG)
	PATH="$(BIN):$$PATH" maturin build --release --locked --zig --compatibility manylinux_$(subst .,_,$(GLIBC)) -m kepler-py/Cargo.toml -o dist

define CARGO_DEB
type dpkg-shlibdeps >/dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends dpkg-dev; }
cargo deb --version >/dev/null 2>&1 || cargo install --quiet --debug --locked cargo-deb@3.8.0
endef

deb: ## dist/kepler-exporter_*.deb with the systemd unit
	$(CARGO_DEB)
	cargo deb --locked -p kepler-exporter -o dist/

npm: $(PYTEST) $(NODE) ## dist/kepler-*.tgz with the built binary inside
	$(ZIG)
	mkdir -p dist
	cd kepler-node && PATH="$(BIN):$$PATH" npm run --silent build -- --cross-compile --target $$(uname -m)-unknown-linux-gnu.$(GLIBC) && npm pack --silent --pack-destination ../dist

tools: ## what the Rust tests call: promtool and Prometheus, tmux, curl, openssl, PostgreSQL; clang and libelf for the kernel object
	@type promtool tmux curl openssl >/dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends prometheus tmux curl openssl; }
	@test -e "$(firstword $(wildcard /usr/lib/postgresql/*/bin/initdb))" || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends postgresql; }
	@type clang-19 llvm-strip-19 pkg-config >/dev/null 2>&1 && test -e /usr/include/libelf.h || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends clang-19 llvm-19 libbpf-dev libelf-dev zlib1g-dev pkg-config; }

# Debian's Python comes without what makes environments.
ENSURE_VENV = @python3 -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends python3-venv; }

$(PYTEST): kepler-py/requirements.txt
	$(ENSURE_VENV)
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(DEPLOY)/.ready: examples/deploy/tests/requirements.txt
	$(ENSURE_VENV)
	test -x $(DEPLOY)/bin/python || python3 -m venv $(DEPLOY)
	$(DEPLOY)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(NODE): kepler-node/package-lock.json
	cd kepler-node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

.PHONY: help run test test-rust test-server test-python test-node lint fmt doc bench soak models eval bpf bpf-check test-kernels test-guest test-deploy test-cluster programs wheels deb npm tools
