#!/usr/bin/env bash
# Installs one end of the ranges of requirements.txt into an environment of its own, and tries imports, page and short tests there.
# bash tests/ends.sh lowest-direct|highest [FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
resolution="${1:-lowest-direct}"
folder="${2:-$(mktemp -d)}"
uv="${UV:-$(command -v uv || echo .venv/bin/uv)}"
"$uv" venv --quiet --clear --python "${PYTHON:-python3}" "$folder"
"$uv" pip install --quiet --python "$folder/bin/python" --resolution "$resolution" -r requirements.txt
"$uv" pip install --quiet --python "$folder/bin/python" pytest pytest-timeout
export PYTHONPATH="$PWD" FACEGEN_HOME="$folder/home"
"$folder/bin/python" -W ignore tests/import_all.py
"$folder/bin/python" -m pytest -m "not slow and not browser" -W ignore \
    tests/test_config.py tests/jobs/test_jobs.py tests/ui/test_messages.py tests/generate/test_pipeline.py tests/swap/test_command.py
