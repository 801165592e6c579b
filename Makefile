# make search   the main job, from nothing: images in, a front of measured networks out
# make test     all tests
# Both build .venv first if it is missing or older than what it is made of.
PYTHON ?= python3
ARGS ?= +search=efficientformer
# Where torch comes from; empty is pip's own index. Without an NVIDIA driver it is the index of builds for
# processors: others bring gigabytes of CUDA. make TORCH_INDEX=https://download.pytorch.org/whl/cu130, say.
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)

.PHONY: search test lint
.DEFAULT_GOAL := search

search: .venv/.built
	.venv/bin/python -m orchestrator $(ARGS)

# Half of them wait for another process (a search, a browser), so two at once take little more.
test: .venv/.built
	.venv/bin/python -m pytest -n 2 --dist loadfile

lint: .venv/.built
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/oxlint orchestrator/report/page
	.venv/bin/oxfmt --check 'orchestrator/report/page/*.js'

# torch comes first, alone and by its pinned version: a resolver would take another build. An index that
# cannot be reached, or lacks the version, is told, and pip's own is asked.
PIP = .venv/bin/pip install --quiet --disable-pip-version-check
TORCH = $$(grep '^torch==' constraints.txt)
.venv/.built: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; assert (3, 11) <= sys.version_info < (3, 14), 'needs Python 3.11 to 3.13, found ' + sys.version.split()[0] + '; choose one with make PYTHON=python3.12 ...'"
	$(PYTHON) -m venv .venv
	@[ -z "$(TORCH_INDEX)" ] || $(PIP) --no-deps --retries 1 --index-url $(TORCH_INDEX) $(TORCH) \
	  || echo "No $(TORCH) from $(TORCH_INDEX): pip's own index is asked, and may give gigabytes of CUDA."
	$(PIP) $(TORCH)
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@
