# Everything a person or CI does with this project. `make` alone says what there is.

# Cargo, unless a caller brings a wrapper of it.
CARGO ?= cargo
# Where rustup puts it, for a shell that has not read its profile since.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help setup demo test test-lean lint bench servers-check image-test clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

setup: ## what a build needs: checks for it, and installs it on Debian and Ubuntu
	@scripts/setup

demo: setup ## the whole way from a vendor to a destination, on this machine, with simulated vendors
	@echo "demo: building (the first time takes minutes, later ones seconds)"
	@$(CARGO) build
	@echo "demo: starting"
	@$(CARGO) run -q -- demo --once --out target/demo

test: setup ## every test, with real Kafka, S3 and syslog servers on loopback
	@tests/servers/run $(CARGO) test --workspace

test-lean: setup ## the tests that tell of a build without `remap` (minutes the first time)
	@$(CARGO) test --no-default-features --test check

lint: setup ## formatting and clippy, as strict as CI
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: setup ## what a record, its transforms and its delivery cost, and a million within 64 MiB; see benches/README.md
	@echo "bench: building (a release build, which takes minutes the first time)"
	@$(CARGO) bench -q -p auditline --bench transforms --bench memory --bench sinks --no-run
	@echo "bench: transforms and memory, then (about three minutes) the sinks against the servers of the tests"
	@failed=0; \
	$(CARGO) bench -q -p auditline --bench transforms --bench memory --no-fail-fast || failed=1; \
	tests/servers/run $(CARGO) bench -q -p auditline --bench sinks || failed=1; \
	exit $$failed

servers-check: setup ## do the test servers behave as our tests take them to? with clients that are not ours
	@tests/servers/run target/servers/venv/bin/python tests/servers/check.py

image-test: ## builds the Dockerfile without a registry and runs it as non-root (Debian, root; a release build)
	@tests/image.sh

clean: ## removes everything built and downloaded
	@rm -rf target
