# make app starts the studio, make test runs the tests; every target does its own set-up.

PYTHON ?= python3
PORT ?= 7860
NAME ?= all
MINUTES ?= 10
RESOLUTION ?= lowest-direct

VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.9
# Shared libraries that opencv-python and mediapipe load and that a slim Debian lacks.
LIBRARIES := libgl1 libegl1 libgles2 libglib2.0-0
APT := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends

.DEFAULT_GOAL := help
.PHONY: help app install test test-slow check bench pictures examples fuzz lock ends audit clean

help:
	@echo "make app      start the studio on http://127.0.0.1:$(PORT) (PORT=...)"
	@echo "make install  set up .venv, whose facegen is the command (PYTHON=...)"
	@echo "make test     run the tests, without the long ones (test-slow runs those)"
	@echo "make check    ruff and mypy"
	@echo "make bench    measure (NAME=... for one benchmark; CHECK=1 lists figures that are older than their code)"
	@echo "make pictures take the screenshots of README and docs anew (examples: what the studio shows first)"
	@echo "make fuzz     damage files of each kind and hold the readers against them (MINUTES=...)"
	@echo "make ends     try the oldest versions that requirements.txt allows (RESOLUTION=highest: the newest)"
	@echo "make lock     write requirements.lock anew"
	@echo "make audit    look up known weaknesses of the locked versions, or how old they are where no database answers"
	@echo "make clean    remove .venv and caches"

app: install
	GRADIO_SERVER_PORT=$(PORT) $(BIN)/python app.py

install: $(VENV)/.installed

# what hangs where no timeout of pytest reaches it, in C, ends with the stacks of all threads
test: SPEED := not slow
test: HANGS := -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
test-slow: SPEED := slow
test test-slow: $(VENV)/.installed-dev
	@command -v chromium >/dev/null && command -v debootstrap >/dev/null || $(MAKE) --no-print-directory test-programs
	$(BIN)/python -m pytest -rs -m "$(SPEED)" $(HANGS) $(TESTS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(if $(CHECK),--check,$(NAME))

pictures: $(VENV)/.installed-dev
	FACEGEN_PICTURES=docs/pictures $(BIN)/python -m pytest tests/browser/test_walk.py -k "every_tab or (wide and (run_of or models_can))"

examples: $(VENV)/.installed-dev
	$(BIN)/python docs/make_examples.py

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -W ignore -m tests.fuzz $(MINUTES)

# versions and hashes for reproducible installs, of everything that requirements.txt and the extras of dev allow
lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock" \
		pyproject.toml --extra dev -o requirements.lock

# the oldest versions that requirements.txt allows (RESOLUTION=highest: the newest) in an environment of their own
ends: $(BIN)/uv
	bash tests/ends.sh $(RESOLUTION)

# weaknesses that are known of the locked versions; their ages where no database answers, which ends with an error, too
audit: $(BIN)/uv
	$(BIN)/python tests/audit.py --pip-audit "$(BIN)/uv tool run --quiet pip-audit==2.9.0"

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = (3, 11) <= v[:2] <= (3, 13); ok or sys.exit( \
		f"Expected Python 3.11 to 3.13, found {v[0]}.{v[1]}; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(UV)

$(VENV)/.libraries: | $(BIN)/uv
	@if $(BIN)/python -c 'import ctypes; [ctypes.CDLL(name) for name in \
		("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libgthread-2.0.so.0")]' 2>/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(APT) $(LIBRARIES); \
	else echo "OpenCV and MediaPipe may not load; run: sudo apt-get install $(LIBRARIES)"; fi
	@touch $@

# bytecode is compiled now: the first command of each kind would pay for it otherwise
$(VENV)/.installed: requirements.txt requirements.lock pyproject.toml | $(BIN)/uv $(VENV)/.libraries
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c requirements.lock -e .
	$(BIN)/python -m compileall -q facegen
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c requirements.lock -e '.[dev]'
	@touch $@

.PHONY: test-programs
test-programs:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then $(APT) chromium debootstrap; \
	else echo "Chromium or debootstrap is not here, so tests in a browser or in a clean root will skip; install the packages of these names."; fi
