#!/usr/bin/env python3
"""A device gives the CPU's numbers: device.py PROGRAM [--device cuda] [--preload LIBRARY] [--tests UNIT_TESTS]

What runs a model, once on the CPU and once on the device, both in float32: relevance by every method, evaluations, generated texts,
ablations of every mode, fidelity, trainings of every kind, streams by every method. The fixtures' models are small; `--tests` runs the goldens of
every family on the device too. Without --device it is `privateuseone`, as tests/device/far_device.cpp makes it of the CPU."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/cli"), str(ROOT / "tests/ranks")]
from compare import same_numbers, worst

FIXTURES, TASKS = ROOT / "tests/fixtures/end_to_end", ROOT / "examples/tasks"
MODES = ("activation", "parameter", "scale=0.5", "mean", "resample")
METHODS = ("taylor", "gradient", "activation", "frequency", "integrated-gradients", "ablation")
STREAMS = ("ncft", "ncft:exclusive=0,soft=yes,orthogonal=yes", "ncft:finder=change", "ncft:finder=fisher", "w-ncft", "w-ncft:combine=literal",
           "w-ncft:dynamic=yes", "w-ncft:route=nearest", "ncft-random", "ncft-disjoint", "seqft", "seqlora", "inclora", "o-lora", "epi", "ewc", "lwf",
           "l2", "replay", "per-task", "mtl")
TOLERANCE = 1e-4  # relative; of a training's results after some steps 1e-2


class Comparison:
    def __init__(self, arguments, folder):
        self.program, self.device, self.folder = str(pathlib.Path(arguments.program).resolve()), arguments.device, folder
        self.environment = {**os.environ, "TMPDIR": str(folder)}
        if arguments.preload:
            self.environment["LD_PRELOAD"] = str(pathlib.Path(arguments.preload).resolve())
        self.checks, self.failures = 0, []

    def check(self, what, difference):
        self.checks += 1
        if difference:
            self.failures.append(what)
            print(f"FAILED {what}: {difference}", flush=True)

    def run(self, *command):
        """What the command prints, or none, having said why."""
        done = subprocess.run([self.program, *map(str, command), "--quiet"], capture_output=True, text=True, env=self.environment)
        if done.returncode == 0:
            return done.stdout
        self.check(f"{' '.join(map(str, command))} ends with {done.returncode}", done.stderr.strip() or "nothing said")
        return None

    def both(self, *command, out=None):
        """Of a command on the CPU and on the device: what each prints, and where each wrote."""
        found = []
        for place in ("cpu", self.device):
            where = [] if out is None else ["--out", self.folder / f"{out}-{place.split(':')[0]}"]
            found.append((self.run(*command, "--device", place, "--dtype", "float32", *where), where[-1] if where else None))
        return found if all(printed is not None for printed, _ in found) else None

    def scores(self, what, *command):
        if found := self.both("detect", *command, out=what.replace(" ", "-") + ".safetensors"):
            difference = worst(found[0][1], found[1][1])
            self.check(what, "" if difference < TOLERANCE else f"relevance differs by {difference:.1e}")
            return found[0][1]
        return None

    def json(self, what, *command, tolerance=TOLERANCE, out=None):
        if found := self.both(*command, "--json", out=out):
            self.check(what, same_numbers(json.loads(found[0][0]), json.loads(found[1][0]), tolerance))
        return found


def small_models(comparison):
    """The fixtures' families: relevance, evaluations and ablations."""
    for family in sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()):
        model, task = FIXTURES / family / "model", FIXTURES / family / "task"
        sites = ["act", "up", "out"] + (["gate"] if family == "llama" else [])
        scores = None
        for method in METHODS:
            where = sites if method in ("taylor", "activation") else ["act"]
            rows = 1 if method == "ablation" else 8  # a pass for every unit
            made = comparison.scores(f"{family}: {method}", model, "--task", task, "--limit", rows, "--steps", 3, "--method", method, "--site", *where)
            scores = scores or made
        comparison.scores(f"{family}: dataset", model, "--task", task, "--limit", 8, "--aggregate", "dataset")
        comparison.scores(f"{family}: own positions", model, "--task", task, "--limit", 8, "--positions", "own")
        for scoring in ("rank", "rank-norm", "loss", "generate"):
            comparison.json(f"{family}: {scoring}", "evaluate", model, "--task", task, "--limit", 6, "--scoring", scoring, "--max-new-tokens", 6)
        if scores is None:
            continue
        comparison.json(f"{family}: ablate", "ablate", model, "--task", task, "--scores", scores, "--limit", 6, "--top", "20%", "--random-seeds", 2,
                        "--mode", *MODES, "--text", ROOT / "CMakePresets.json", "--text-tokens", 60)
        comparison.json(f"{family}: fidelity", "fidelity", model, "--task", task, "--limit", 8, "--units", 12, "--audit-examples", 4, "--points", 3,
                        "--orders", 2, tolerance=1e-2)


