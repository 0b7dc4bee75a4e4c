# labsched. `make help` lists what can be made.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
KLUSTA := $(VENV)/.klusta
INSTALLED := $(VENV)/.installed
COMPILED := $(VENV)/.compiled
TOOLS := $(VENV)/.tools
# What benchmarks make once and keep: recordings, and the peers of stage 1
BENCH ?= .bench
DEMO := .demo
# A server's: the distribution's Python, which everybody may run
SERVER_PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
PREFIX ?= /usr/local
OPT ?= /opt/labsched
SERVER := build/server
REQUESTS ?= 100000
# One more than processors, since tests wait a lot; each takes up to half a GB
TESTERS ?= $(shell n=$$(nproc); echo $$((n < 8 ? n + 1 : 8)))
SEED ?=
VERSION ?= $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' labsched/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help venv install uninstall user-service deb test-deb demo test chaos fuzz lint format clean bench-pools bench-commands bench-scheduler bench-prune bench-peers bench-phy bench-accuracy bench-inspect bench-denoise bench-klusta soak

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) $(KLUSTA) $(COMPILED) ## labsched and klusta, in .venv, for yourself

demo: venv ## de-noise and sort a synthetic block with a daemon of its own, and compare with what is known
	@$(VENV)/bin/python examples/demo.py $(DEMO)

test: venv $(TOOLS) ## all tests, those with the real klusta and the real daemon included
	$(VENV)/bin/python -m pytest -n $(TESTERS) --dist loadfile $(ARGS)

chaos: venv $(TOOLS) ## kill everything for SECONDS=60, SEED=1, and prove that nothing was lost
	$(VENV)/bin/python -m tests.chaos --seed $(or $(SEED),1) --seconds $(or $(SECONDS),60) $(ARGS)

lint: $(TOOLS) ## ruff, mypy (strict on core, wire and store) and the import directions
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --config setup.cfg

fuzz: venv $(TOOLS) ## REQUESTS=100000 of two users and an admin, from SEED on, against a daemon of its own; as root
	$(VENV)/bin/python -m tests.fuzz $(REQUESTS) $(SEED)

bench-pools: venv ## twelve blocks through RAM=2 and CPU=4: the most at once, and how long slots stand idle
	$(VENV)/bin/python -m benchmarks.pools

bench-commands: venv ## what a command costs, beside an import of click, with an empty queue and a very long one
	$(VENV)/bin/python -m benchmarks.commands

bench-scheduler: venv ## what the scheduler costs, beside its peers, into docs/performance.md; PARTS="noop latency", QUICK=1, PEERS=venv
	$(VENV)/bin/python -m benchmarks.scheduler $(PARTS) $(if $(QUICK),--quick) $(if $(PEERS),--peers $(PEERS))

bench-prune: venv ## a million ended jobs are pruned: how many a second, and what others' requests take meanwhile
	$(VENV)/bin/python -m benchmarks.prune

bench-inspect: venv $(BENCH)/peers/.installed ## bad channels that are found and falsely accused, beside SpikeInterface, on SEEDS=1000-1055
	$(VENV)/bin/python -m benchmarks.channels --seeds $(or $(SEEDS),1000-1055) --peers $(BENCH)/peers $(if $(SEEDS),,--page)

bench-peers: $(BENCH)/peers/.installed ## SpikeInterface and IBL's pre-processing, pinned, in .bench/peers, to compare stage 1 with

bench-phy: $(BENCH)/phy/.installed ## phy, pinned, in .bench/phy: tests open with it what labsched exports

bench-accuracy: venv bench-peers ## what klusta makes of each de-noiser's output; SEEDS=1,2,3 FAMILIES="dense-* linear-40-some-hum" WRITE=1
	$(VENV)/bin/python -m benchmarks.accuracy $(FAMILIES) --seeds $(or $(SEEDS),1) --bench $(BENCH) $(if $(WRITE),--write) $(ARGS)

bench-denoise: venv bench-peers ## stage 1's speed and memory, beside its peers and a plain copy; SECONDS=1200, ROUNDS=1, QUICK=1 for a look
	$(VENV)/bin/python -m benchmarks.denoise --bench $(BENCH) $(if $(QUICK),--quick) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

bench-klusta: venv ## stage 2's speed and memory, beside stock klusta; PARTS="blocks scaling long", ROUNDS=1, QUICK=1 for a look
	$(VENV)/bin/python -m benchmarks.klusta $(PARTS) --bench $(BENCH) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

soak: venv ## a day of a lab's traffic in SECONDS=1200: does anything grow that should not?
	$(VENV)/bin/python -m benchmarks.soak --seconds $(or $(SECONDS),1200)

format: $(TOOLS) ## put the code in shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

user-service: venv ## a systemd unit for yourself alone, without root: ~/.config/systemd/user/labsched.service
	sh packaging/user-service.sh $(CURDIR)/$(VENV)/bin/labsched

install: server ## for a server, as root: in OPT=/opt/labsched, PREFIX=/usr/local, and the units; DESTDIR for packaging
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" OPT="$(OPT)" sh packaging/install.sh $(SERVER)/root

uninstall: ## remove what `make install` has laid out; configuration and queue stay
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" OPT="$(OPT)" sh packaging/uninstall.sh

deb: OPT := /opt/labsched
deb: server ## a Debian package for this distribution, in dist
	sh packaging/deb.sh $(SERVER)/root build/deb dist $(VERSION)

test-deb: deb $(TOOLS) ## install, upgrade, use, remove and purge the package on clean machines, one of them booted, as root
	LABSCHED_PACKAGE=$(CURDIR)/$$(ls -t dist/labsched_*.deb | head -n 1) \
		$(VENV)/bin/python -m pytest tests/install/test_deb.py tests/install/test_systemd.py $(ARGS)

.PHONY: server
server:
	sh packaging/build-venv.sh $(SERVER_PYTHON) $(SERVER) $(SERVER)/root $(OPT)/venv

clean: ## remove the virtual environment, the demo and whatever was built
	rm -rf $(VENV) $(DEMO) $(BENCH) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): setup.cfg setup.py pyproject.toml $(wildcard labsched/ephys/kernels/*.[ch]) | $(VENV)/bin/python
	$(PIP) install "setuptools<81" wheel numpy
	$(PIP) install --editable . --config-settings editable_mode=compat
	@touch $@

# A command would compile labsched anew each time where it may not write beside its sources, or PYTHONDONTWRITEBYTECODE
# is set: half of its time.
$(COMPILED): $(INSTALLED) $(shell find labsched migrations -name '*.py')
	$(VENV)/bin/python -m compileall -q labsched migrations
	@touch $@

# klustakwik2 is source only and imports numpy and Cython while it builds, without saying so; it builds twice as fast
# with two compilers at a time and without debugging symbols.
$(KLUSTA): $(INSTALLED)
	$(PIP) install cython
	@printf '[build_ext]\nparallel = 2\n' > $(VENV)/build.cfg
	DIST_EXTRA_CONFIG=$(CURDIR)/$(VENV)/build.cfg CFLAGS=-g0 $(PIP) install --no-build-isolation klustakwik2==0.2.6 klusta==3.0.16
	@touch $@

$(BENCH)/peers/.installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(BENCH)/peers
	$(BENCH)/peers/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

$(BENCH)/phy/.installed: benchmarks/peers/phy.txt
	$(PYTHON) -m venv $(BENCH)/phy
	$(BENCH)/phy/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

$(TOOLS): $(INSTALLED)
	$(PIP) install --editable '.[test,lint]' --config-settings editable_mode=compat
	@touch $@
