# The few things a person types. Everything real is in CMake and scripts/.
BUILD := build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

.PHONY: all deps build demo check bench install format clean

all: build

deps: ## install the Debian packages that building needs
	scripts/deps.sh install

# Says nothing when nothing is missing.
.PHONY: ensure-deps
ensure-deps:
	@scripts/deps.sh check || scripts/deps.sh install

build: ensure-deps ## optimised build in build/release
	@test -f $(BUILD)/build.ninja || cmake --preset release
	cmake --build $(BUILD) -j $(JOBS)

demo: build ## find the neurons of two tasks and switch them off
	scripts/demo.sh $(BUILD)/taskneuron

check: build ## every test
	ctest --test-dir $(BUILD) --output-on-failure

bench: build ## measure (docs/performance.md)
	cmake --build $(BUILD) -j $(JOBS) --target bench
	python3 bench/run.py $(BUILD) --docs

install: build ## to PREFIX
	cmake --install $(BUILD) --prefix $(PREFIX)

format: ## clang-format every source
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

clean:
	rm -rf build