def trainings(comparison):
    model, task = FIXTURES / "llama/model", FIXTURES / "llama/task"
    scores, chosen = comparison.folder / "train.safetensors", comparison.folder / "set.json"
    comparison.run("detect", model, "--task", task, "--limit", 8, "--dtype", "float32", "--out", scores)
    comparison.run("select", scores, "--top", "20%", "--out", chosen)
    shared = ["train", model, "--task", task, "--lr", "1e-3", "--batch", 4, "--limit", 16, "--epochs", 2, "--validation-limit", 4]
    for name, how in {"units": ["--set", chosen], "units, decay and distance": ["--set", chosen, "--weight-decay", "0.1", "--l2-start", "0.5"],
                      "FFN": ["--ffn"], "all": ["--full"], "adapters": ["--lora", 2, "--lora-targets", "query", "value", "up", "down"]}.items():
        out = "train-" + name.split(",")[0] + str(len(name))
        if found := comparison.both(*shared, *how, out=out):
            files = [next(folder.glob("*.safetensors")) for _, folder in found]
            difference = worst(*files)
            comparison.check(f"training of {name}", "" if difference < 1e-2 else f"weights differ by {difference:.1e}")
            losses = [[json.loads(line)["loss"] for line in (folder / "train.jsonl").read_text().splitlines()] for _, folder in found]
            comparison.check(f"losses of {name}", same_numbers(*losses, TOLERANCE))
    delta = comparison.folder / "train-units5-cpu/delta.safetensors"
    if delta.exists():
        comparison.json("a delta", "evaluate", model, "--task", task, "--limit", 6, "--delta", f"{delta}:0.5")


def streams(comparison):
    model, order = ROOT / "examples/models/mini", comparison.folder / "order.json"
    order.write_text(json.dumps({"format": "taskneuron.order/1", "tasks": ["babi", "commongen"]}))
    scores = [comparison.folder / f"{name}.safetensors" for name in ("babi", "commongen")]
    for path in scores:
        comparison.run("detect", model, "--task", TASKS / path.stem, "--limit", 2, "--dtype", "float32", "--out", path)
    comparison.json("affinity", "affinity", model, "--task", TASKS / "babi", TASKS / "commongen", "--scores", *scores, "--limit", 2)
    for method in STREAMS:
        comparison.json(f"stream by {method}", "continual", model, "--order", order, "--tasks", TASKS, "--method", method, "--limit", 4, "--detect-limit", 2,
                        "--epochs", 1, "--batch", 4, "--lr", "1e-3", "--test-limit", 2, "--generate-limit", 1, "--feature-rows", 4, "--no-single",
                        tolerance=1e-2, out="streams")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--device", default="privateuseone")
    parser.add_argument("--preload", help="library that makes the device")
    parser.add_argument("--tests", help="unit_tests, for the goldens")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_device_"))
    comparison = Comparison(arguments, folder)
    try:
        for part in (small_models, trainings, streams):
            began = time.time()
            part(comparison)
            print(f"{part.__name__.replace('_', ' ')}: {time.time() - began:.0f} s", flush=True)
        if arguments.tests:
            environment = {**comparison.environment, "TASKNEURON_TEST_DEVICE": arguments.device}
            tests = subprocess.run([arguments.tests, "--gtest_filter=*Goldens*", "--gtest_brief=1"], env=environment)
            comparison.check("goldens of every family", "" if tests.returncode == 0 else f"unit_tests ends with {tests.returncode}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{arguments.device}: {comparison.checks - len(comparison.failures)} of {comparison.checks} as on the CPU")
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
