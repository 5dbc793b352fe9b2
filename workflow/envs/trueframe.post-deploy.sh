#!/usr/bin/env bash
# Snakemake runs this in the workspace after it has made the environment of trueframe.yaml.
set -euo pipefail
uv pip sync --python "$CONDA_PREFIX/bin/python" requirements.lock
