# 'make help' lists the targets. They need Go, a C compiler (for SQLite) and make.
GO      ?= go
# The output of 'make build', and its flags.
BINARY     ?= bouncelog
BUILDFLAGS ?= -trimpath -ldflags '-s -w'
DESTDIR ?=
PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
DOCDIR  ?= $(PREFIX)/share/doc/bouncelog
# Tools have fixed versions. They are not dependencies of the module.
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
NFPM        = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
FUZZTIME ?= 1m
export CGO_ENABLED = 1

# A release has a tag. A build between two releases has a version that sorts before the next one.
VERSION ?= $(shell git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//' | grep . || \
	git log -1 --format='0.0.0~git%cd.%h' --date=format:%Y%m%d%H%M 2>/dev/null || echo 0.0.0~unknown)
# Every file of a package has the time of the commit, so that builds are reproducible.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
ARCH = $(shell $(GO) env GOARCH)
# The binary of a package needs neither a C library nor time zone files on the target.
STATIC = -tags netgo,osusergo,timetzdata,sqlite_omit_load_extension

.DEFAULT_GOAL = help
.PHONY: help build need demo demo-web pictures vendor-web test race fuzz chdb bench profile e2e e2e-package lint vuln golden man install dist package reproducible clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

need:
	@command -v $(GO) >/dev/null || { echo "Go is missing: get it from https://go.dev/dl/ or with 'apt-get install golang'" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is missing: 'apt-get install gcc libc6-dev' (Debian), 'dnf install gcc' (Fedora)" >&2; exit 1; }

build: need ## build ./bouncelog
	$(GO) build $(BUILDFLAGS) -o $(BINARY) ./cmd/bouncelog

demo: build ## import a generated log of nine days, and print the report; demo.db, demo.html
	@GO='$(GO)' ./testdata/demo.sh

demo-web: build ## serve a sample log as a dashboard on the loopback interface, until Ctrl-C
	@./testdata/demo-web.sh

pictures: build ## render the pictures of README.md and docs again, with Chromium
	@GO='$(GO)' ./testdata/pictures.sh

vendor-web: ## download the files that web/static/VENDOR lists from npm, and compare them
	@web/vendor.sh

# Tests wait for processes and for the disk, so that two packages more than there are processors are
# tested at the same time. The packages that take the longest begin first.
GOTEST = $(GO) test -p $$(($$(getconf _NPROCESSORS_ONLN) + 2))
LONGEST = ./store/sqlite ./cmd/bouncelog

test: need ## run all tests except the end-to-end ones
	$(GOTEST) -shuffle=on ./store/clickhouse $(LONGEST) ./...

# Tests that show the race detector nothing: scripts of sequential commands, measurements, tables and
# answers of one goroutine compared one by one, pages read one by one, answers of a ClickHouse server,
# and programs that are built without the detector.
UNRACED = ^TestScripts$$/^(badinput|config|counting|damaged|db|explain|flag|locked|mail|morning|parse|query|report|suppress|trace|usage)$$ \
	^TestHostileFrames$$ ^TestHostileTerminal$$ ^TestPruneLeavesNothing$$ ^TestClickHouse$$ ^TestNumbers \
	^TestRareDomains$$ ^TestManyWords$$ ^TestCheckFinds$$ ^TestPruneOfTwoLogs$$ ^TestHighIDs$$ ^TestAttemptsInPieces$$ ^TestCountEdges$$ \
	^TestUnreachedPage$$ ^TestOutageNumbers$$ ^TestEveryLink$$ ^TestLinkApart$$ ^TestEngines$$
empty =
space = $(empty) $(empty)

# The search for problems has one goroutine; only the Announcer starts one.
race: need ## run the same tests with the race detector
	$(GOTEST) -race -short -timeout 30m -skip '$(subst $(space),|,$(strip $(UNRACED)))' \
		$(LONGEST) $$($(GO) list ./... | grep -v -e /bench/ -e '/e2e$$' -e /store/clickhouse -e /problem)
	$(GO) test -race -run '^TestAnnouncer' ./problem

fuzz: need ## run each fuzz test for FUZZTIME (1m)
	@for package in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "== $$package $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

CHDB      ?= @chdb/lib-linux-x64-gnu@26.7.3-stable.1
CHDB_DIR  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bouncelog-chdb
chdb: ## install ClickHouse as a library, for the tests of store/clickhouse (npm, 543 MB)
	@[ -e '$(CHDB_DIR)/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so' ] || \
		npm install --ignore-scripts --no-audit --no-fund --prefix '$(CHDB_DIR)' '$(CHDB)'

bench: build ## compare the speed with other programs and with limits; writes bench/RESULTS.md
	$(GO) run ./bench/run

profile: need ## write a CPU and a heap profile of an import: dist/cpu.out, dist/heap.out
	mkdir -p dist
	$(GO) run ./bench/genlog -bytes 300M -rate 500000 -o dist/profile.log
	BOUNCELOG_BENCH_LOG=$(CURDIR)/dist/profile.log $(GO) test ./cmd/bouncelog -run '^$$' -bench Import -benchtime 3x \
		-cpuprofile dist/cpu.out -memprofile dist/heap.out -o dist/profile.test
	$(GO) tool pprof -top -nodecount 25 dist/profile.test dist/cpu.out
	$(GO) tool pprof -top -nodecount 15 -sample_index alloc_space dist/profile.test dist/heap.out

e2e: need ## run the end-to-end tests with real Postfix and Exim (Debian, root)
	$(GO) test -tags e2e -count=1 -timeout 30m -skip '^TestSamples' ./e2e/...

lint: need ## run gofumpt, go vet and staticcheck
	@unformatted=$$($(GO) run $(GOFUMPT) -l .) || exit 1; \
		[ -z "$$unformatted" ] || { echo "not formatted (gofumpt -w):"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags e2e ./...
	$(GO) run $(STATICCHECK) -tags e2e ./...

vuln: need ## list known vulnerabilities of the dependencies (needs the network)
	$(GO) run $(GOVULNCHECK) ./...

golden: need ## rewrite the golden files; read the difference before you commit it
	UPDATE_GOLDEN=1 $(GO) test ./...

man: need ## write manual pages and shell completions to dist/
	rm -rf dist/man dist/completions
	$(GO) run -tags man -ldflags '-X main.release=$(VERSION)' ./cmd/bouncelog man dist

install: build man ## install below $(DESTDIR)$(PREFIX)
	install -D -m 755 bouncelog $(DESTDIR)$(PREFIX)/bin/bouncelog
	etc/install.sh '$(DESTDIR)' '$(PREFIX)' '$(UNITDIR)' '$(DOCDIR)'

dist/bouncelog: need FORCE
	mkdir -p dist
	$(GO) build -trimpath -buildvcs=false $(STATIC) -ldflags '-s -w -buildid= -X main.release=$(VERSION) -linkmode=external -extldflags "-static -Wl,--build-id=none"' -o $@ ./cmd/bouncelog
	@! readelf -d $@ | grep -q NEEDED || { echo "$@ is not static" >&2; exit 1; }

FORCE:

dist: dist/bouncelog man ## write dist/*.tar.gz: a static binary, documents, units
	etc/package.sh tarball '$(VERSION)' '$(ARCH)'

package: dist/bouncelog man ## write dist/*.deb and dist/*.rpm
	NFPM='$(GO) run $(NFPM)' etc/package.sh packages '$(VERSION)' '$(ARCH)'

reproducible: ## build everything twice, in two directories, and compare
	etc/package.sh reproducible '$(VERSION)'

e2e-package: package ## install, run and purge the package in a bare Debian 12 with systemd (Debian, root)
	$(GO) test -tags e2e -count=1 -timeout 15m -run '^TestPackage' -v ./e2e/

clean: ## remove all build output
	rm -rf bouncelog dist demo.html demo.db*
