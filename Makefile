# make help lists what can be made.

GO      ?= go
BIN     := bin/countersign
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION := $(shell git rev-parse --verify -q HEAD 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
# Without its manual pages the flag library brings no Markdown renderer along.
TAGS := urfave_cli_no_docs
FUZZTIME ?= 10s
# The race detector needs a C compiler; without one the tests run plain.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)
# It has each process sleep for a second at its end, and the tests start hundreds.
export GORACE ?= atexit_sleep_ms=0

.DEFAULT_GOAL := help
.PHONY: help build image run test slow kube lint fuzz bench bench-check bench-accuracy bench-detection bench-ledger benchprobe pgo clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

build: ## the static binary, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/countersign

image: ## container images for amd64 and arm64, by Docker: countersign:latest is this machine's
	GO='$(GO)' TAGS='$(TAGS)' LDFLAGS='$(LDFLAGS)' VERSION='$(VERSION)' REVISION='$(REVISION)' deploy/docker/image.sh

run: build ## in front of your API: make run UPSTREAM=http://127.0.0.1:8000; the demo without UPSTREAM
ifdef UPSTREAM
	$(BIN) run --upstream $(UPSTREAM) $(ARGS)
else
	$(BIN) demo $(ARGS)
endif

test: ## unit tests and the command line's scripts, with the race detector where there is a C compiler
	$(GO) test -short $(RACE) ./...
	cd bench/accuracy && $(GO) test -short ./...

# Packages without such a suite, and in which -short leaves nothing out, have been through test.
# bench/accuracy is a module of its own.
SLOW = $(shell grep -rlE --include='*_test.go' --exclude-dir=accuracy '^//go:build slow|testing\.Short\(\)' . | xargs -n1 dirname | sort -u)
slow: ## the suites that need other servers from Debian or a long time, and the tests that -short cuts short
	$(GO) test -tags slow -timeout 20m $(SLOW)
	cd bench/accuracy && $(GO) test ./...

kube: ## the suites against a real Kubernetes API server, which is built first, once, in minutes
	.ci/kube

lint: ## gofmt, go vet, staticcheck: of the slower suites as well
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './bin/*')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags slow ./...
	$(GO) tool staticcheck -tags slow ./...
	staticcheck=$$($(GO) tool -n staticcheck) && cd bench/accuracy && $(GO) vet ./... && $$staticcheck ./...

fuzz: ## every fuzz target, FUZZTIME each (10s)
	GO='$(GO)' FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: build ## the sidecar beside nginx, HAProxy, Caddy and others, half an hour: docs/BENCH.md; make bench ARGS=-short tries it
	$(GO) build -o bin/compare ./bench/compare
	GO='$(GO)' bin/compare $(ARGS)

bench-check: build ## allocations, ratios, instructions, size and memory against bench/baseline.json; ARGS=-update writes it
	$(GO) build -o bin/check ./bench/check
	GO='$(GO)' bin/check -binary $(BIN) $(ARGS)

bench-accuracy: build ## the P95 that tools report beside the true one
	cd bench/accuracy && $(GO) build -o $(CURDIR)/bin/accuracy .
	GO='$(GO)' bin/accuracy -binary $(BIN) $(ARGS)

bench-detection: build ## seconds from a fault to incident and message, and false alarms in a simulated week: half an hour
	$(GO) build -o bin/detection ./bench/detection
	GO='$(GO)' bin/detection -binary $(BIN) $(ARGS)

bench-ledger: ## durable appends, verification, proofs and start of the ledger, beside Badger and a file
	$(GO) build -o bin/ledger ./bench/ledger
	GO='$(GO)' bin/ledger $(ARGS)

benchprobe: build ## throughput of an API with and without the eBPF probe beside it, by each hook; needs root
	bench/probe.sh

generate: ## compile the eBPF programs anew (clang 14 and libbpf's headers, of Debian 12)
	$(GO) generate ./ebpf

generated: generate ## the committed eBPF object is what its source compiles to
	git diff --exit-code -- ebpf/bpf_bpfel.go ebpf/bpf_bpfel.o

pgo: ## record anew the profile that the build is optimised by
	$(GO) test -run '^$$' -bench Exchange -benchtime 10s -cpuprofile cmd/countersign/default.pgo -o bin/proxy.test ./proxy

clean: ## remove what was built
	rm -rf bin
