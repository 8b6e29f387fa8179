# `make` alone lists what there is. On Debian 12, as root or with sudo.

PYTHON := .venv/bin/python
# The tests of a file share what is slow to set up, so they run in one process.
ON_ALL_CORES := -n logical --maxprocesses=8 --dist=loadfile --no-loadscope-reorder
# nginx's workers, the users of apps and network namespaces are real in the tests: they need root.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

PREFIX := /opt/emperord
REVISION := 1
OUT := build
MINUTES := 30
INSTALLER := $(if $(DESTDIR),,$(SUDO)) /usr/bin/python3 systemd/install.py

.DEFAULT_GOAL := help
.PHONY: help run test soak check bench docs install uninstall deb clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: .venv/.installed ## a load balancer, two backends and three sample apps on loopback
	@$(PYTHON) -m docs.examples.demo

test: .venv/.installed ## run every test, on all cores
	$(SUDO) $(PYTHON) -m pytest $(ON_ALL_CORES)

soak: .venv/.installed ## run the faults and hypothesis with drawn seeds, for MINUTES
	@$(SUDO) $(PYTHON) -m tests.soak $(MINUTES)

check: .venv/.installed ## format, lint, types and the quick tests, in seconds
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	shellcheck .ci/* systemd/stage systemd/debian/[bp]*
	luacheck --quiet --config lua/.luacheckrc lua
	$(PYTHON) -m pytest -q tests/model tests/supervisor tests/sources tests/handover tests/uwsgi $(ON_ALL_CORES)

bench: .venv/.installed ## measure against bare uWSGI and nginx, write docs/figures.json
	$(SUDO) $(PYTHON) -m tests.bench

docs: .venv/.installed ## write what the pages take from the code and from docs/figures.json
	$(PYTHON) -m docs.generate

install: build/wheels/.made ## put it into /opt/emperord, /usr/local and /etc (PREFIX, DESTDIR)
	@$(INSTALLER) put '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@$(SUDO) systemd-sysusers emperord.conf
	@$(SUDO) systemd-tmpfiles --create emperord.conf
	@test ! -d /run/systemd/system || $(SUDO) systemctl daemon-reload
	@echo 'Now run `systemctl enable --now emperord`, or, if it runs already, `systemctl reload emperord`.'
endif

uninstall: ## take it away again, but for what was edited, the inis and the logs
	@$(INSTALLER) verify '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@test ! -d /run/systemd/system || \
	  $(SUDO) systemctl disable --quiet --now emperord.service emperord.socket emperord-control.socket
endif
	@$(INSTALLER) remove '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@test ! -d /run/systemd/system || $(SUDO) systemctl daemon-reload
endif

deb: build/wheels/.made ## make build/emperord_VERSION-REVISION_ARCHITECTURE.deb for this release of Debian
	@systemd/debian/build '$(REVISION)' '$(OUT)'

clean: ## remove what the other targets have made, .venv too
	$(SUDO) rm -rf .venv build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	$(SUDO) find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: setup.cfg pyproject.toml .ci/install
	@.ci/install

build/wheels/.made: setup.cfg pyproject.toml .ci/wheels
	@.ci/wheels
