# `make demo` and `make test` need only Python (3.11 or newer) and make.
#   PYTHON=python3.12 VENV=.venv312   use another interpreter, in another environment
#   SECONDS=60                        how long each test of `make fuzz` looks for failures
#   ARGS="..."                        passed on to the example, to pytest or to the benchmarks
#   PEERS=path/to/python              for `make bench`: a Python that has JAX and PyTorch already

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
SLOW_SECONDS ?= 20
CPU ?= x86-64-v3
SECONDS ?= 600
ARGS ?=
PEERS ?=

RUN := $(VENV)/bin/python
EXTRAS_examples := examples
EXTRAS_test := test,examples
EXTRAS_dev := dev
EXTRAS_bench := bench

# One BLAS thread per process: the test workers already use all the cores, and the matrices are so small that
# BLAS threads would mostly wait for each other.
ONE_BLAS_THREAD := OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1}

.PHONY: help demo test test-python test-cpu slow lint types bench gpu-check gpu-ready gpu-tests gpu-bench gpu-wheels clean

help:
	@echo "make demo       train a network on handwritten digits (about a minute)"
	@echo "make test       run the tests and every documented example"
	@echo "make test-python run those of operations and transformations without machine code"
	@echo "make test-cpu   run those of the compiler with machine code for CPU=x86-64-v3, a CPU without AVX-512"
	@echo "make slow       run the long randomised tests"
	@echo "make fuzz       compare random compiled programs with NumPy, SECONDS=600 for each kind"
	@echo "make lint       check formatting and style"
	@echo "make types      check types"
	@echo "make bench      compare with JAX, PyTorch and others (installs them, or PEERS=their Python)"
	@echo "make gpu-check  run the GPU tests, then the GPU table, with \$$(PYTHON), offline (15 minutes at most)"
	@echo "                 its parts are gpu-tests and gpu-bench; WHEELS=folder for what that Python lacks"
	@echo "make clean      remove the environment and caches"

demo: $(VENV)/installed-examples
	$(ONE_BLAS_THREAD) $(RUN) examples/train_digits.py $(ARGS)

test: $(VENV)/installed-test
	$(ONE_BLAS_THREAD) $(RUN) -m pytest -n $(WORKERS) $(ARGS)

# What `jit` does where there can be no machine code.
test-python: $(VENV)/installed-test
	$(ONE_BLAS_THREAD) FUNCGRAD_NATIVE=0 \
		$(RUN) -m pytest -n $(WORKERS) tests/ops tests/transforms tests/control tests/regress $(ARGS)

# Machine code for a lesser CPU than this one: x86-64-v3 has vectors of 32 bytes, x86-64-v2 of 16 and no fused multiply-add.
# How products are divided, and with that which parameters of a training step change in place, is another matter there.
test-cpu: $(VENV)/installed-test
	$(ONE_BLAS_THREAD) FUNCGRAD_TEST_CPU=$(CPU) $(RUN) -m pytest -n $(WORKERS) tests/compiler \
		--ignore=tests/compiler/cuda --ignore=tests/compiler/arm \
		--deselect=tests/compiler/test_donation_native.py::test_training_steps_are_done_in_place $(ARGS)

# pytest exits with 5 where no selected test exists.
slow: $(VENV)/installed-test
	$(ONE_BLAS_THREAD) FUNCGRAD_SLOW_SECONDS=$(SLOW_SECONDS) \
		$(RUN) -m pytest -n $(WORKERS) -m slow $(ARGS) || test $$? -eq 5

# Compiled code that cannot be made is an error here, and generated code is verified.
fuzz: $(VENV)/installed-test
	$(ONE_BLAS_THREAD) FUNCGRAD_SLOW_SECONDS=$(SECONDS) FUNCGRAD_CHECK_PROGRAMS=1 \
		$(RUN) -m pytest -n $(WORKERS) -m slow $(ARGS) \
		tests/compiler/test_compiled_random.py tests/transforms/test_random_programs.py

lint: $(VENV)/installed-dev
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

types: $(VENV)/installed-dev
	$(RUN) -m pyright --pythonpath $(RUN)

# The peers are large: they get an environment of their own, which funcgrad shares so that all have one NumPy.
ifeq ($(PEERS),)
bench: $(VENV)-bench/installed
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(VENV)-bench/bin/python -m benchmarks $(ARGS)
else
bench: $(VENV)/installed-examples
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(RUN) -m benchmarks --peers-python $(PEERS) $(ARGS)
endif

