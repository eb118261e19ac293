# make demo   the main job: every model through every stage, then one table
# make test   lint, types and the fast tests; `make test-all` also runs the slow ones
# Both set up .venv first, from requirements.lock. `make everywhere` is the main job on every
# processor that this machine can run or simulate. LEAN=1, with Python 3.12 or 3.13, does without
# TensorFlow.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUILD ?= build
# Parallel test processes; `auto` is one per core.
JOBS ?= auto

LOCK := requirements$(if $(LEAN),-lean).lock

MODELS := ssrnet ssrnet-gender c3ae-plain c3ae mobileagenet
MANIFESTS := $(MODELS:%=$(BUILD)/%/manifest.json)
# The sources of each stage: a change there remakes its files.
sources = $(shell find $(1) -name '*.py' -o -name '*.toml')
BASE := $(wildcard agecompact/*.py) $(call sources,agecompact/models agecompact/weights \
  agecompact/artifacts agecompact/runtimes)
EXPORT_SOURCES := $(BASE) $(call sources,export)
PARITY_SOURCES := $(BASE) $(call sources,agecompact/faces agecompact/evaluation parity_tests)
BENCH_SOURCES := $(BASE) $(call sources,agecompact/bench)

# PyPI's torch for Linux brings gigabytes of CUDA. The CPU build comes from pip's configured index,
# else from PyTorch's own; on macOS PyPI's build is the CPU build.
TORCH := $(shell sed -n 's/^torch==//p' $(LOCK))
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DELETE_ON_ERROR:
# It also holds measurements of other devices, which a failed bench must not delete.
.PRECIOUS: $(BUILD)/latency.json
.PHONY: demo everywhere test test-all test-exhaustive lint export parity golden bench bench-arm bench-android bench-ios bench-ios-app \
  bench-peers preprocessing released-onnx arm-bundle arm-python adb-loopback web-tools kotlin-tools mil-conformance report docs \
  docs-tools setup clean clean-venv

demo: report

# Extras beyond requirements.lock: make setup EXTRAS="npu coreai". With them, the main job also uses
# the processors that they bring: make demo EXTRAS="npu coreai".
EXTRAS ?=
ALSO := $(if $(EXTRAS),--everywhere)
EMPTY :=
COMMA := ,
EXTRA_LIST = $(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip $(EXTRAS)))
setup: $(READY)
	@$(if $(EXTRAS),$(PIP) install --constraint $(LOCK) \
	  --constraint requirements-extras.lock --no-build-isolation --editable '.[$(EXTRA_LIST)]')

# onnx2tf 2, which needs no TensorFlow, needs Python 3.12.
LEAST := 3.$(if $(LEAN),12,11)
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < ($(subst .,$(COMMA),$(LEAST))))' || \
	  { echo "error: Python $(LEAST) or newer is needed; set PYTHON=python$(LEAST)" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: no venv module; fix: apt-get install python3-venv" >&2; exit 3; }
	@echo "installing $(LOCK) into $(VENV), about $(if $(LEAN),2,4) GB"
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(PIP) install torch==$(TORCH)+cpu 2>/dev/null || \
	  $(PIP) install torch==$(TORCH)+cpu --index-url $(TORCH_INDEX) 2>/dev/null || \
	  $(PIP) install torch==$(TORCH)
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(BIN)/python --no-deps -r $(LOCK); \
	else \
	  $(PIP) install --no-deps -r $(LOCK); \
	fi
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The tests of a file run in one process, because they share what their fixtures make; files start
# in the order of tests/conftest.py, the longest first. One thread each: more would only compete for
# the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST) -m 'not slow and not exhaustive'

# Also converts every model, evaluates the released weights (if AGECOMPACT_DATA names UTKFace) and
# exports in a network namespace without a network.
test-all: lint
	$(PYTEST) -m 'not exhaustive'

# What CI leaves out, because other cases show the same (tests/tiers.py): an hour of two cores.
test-exhaustive: $(READY)
	$(PYTEST) -m exhaustive

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Apple's own op tests on the reference runtime for Core ML; about ten minutes of a core.
mil-conformance: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mil_conformance

export: $(MANIFESTS)

# make export-ssrnet, export-c3ae, ...
export-%: $(BUILD)/%/manifest.json ;

# Core ML's int8 is of weights alone. The released calibrations for int8 only fit the graphs
# that onnx2tf 1 writes.
PRECISIONS ?= fp32 fp16 $(if $(LEAN),,int8) int8-weights
$(BUILD)/%/manifest.json: agecompact/weights/%.safetensors agecompact/weights/%.json \
    agecompact/weights/%.int8.safetensors $(EXPORT_SOURCES) | $(READY) $(if $(EXTRAS),setup)
	$(BIN)/agecompact export $* $(ALSO) $(PRECISIONS:%=--precision %) --out $(BUILD)

parity: $(BUILD)/parity.json

$(BUILD)/parity.json: $(MANIFESTS) $(PARITY_SOURCES)
	$(BIN)/agecompact parity $(BUILD) $(ALSO)

# All models in all formats on all processors, then one table; EVERYWHERE=ssrnet for one model. It
# needs Chromium, and Node.js for its packages: apt-get install chromium nodejs npm
PROCESSORS := coreai executorch gpu ncnn npu web
EVERYWHERE ?= $(MODELS)
EXPORT_EVERYWHERE = $(BIN)/agecompact export --everywhere --precision fp32 --precision fp16 \
  --precision int8 --out $(BUILD)/everywhere
# The networks that int16 suits: docs/processors.md.
INT16 := $(filter-out mobileagenet,$(MODELS))
everywhere: | $(READY)
	@$(MAKE) --no-print-directory setup EXTRAS="$(PROCESSORS)"
	@$(MAKE) --no-print-directory web-tools arm-python
	$(if $(filter $(INT16),$(EVERYWHERE)), \
	  $(EXPORT_EVERYWHERE) --precision int16 $(filter $(INT16),$(EVERYWHERE)))
	$(if $(filter-out $(INT16),$(EVERYWHERE)), \
	  $(EXPORT_EVERYWHERE) $(filter-out $(INT16),$(EVERYWHERE)))
	@# The table shows failures as well; then they fail the target.
	$(BIN)/agecompact parity $(BUILD)/everywhere --everywhere --no-localise; status=$$?; \
	  $(BIN)/agecompact report $(BUILD)/everywhere --markdown $(BUILD)/everywhere.md && exit $$status

# What every bench replays on its device: inputs and PyTorch's outputs.
golden: $(MODELS:%=$(BUILD)/%/golden/golden.json)

$(BUILD)/%/golden/golden.json: $(BUILD)/%/manifest.json $(PARITY_SOURCES)
	$(BIN)/agecompact parity freeze $(BUILD)/$*

bench: $(BUILD)/latency.json

$(BUILD)/latency.json: $(MANIFESTS) $(BENCH_SOURCES) | golden
	$(BIN)/agecompact bench $(BUILD) --on host

# LiteRT for ARM, an emulator and the runner that both it and a phone run; cached, without root.
arm-bundle: $(READY)
	$(BIN)/python -m android_bench.emulated.make_bundle

# Python with the installed runtimes for ARM, in which parity checks files under the emulator; also
# makes the ARM bundle.
arm-python: $(READY)
	$(BIN)/python -m android_bench.emulated.make_python

# A real adb client and adbd for the tests, which start them in a separate namespace.
adb-loopback: $(READY)
	$(BIN)/python -m tests.android_bench.adb.packages

# The runtimes that run in a browser, and what the tests of web pages need, as packages of npm. Both
# also need an installed Chromium.
web-tools: $(READY)
	$(BIN)/python -m agecompact.web tests/web

# A Kotlin compiler for the tests of Android projects, which also need Java.
kotlin-tools: $(READY)
	$(BIN)/python -m tests.agecompact.integrate.kotlin_tools

CORES ?= cortex-a53 cortex-a76
bench-arm: $(MANIFESTS) arm-bundle golden
	$(BIN)/agecompact bench $(BUILD) $(CORES:%=--on emulated:%)

bench-android: $(MANIFESTS) arm-bundle golden
	$(BIN)/agecompact bench $(BUILD) --on adb$(if $(SERIAL),:$(SERIAL))

bench-ios: $(MANIFESTS) golden
	$(BIN)/agecompact bench $(BUILD) --on ios$(if $(DEVICE),:$(DEVICE))

bench-ios-app:
	xcodebuild build -project ios_bench/AgecompactApp/AgecompactApp.xcodeproj -scheme AgecompactApp \
	  -configuration Release -destination 'generic/platform=iOS' \
	  -derivedDataPath ios_bench/AgecompactApp/DerivedData -allowProvisioningUpdates \
	  DEVELOPMENT_TEAM=$(TEAM) PRODUCT_BUNDLE_IDENTIFIER=$(BUNDLE)

# The age models by other tools and by ours, on AGECOMPACT_DATA, or on folders of face chips:
# CALIBRATION=my-chips IMAGES=other-chips. Rows whose files or faces have not changed are kept.
AGE_MODELS := $(filter-out ssrnet-gender,$(MODELS))
FACES ?= 500
EMULATED_FACES ?= 100
bench-peers: $(READY) arm-bundle
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench_peers $(AGE_MODELS) --out $(BUILD)/peers \
	  --faces $(FACES) --emulated-faces $(EMULATED_FACES) $(PEERS:%=--peer %) \
	  $(if $(CALIBRATION),--calibration "$(CALIBRATION)") \
	  $(if $(IMAGES),--images "$(IMAGES)") $(if $(AGAIN),--again)

# What mistakes in preprocessing cost, on the test part of AGECOMPACT_DATA, into the cards of the
# released weights.
FACES_mobileagenet := 300
preprocessing: $(MODELS:%=preprocessing-%)

preprocessing-%: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/agecompact preprocessing $* --limit $(or $(FACES_$*),1000) \
	  --out $(BUILD) --update-card

# The float16 ONNX files beside the released weights, which `predict` runs without PyTorch.
released-onnx: $(MODELS:%=released-onnx-%)

released-onnx-%: $(READY)
	$(BIN)/agecompact export $* --format onnx --precision fp16 --out $(BUILD)/released
	cp $(BUILD)/released/$*/$*_float16.onnx agecompact/weights/$*.onnx

report: $(BUILD)/parity.json $(BUILD)/latency.json
	@$(BIN)/agecompact report $(BUILD) --html $(BUILD)/report.html

# The site of docs/ in build/site, strict about links. Its tools lie beside .venv, not in it, so that
# `make test` need not install them; with them alone, `make docs` needs no network.
DOCS_TOOLS := $(BUILD)/docs-tools
docs: docs-tools
	PYTHONPATH=$(DOCS_TOOLS) NO_MKDOCS_2_WARNING=1 \
	  $(BIN)/python -m mkdocs build --quiet --strict --site-dir $(abspath $(BUILD))/site

docs-tools: $(DOCS_TOOLS)/.ready

$(DOCS_TOOLS)/.ready: requirements-docs.lock | $(READY)
	@rm -rf $(DOCS_TOOLS)
	@$(PIP) install --no-deps --target $(DOCS_TOOLS) -r requirements-docs.lock
	@touch $@

clean:
	rm -rf $(BUILD)

clean-venv:
	rm -rf $(VENV)
