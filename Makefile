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
.PHONY: help build run test slow lint fuzz bench pgo clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## the static binary, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/countersign

run: build ## in front of your API: make run UPSTREAM=http://127.0.0.1:8000; the demo without UPSTREAM
ifdef UPSTREAM
	$(BIN) run --upstream $(UPSTREAM) $(ARGS)
else
	$(BIN) demo $(ARGS)
endif

test: ## unit tests and the command line's scripts, with the race detector where there is a C compiler
	$(GO) test -short $(RACE) ./...

# Packages without such a suite, and in which -short leaves nothing out, have been through test.
SLOW = $(shell grep -rlE --include='*_test.go' '^//go:build slow|testing\.Short\(\)' . | xargs -n1 dirname | sort -u)
slow: ## the suites that need other servers from Debian or a long time, and the tests that -short cuts short
	$(GO) test -tags slow -timeout 20m $(SLOW)

lint: ## gofmt, go vet, staticcheck: of the slower suites as well
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './bin/*')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags slow ./...
	$(GO) tool staticcheck -tags slow ./...

fuzz: ## every fuzz target, FUZZTIME each (10s)
	GO='$(GO)' FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: build ## throughput with measuring on and off, memory, time to the first request
	bench/sidecar.sh

pgo: ## record anew the profile that the build is optimised by
	$(GO) test -run '^$$' -bench Exchange -benchtime 10s -cpuprofile cmd/countersign/default.pgo -o bin/proxy.test ./proxy

clean: ## remove what was built
	rm -rf bin
