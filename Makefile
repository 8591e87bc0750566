# The commands of this repository. `make` alone prints them; `.ci/run` is what a pull request must pass.
#
# Environment variables (ALD_DATABASE_URL, ALD_PLC, ALD_SLOW, …) reach the programs as they are. Recipes that may
# see a secret are silent: make prints neither them nor their arguments.

SHELL := /bin/bash
SWIFT ?= swift
# What comes before the program itself goes to standard error: `make run ARGS=--json | jq` sees only JSON.
# What Swift itself needs is in the program: a machine that runs it needs no toolchain (copy ald and swift-backtrace), and
# it is faster by a twelfth. On Apple's systems it is part of the system.
STATIC := $(if $(filter Linux,$(shell uname)),--static-swift-stdlib)
# Release builds have a folder of their own, so that `make run` and `make test` never rebuild each other's work.
RELEASE := .build-release
# Runs on the simulated machine alone: a controller of yours is not touched.
DEMONSTRATION := --demonstration Fixtures/Machine/Recipes/demonstration.yaml
LINTED := Package.swift Sources Tests Benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build-release run doctor test bench peers peers-postgres lint format clean

help: ## this table
	@echo 'make TARGET [ARGS="…"]'
	@sed -n -E 's/^([a-z-]+):[^#]*## (.*)/  \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-17s %s\n' "$$name" "$$text"; done

setup: ## install what the machine lacks (make run and make test do it themselves)
	@.ci/setup >&2

setup-tests:
	@.ci/setup --tests >&2

build-release: setup
	@$(SWIFT) build -c release --product ald $(STATIC) --scratch-path $(RELEASE) >&2
ifneq ($(STATIC),)
# Who says where it crashed is a program beside it: without Swift's libraries it is looked for there.
	@tracer=$$($(SWIFT) -print-target-info | sed -n -E 's|.*"runtimeResourcePath": *"([^"]*)/lib/swift".*|\1|p'); \
	tracer=$$tracer/libexec/swift/linux/swift-backtrace-static; \
	if [[ -x $$tracer ]]; then cp -f "$$tracer" $(RELEASE)/release/swift-backtrace; \
	else echo 'make: this toolchain has no swift-backtrace-static: a crash of ald will not say where' >&2; fi
endif

# `exec` makes ald the direct child: Ctrl-C and SIGTERM reach it at once, make waits for its summary and says
# nothing more when it ends well. When ald fails, make shows its exit code and returns 2.
run: build-release ## run the simulated machine until Ctrl-C; ARGS="--duration 30" for 30 s
	@exec $(RELEASE)/release/ald run $(DEMONSTRATION) $(ARGS)

doctor: build-release ## check database, ports, permissions and PLC, and say what to do
	@exec $(RELEASE)/release/ald doctor $(ARGS)

test: setup-tests ## unit tests and fast suites; ARGS="--filter StressPLC" for one target
	@$(SWIFT) build --build-tests
	@SWIFT=$(SWIFT) exec .ci/test $(ARGS)

peers: setup-tests ## our Modbus client and server against libmodbus, as ratios; ARGS="--quick"
	@SWIFT=$(SWIFT) Benchmarks/Peers/run $(ARGS)

peers-postgres: setup-tests ## our PostgreSQL side against psql, pgbench, asyncpg and psycopg; ARGS="--quick"
	@SWIFT=$(SWIFT) Benchmarks/Peers/postgres $(ARGS)

# Optimised, with a build folder of its own: what a debug build says of speed is worth nothing. Nothing else should run.
bench: setup-tests ## the aims for speed, held in an optimised build; ARGS="--filter Recipe" for a part
	@$(SWIFT) build -c release --build-tests --scratch-path .build-bench -Xswiftc -enable-testing
	@exec $(SWIFT) test -c release --skip-build --scratch-path .build-bench -Xswiftc -enable-testing \
		--disable-swift-testing $(if $(strip $(ARGS)),$(ARGS),--filter '^Benchmarks\.')

lint: ## check the format of every Swift file
	@$(SWIFT) format lint --strict --parallel --recursive $(LINTED)

format: ## correct the format of every Swift file
	@$(SWIFT) format format --in-place --parallel --recursive $(LINTED)

# .ald holds recorded data. No target deletes it.
clean: ## delete build products; recorded data in .ald stays
	rm -rf .build .build-*
