# One command each, from a fresh clone: make install | demo | test | lint | docs.
# Every target does its own set-up; a second call finds it done.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed

# What Qt and a virtual display need on a bare Debian or Ubuntu, and a font to draw with.
LIBRARIES := xvfb xauth libgl1 libegl1 libgl1-mesa-dri libfontconfig1 libdbus-1-3 \
	libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
	libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 fonts-dejavu-core
# Its package has another name in newer releases, which answers to this one.
GLIB := libglib2.0-0

# On Linux without a display the windows open on a virtual one.
SCREEN = $(if $(filter Linux,$(shell uname -s)),$(if $(DISPLAY),,$(if $(shell command -v xvfb-run),\
	xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24")))

# $(call packages,names): as root install them; tell anybody else what to type, and go on.
packages = if [ "$$(id -u)" = 0 ]; then \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(1); } \
		|| echo "Some of these could not be installed: $(1)"; \
	else echo "Windows need packages that are not there; type: sudo apt-get install $(1)"; fi

.PHONY: install demo test lint docs system
.DEFAULT_GOAL := install

install: system $(INSTALLED)

demo: install
	$(BIN)/napari-unet demo --out demo

test: install
	$(SCREEN) $(BIN)/python -m pytest
	$(MAKE) lint

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python docs/scripts/reference.py
	$(BIN)/mkdocs build --strict

system:
	@if [ "$$(uname -s)" != Linux ]; then :; \
	elif ! command -v dpkg-query >/dev/null; then \
		echo "If no window opens, install what your system calls: $(LIBRARIES) $(GLIB)"; \
	elif ! dpkg-query --show $(LIBRARIES) >/dev/null 2>&1 || ! /sbin/ldconfig -p | grep -q libglib-2.0; then \
		$(call packages,$(LIBRARIES) $(GLIB)); fi

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call packages,python3-venv); }
	$(PYTHON) -m venv .venv

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@
