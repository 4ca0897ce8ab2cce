# make run    the default package under a budget, on this machine (no torch)
# make install   PyTorch and all else into .venv, for training and export
# make test   the whole test suite, C++ engine included
# make check  lint, format, types, the HLS subset, loops (needs clang-16), clang-tidy, generated files, import direction
# make page   docs/index.html, from result rows and from what the engine runs for ten images
# make bench-check   a quick run against the committed rows: cycles and FLOPs by equality, speeds within their noise
# make deploy HOST=user@address BOARD=zedboard   copy to a board and test it there
# make boards | synth BOARD=zedboard [POINT=safe|large] [STAGE=csim|hls|cosim|impl|all] [CLOCK_MHZ=100] [DRY_RUN=1] [ACCEPT=ID] | synth-report | rtl
# make fuzz   a million mutated instruction words against the engine under the sanitizers

PYTHON ?= python3
BUDGET ?= 74M
BOARD  ?= zedboard
STAGE  ?= all
POINT  ?= safe
VENV   := .venv
BIN    := $(VENV)/bin
FORMATTED = $(filter-out hls/src/isa.hpp hls/src/top.hpp,$(wildcard hls/src/*.?pp hls/src/*/*.?pp hls/stress/*.cpp hls/bounds/*.hpp bitstreams/lockstep/*.?pp))
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run install test check page bench-check fuzz deploy boards synth synth-report rtl format generate clean
.DEFAULT_GOAL := run

run: $(VENV)/run.stamp
	$(BIN)/python host/run.py --budget $(BUDGET)

install: $(VENV)/test.stamp

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest --cosim --numprocesses logical --dist worksteal

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)
	$(BIN)/ty check --quiet --python $(VENV)
	$(BIN)/python -m hls.lint.rules
	$(BIN)/python -m bitstreams.resources --check
	$(BIN)/python -m bitstreams.bounds --check --strict
	$(BIN)/python -m bitstreams.points zedboard safe bitstreams.bounds --check --strict
	$(BIN)/clang-tidy --quiet hls/src/engine.cpp -- -std=c++14
	$(BIN)/clang-tidy --quiet hls/src/engine.cpp -- -std=c++14 -D__SYNTHESIS__
	$(BIN)/clang-tidy --quiet hls/src/engine.cpp -- -std=c++14 -DDDI_CHIP
	$(BIN)/python -m hls.generate --check
	$(BIN)/python -m bitstreams.generate --check
	$(BIN)/python -m bench all --check
	$(BIN)/lint-imports --no-logo

page: $(VENV)/test.stamp
	$(BIN)/python -m bench.front.page

bench-check: $(VENV)/test.stamp
	$(BIN)/python -m bench.front.regression

deploy: $(VENV)/run.stamp
	$(BIN)/python host/deploy.py $(HOST) --board $(BOARD)

boards: $(VENV)/run.stamp
	$(BIN)/python -m bitstreams.design

synth: $(VENV)/run.stamp
	$(BIN)/python -m bitstreams.points "$(BOARD)" "$(POINT)" bitstreams.vitis.synth "$(BOARD)" --stage $(STAGE) $(if $(CLOCK_MHZ),--clock-mhz $(CLOCK_MHZ)) $(if $(DRY_RUN),--dry-run) $(if $(ACCEPT),--accept "$(ACCEPT)")

synth-report: $(VENV)/run.stamp
	$(BIN)/python -m bitstreams.points "$(BOARD)" "$(POINT)" bitstreams.report "$(BOARD)"

rtl: $(VENV)/run.stamp
	$(PIP) -r requirements/rtl.txt
	$(BIN)/python -m bitstreams.open_hls.rtl

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m hls.stress.fuzz --words 1000000

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/clang-format -i $(FORMATTED)

generate: $(VENV)/run.stamp
	$(BIN)/python -m hls.generate
	$(BIN)/python -m bitstreams.generate

clean:
	rm -rf $(VENV) build

# torch comes first and alone: another package's range would bring the CUDA build.
$(VENV)/test.stamp: $(VENV)/run.stamp requirements/torch.txt requirements/train.txt requirements/test.txt \
                    requirements/meter.txt requirements/remote.txt requirements/images.txt requirements/hls4ml.txt requirements/sweep.txt
	$(PIP) -r requirements/torch.txt
	$(PIP) -r requirements/test.txt
	touch $@

$(VENV)/run.stamp: requirements/run.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/run.txt
	touch $@
