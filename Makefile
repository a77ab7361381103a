# Two commands for a newcomer: make demo, make test. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test docs explore test-minimum doors bench exports folder soak clean

demo: $(VENV)/.installed
	$(BIN)/fullconv demo

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --dist loadfile

# the site of docs/ in site/: open site/index.html; needs no server and no network
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# the property tests with examples never seen before, instead of the same ones every time
explore: $(VENV)/.installed-dev
	HYPOTHESIS_PROFILE=explore $(BIN)/pytest -m hypothesis

# the oldest versions that pyproject.toml allows; what they warn of in each other is not ours
test-minimum: .venv-minimum/.installed
	.venv-minimum/bin/python -m pytest -W ignore::DeprecationWarning -W ignore::FutureWarning $(MINIMUM_TESTS)

MINIMUM_TESTS := tests/models tests/ops tests/images tests/formats/test_*.py tests/formats/read/test_folder.py \
	tests/formats/read/test_voc*.py tests/data/test_loader.py tests/test_segmenter.py tests/test_pretrained.py \
	tests/training/test_fit.py

# the server with the programs that it is for, which live in .doors: CONTRIBUTING.md says what else they need
doors: $(VENV)/.installed-dev .doors/.installed
	FULLCONV_PROCESS_TESTS=1 FULLCONV_LABEL_STUDIO_PYTHON=.doors/label-studio/bin/python \
	FULLCONV_TRITON_PYTHON=.doors/triton/bin/python FULLCONV_PLAYWRIGHT_PYTHON=.doors/playwright/bin/python \
	FULLCONV_ONNXRUNTIME_WEB=.doors/web $(BIN)/pytest tests/serving -rs

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/run.py

# which networks pass the gate of which export, the table of docs/export.md: an hour
exports: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/exports.py

# what reading and writing a folder of 1,000 images adds to the network
folder: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/folder.py

# a raster of 60,000 x 60,000 pixels, killed and gone on with, in 2 GiB: hours
soak: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/soak.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing PyTorch and the rest into $(VENV), once: minutes; on Linux 6 GB"
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

.venv-minimum/.installed: pyproject.toml .ci/minimum.py
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/pip install --quiet --upgrade pip
	.venv-minimum/bin/python .ci/minimum.py pyproject.toml > .venv-minimum/minimum.txt
	.venv-minimum/bin/pip install --quiet -e '.[dev]' -c .venv-minimum/minimum.txt
	touch $@

.doors/.installed:
	for name in label-studio triton playwright; do $(PYTHON) -m venv .doors/$$name || exit 1; done
	.doors/label-studio/bin/pip install --quiet label-studio
	.doors/triton/bin/pip install --quiet 'tritonclient[http]'
	.doors/playwright/bin/pip install --quiet playwright
	if command -v npm; then npm install --silent --prefix .doors/web onnxruntime-web; fi
	touch $@

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) .venv-minimum .doors .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache site
