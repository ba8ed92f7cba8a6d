#!/usr/bin/env python3
"""Measures taskneuron on this machine, with PyTorch programs that do the same on the same rows.

  run.py BUILD_FOLDER [--python PATH ...] [--rounds N] [--only NAME ...] [--dtypes NAME ...] [--without compile] [--docs] [--quick]

Makes random checkpoints of named shapes (under BUILD_FOLDER/bench/data; the largest has 13 GB), runs
every case, prints tables and writes BUILD_FOLDER/bench/results.json.

--python names the interpreters whose PyTorch takes part, by default this one or /usr/bin/python3. Every
program that is compared loads the model and the rows once and makes a pass that does not count; then
they take turns, round after round, one running while the others wait. For each PyTorch every variant
(bench/compared.py) is first tried on a part of the rows; the best --finalists of them take part in the
rounds, and the best there is what we compare with. Reported are medians with the range.

--docs also writes this system's section of docs/performance.md, from results.json.
"""
import argparse
import json
import os
import platform
import sys

import alone
import compared
import page
import variants
from bench import ROOT, Bench

CASES = {"gpt2": compared.gpt2, "mini": compared.mini, "train": compared.train, "ranking": compared.ranking,
         "llama": compared.llama, "sharing": alone.sharing, "memory": alone.memory, "growth": alone.growth, "continual": alone.continual,
         "large": alone.large, "generation": alone.generation, "overlap": alone.overlap, "tokenizer": alone.tokenizer,
         "kernels": alone.kernels}


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            lines = info.read().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags"))
        return name + (" with AVX512-BF16" if "avx512_bf16" in flags else "")
    except (OSError, StopIteration):
        return platform.machine()


def system():
    """The distribution, as "Debian 13"."""
    try:
        values = platform.freedesktop_os_release()
        return f"{values['NAME'].split()[0]} {values['VERSION_ID']}"
    except (OSError, KeyError, AttributeError):
        return platform.system()


def find_pythons(paths):
    found = [variants.find_python(path) for path in paths or (sys.executable, "/usr/bin/python3")]
    for path, python in zip(paths, found):
        if python is None:
            sys.exit(f"{path}: cannot import torch")
    found = [python for python in found if python][: len(paths) or 1]
    if not found:
        print("PEERS SKIPPED: no Python here has PyTorch (apt-get install python3-torch); "
              "taskneuron is measured alone", file=sys.stderr)
    return found


def merged(kept, new):
    """Results of this run in place of those of the same cases before."""
    new = {entry["case"]: entry for entry in new}
    return [new.pop(entry["case"], entry) for entry in kept] + list(new.values())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--python", nargs="+", default=[], metavar="PATH", help="interpreters that have PyTorch")
    parser.add_argument("--rounds", type=int, default=0, help="default 5")
    parser.add_argument("--finalists", type=int, default=2, help="variants of each PyTorch in the rounds (default 2)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--without", nargs="+", choices=["compile"], default=[],
                        help="variants that are left out, and said to be: torch.compile takes minutes a variant")
    parser.add_argument("--dtypes", nargs="+", choices=["bfloat16", "float32"], default=["bfloat16", "float32"])
    parser.add_argument("--docs", action="store_true", help="write this system's section of docs/performance.md")
    parser.add_argument("--quick", action="store_true", help="few rows, few variants, one round: does it run?")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


def main():
    options = arguments()
    bench = Bench(options.build, find_pythons(options.python), options)
    path = os.path.join(bench.build, "bench", "results.json")
    kept = []
    if len(options.only) < len(CASES) and os.path.exists(path):  # the other cases as they were
        with open(path) as file:
            kept = json.load(file)["results"]
    for case in options.only:
        CASES[case](bench)
        report = {"system": system(), "machine": processor(), "threads": bench.threads, "rounds": bench.rounds,
                  "pythons": [{"path": os.path.basename(p.path), "torch": p.torch, "transformers": p.transformers}
                              for p in bench.pythons],
                  "results": merged(kept, bench.results)}
        with open(path + ".part", "w") as file:
            json.dump(report, file, indent=1)
        os.rename(path + ".part", path)
    print(f"\nwritten: {bench.short(path)}")
    if options.docs:
        page.write(report, os.path.join(ROOT, "docs/performance.md"))
        print("written: docs/performance.md")


if __name__ == "__main__":
    main()
