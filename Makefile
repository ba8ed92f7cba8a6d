# The few things a person types. Everything real is in CMake and scripts/.
# Each target first installs the Debian packages that it lacks (scripts/deps.sh), as root or with sudo.
BUILD := build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

.PHONY: all deps build demo tests check check-all bench install format clean

all: build

packages = @scripts/deps.sh check $(1) || scripts/deps.sh install $(1)

deps: ## every package of every target
	scripts/deps.sh install all

# The program and the library alone: tests and their packages come with the first `make check`.
build: ## optimised build in build/release
	$(call packages,build)
	@test -f $(BUILD)/build.ninja || cmake --preset release -DTASKNEURON_TESTS=OFF
	cmake --build $(BUILD) -j $(JOBS) --target taskneuron_program

demo: ## train the shipped model on two tasks, find the neurons of each, and switch them off
	$(call packages,demo)
	@$(MAKE) --no-print-directory build
	scripts/demo.sh $(BUILD)/taskneuron

tests:
	$(call packages,test)
	@grep -qs 'TASKNEURON_TESTS:BOOL=ON' $(BUILD)/CMakeCache.txt && test -f $(BUILD)/build.ninja || \
	  cmake --preset release -DTASKNEURON_TESTS=ON
	cmake --build $(BUILD) -j $(JOBS)

check: tests ## every test but the slow ones
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE slow

check-all: tests ## every test
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

bench: ## measure (docs/performance.md)
	$(call packages,bench)
	@$(MAKE) --no-print-directory build
	cmake $(BUILD) >/dev/null # looks again for Google Benchmark
	cmake --build $(BUILD) -j $(JOBS) --target bench
	python3 bench/run.py $(BUILD) --docs

install: build ## to PREFIX
	cmake --install $(BUILD) --prefix $(PREFIX)

format: ## clang-format every source
	$(call packages,format)
	tools/format.sh

clean:
	rm -rf build