# PyTorch for the CPU alone is a tenth of the size of the one with CUDA; where its index cannot be reached, the
# usual one has to do.
CPU_INDEX := https://download.pytorch.org/whl/cpu

$(VENV)-bench/installed: pyproject.toml
	$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/created
	-$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
		--index-url $(CPU_INDEX) torch==2.13.0
	$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/installed-bench
	@touch $@

# Uses the machine's own Python, which already has CuPy: a GPU machine may have no network. WHEELS is a folder of
# wheels for what it lacks, put aside without touching that Python; `make gpu-wheels` fetches one. OUT is where
# results go. The parts can be run one by one, and again: rows of the table that are there are not measured anew.
WHEELS ?=
OUT ?= .
GPU_SITE ?= /tmp/funcgrad-gpu-site
GPU_MODULES := cupy scipy safetensors ml_dtypes pytest hypothesis
GPU_RUN := PYTHONUNBUFFERED=1 PYTHONPATH="$(GPU_SITE)$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON)

gpu-check:
	@status=0; $(MAKE) --no-print-directory gpu-tests || status=1; \
		$(MAKE) --no-print-directory gpu-bench || status=1; exit $$status

gpu-ready:
	@mkdir -p $(GPU_SITE) $(OUT)
	@test -z "$(WHEELS)" || $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--no-compile --no-cache-dir --upgrade --target $(GPU_SITE) $(WHEELS)/*.whl
	@for module in $(GPU_MODULES); do $(GPU_RUN) -c "import $$module" || { echo "gpu-check: $(PYTHON) cannot" \
		"import $$module. Install '.[cuda13,test]' there, or bring wheels: WHEELS=folder."; exit 1; }; done
	@$(GPU_RUN) -c "from nvmath.bindings import cublasLt; cublasLt.create()" \
		|| echo "gpu-check: no cuBLASLt (nvmath-python); whatever multiplies matrices will fail."
	@$(GPU_RUN) -c "import cupy; print(cupy.cuda.runtime.getDeviceProperties(0)['name'].decode())" \
		|| { echo "gpu-check: CuPy finds no CUDA device on this machine."; exit 1; }

# Words choose: `make gpu-tests ARGS="on_device models"`.
gpu-tests: gpu-ready
	$(GPU_RUN) -m tests.gpu.check --json $(OUT)/gpu-tests.json $(ARGS)

# Rows choose: `make gpu-bench ARGS="W1 W2 K1"`.
gpu-bench: gpu-ready
	$(GPU_RUN) -m benchmarks.gpu --keep --minutes 6 --json $(OUT)/gpu-check.json --results $(OUT)/gpu-check.md $(ARGS)

# For WHEELS, of the Python that the GPU machine has; without llvmlite, which only the CPU needs.
GPU_PYTHON ?= 3.12
GPU_WHEELS := nvmath-python cuda-core cuda-pathfinder optax absl-py pytest pluggy iniconfig packaging pygments hypothesis sortedcontainers
GPU_PLATFORMS := $(foreach n,28 27 24 17,--platform manylinux_2_$(n)_x86_64) --platform manylinux2014_x86_64

gpu-wheels:
	test -n "$(WHEELS)"
	$(PYTHON) -m pip download --no-deps --only-binary=:all: --implementation cp --python-version $(GPU_PYTHON) \
		$(GPU_PLATFORMS) --dest $(WHEELS) $(GPU_WHEELS)

clean:
	rm -rf $(VENV) $(VENV)-bench build dist .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: made once, installed into again when pyproject.toml changes ---

$(VENV)/created:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'funcgrad needs Python 3.11 or newer, got ' + sys.version.split()[0] + '. Write: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check

$(VENV)/installed-%: pyproject.toml $(VENV)/created
	$(PIP_INSTALL) --editable ".[$(EXTRAS_$*)]"
	@touch $@

# The tests of an emulated GPU need 200 MB of CuPy and NVRTC; without these they are skipped, and say so.
$(VENV)/installed-test: pyproject.toml $(VENV)/created
	$(PIP_INSTALL) --editable ".[$(EXTRAS_test)]"
	@$(PIP_INSTALL) --editable ".[$(EXTRAS_test),cuda-test]" \
		|| echo "make: CuPy and NVRTC could not be installed; the tests of the emulated GPU are skipped"
	@touch $@
