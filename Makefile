# `make` without a target lists the targets. They run on Debian 12 and 13 and on Ubuntu 24.04, as
# root or with sudo.

PYTHON := .venv/bin/python
# Tests of one file run in one process, since they share what is slow to set up. About half of the
# time a test waits, for a timeout or a boot, so there are two processes for each core.
ON_ALL_CORES := -n $(shell expr 2 \* $$(nproc)) --maxprocesses=8 --dist=loadfile --no-loadscope-reorder
# The tests need root: they use nginx's workers, other users and network namespaces.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

PREFIX := /opt/emperord
REVISION := 1
OUT := build
REPO := build/apt
KEY := build/apt-key.asc
MINUTES := 30
ROWS :=
HOSTS :=
ATTACKS :=
BASES := off
SUITE := trixie
CGROUP := v2
ROOTS := build/roots
DEBOOTSTRAP_OPTIONS :=
# Earlier units were enabled for sockets.target, which would keep the sockets after a stop.
FORMER_LINKS := emperord.socket emperord-control.socket
INSTALLER := $(if $(DESTDIR),,$(SUDO)) /usr/bin/python3 systemd/install.py

.DEFAULT_GOAL := help
.PHONY: help run run-fleet test test-bases test-on soak check bench attacks pictures docs install uninstall deb apt-repo clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: .venv/.installed ## run a load balancer, two backends and three sample apps on loopback
	@$(PYTHON) -m docs.examples.demo

run-fleet: .venv/.installed ## run etcd, two load balancers and four backends in network namespaces, as root
	@$(PYTHON) -m tests.fleet.show

test: .venv/.installed ## run every test, on all cores
	$(SUDO) $(PYTHON) -m pytest $(ON_ALL_CORES)

test-bases: .venv/.installed ## run journeys, faults and attacks by exec (BASES=off), or with a state (home)
	$(SUDO) env BASES='$(BASES)' $(PYTHON) -m pytest $(ON_ALL_CORES) \
	  tests/journeys tests/faults tests/attacks

test-on: .venv/.installed ## run every test on another release (SUITE, CGROUP=v1|v2), as before a release
	$(SUDO) $(PYTHON) -m tests.releases '$(SUITE)' '$(CGROUP)' '$(ROOTS)' $(DEBOOTSTRAP_OPTIONS)

soak: .venv/.installed ## fuzz, and run the fault and property tests with random seeds, for MINUTES
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@$(SUDO) $(PYTHON) -m tests.soak $(MINUTES)

check: .venv/.installed ## check format, lint and types, and run the quick tests
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	shellcheck .ci/* container/start systemd/stage* systemd/debian/[bpr]* systemd/debian/*/p*
	luacheck --quiet --config lua/.luacheckrc lua
	$(PYTHON) -m pytest -q tests/model tests/supervisor tests/sources tests/handover tests/uwsgi $(ON_ALL_CORES)

bench: .venv/.installed ## measure against all peers (ROWS), write docs/benchmarks.md and its plots
	@.ci/install bench
	$(SUDO) $(PYTHON) -m tests.bench --rows '$(ROWS)'

attacks: .venv/.installed ## attack emperord, uWSGI's Emperor, units and Passenger (HOSTS, ATTACKS), as root
	@.ci/install bench
	$(SUDO) $(PYTHON) -m tests.attacks.rivals --hosts "$(HOSTS)" --attacks '$(ATTACKS)'

pictures: .venv/.installed ## take the pictures of the console in docs/, in a browser
	$(SUDO) $(PYTHON) -m tests.browser.pictures

docs: .venv/.installed ## write what docs/ takes from code and figures, and the site in build/site
	$(PYTHON) -m docs.generate
	$(PYTHON) -m docs.site

install: build/wheels/.made ## install into /opt/emperord, /usr/local, /etc (PREFIX, DESTDIR)
	@$(INSTALLER) put '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@$(SUDO) systemd-sysusers emperord.conf
	@$(SUDO) systemd-tmpfiles --create emperord.conf
	@$(SUDO) rm -f $(addprefix /etc/systemd/system/sockets.target.wants/,$(FORMER_LINKS))
	@test ! -d /run/systemd/system || $(SUDO) systemctl daemon-reload
	@echo 'Now run `systemctl enable --now emperord`; if it is running, `systemctl reload emperord`.'
endif

uninstall: ## remove the installed files, except edited files, inis and logs
	@$(INSTALLER) verify '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@test ! -d /run/systemd/system || \
	  $(SUDO) systemctl disable --quiet --now emperord.service emperord.socket \
	    emperord-control.socket emperord-apps.service emperord-console.socket \
	    emperord-console.service emperord-balancer.service
endif
	@$(INSTALLER) remove '$(DESTDIR)/' '$(PREFIX)'
ifeq ($(DESTDIR),)
	@$(SUDO) rm -rf /var/lib/emperord/read-ahead
	@test ! -d /run/systemd/system || $(SUDO) systemctl daemon-reload
endif

deb: build/wheels/.made ## build the Debian packages for this release in OUT (REVISION, OUT)
	@systemd/debian/build '$(REVISION)' '$(OUT)'

apt-repo: build/wheels/.made ## build the packages into a signed apt repository (REPO, KEY, REVISION)
	@systemd/debian/repository '$(REPO)' '$(KEY)' '$(REVISION)'

clean: ## remove everything that the other targets have made, including .venv
	$(SUDO) rm -rf .venv build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	$(SUDO) find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: setup.cfg pyproject.toml .ci/install .ci/wheels
	@.ci/install

build/wheels/.made: setup.cfg pyproject.toml .ci/wheels
	@.ci/wheels
