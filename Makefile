# 'make help' lists the targets. Needed: Go, a C compiler (for SQLite) and make.
GO      ?= go
DESTDIR ?=
PREFIX  ?= /usr/local
# The tools are run at a fixed version and are no part of the module.
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME ?= 1m
export CGO_ENABLED = 1

.DEFAULT_GOAL = help
.PHONY: help build need demo test race fuzz bench e2e lint vuln golden install clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

need:
	@command -v $(GO) >/dev/null || { echo "Go is missing: get it from https://go.dev/dl/ or with 'apt-get install golang'" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is missing: 'apt-get install gcc libc6-dev' (Debian), 'dnf install gcc' (Fedora)" >&2; exit 1; }

build: need ## build ./bouncelog
	$(GO) build -trimpath -ldflags '-s -w' -o bouncelog ./cmd/bouncelog

demo: build ## import the sample logs into a throw-away database and print the report
	@./testdata/demo.sh

test: need ## all tests but the end-to-end ones
	$(GO) test -shuffle=on ./...

race: need ## the same with the race detector
	$(GO) test -race -short ./...

fuzz: need ## every fuzz test for FUZZTIME (1m) each
	@for package in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "== $$package $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

bench: build ## measure beside peers and limits; writes bench/RESULTS.md
	$(GO) run ./bench/run

e2e: need ## the lab: real Postfix and Exim (Debian, root)
	$(GO) test -tags e2e -count=1 -timeout 12m ./e2e/...

lint: need ## gofumpt, go vet, staticcheck
	@unformatted=$$($(GO) run $(GOFUMPT) -l .) || exit 1; \
		[ -z "$$unformatted" ] || { echo "not formatted (gofumpt -w):"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags e2e ./...
	$(GO) run $(STATICCHECK) -tags e2e ./...

vuln: need ## known vulnerabilities in what is linked in (needs the network)
	$(GO) run $(GOVULNCHECK) ./...

golden: need ## rewrite the golden files; look at the difference before you commit it
	UPDATE_GOLDEN=1 $(GO) test ./...

install: build ## install below $(DESTDIR)$(PREFIX)
	install -D -m 755 bouncelog $(DESTDIR)$(PREFIX)/bin/bouncelog

clean: ## remove what was built
	rm -rf bouncelog dist
