#!/usr/bin/env python3
"""No two threads touch the same memory unordered: races.py PROGRAM

PROGRAM: of a build with `cmake --preset tsan`. Runs the commands that compute on several threads; ThreadSanitizer's findings end a
program with 66."""
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

from kinds import EVALUATE, prepare

ROOT = pathlib.Path(__file__).resolve().parents[2]
TASKS = ROOT / "examples/tasks"
MINI = str(ROOT / "examples/models/mini")
FOUND = 66
COMMANDS = [
    EVALUATE + ["--set", "set.json"], EVALUATE + ["--delta", "delta.safetensors"],
    ["detect", "model", "--task", "task", "--out", "taylor.safetensors"],
    ["detect", "model", "--task", "task", "--method", "integrated-gradients", "--out", "integrated.safetensors"],
    ["detect", "model", "--task", "task", "--method", "activation", "--out", "activation.safetensors"],
    ["detect", "model", "--task", "task", "--positions", "own", "--site", "paper", "--out", "own.safetensors"],
    ["train", "model", "--task", "task", "--set", "set.json", "--lr", "1e-3", "--epochs", "2", "--out", "units"],
    ["train", "model", "--task", "task", "--full", "--lr", "1e-3", "--epochs", "2", "--out", "full"],
    ["ablate", "model", "--task", "task", "--scores", "scores.safetensors", "--top", "10%", "--random-seeds", "2", "--mode", "mean"],
    ["detect", MINI, "--task", str(TASKS / "babi"), str(TASKS / "e2e"), "--limit", "12", "--out", "mini"],
    ["evaluate", MINI, "--task", str(TASKS / "babi"), str(TASKS / "e2e"), "--limit", "8"],
    ["train", MINI, "--task", str(TASKS / "babi"), "--full", "--lr", "1e-3", "--epochs", "1", "--limit", "16", "--batch", "8", "--evaluate", "none",
     "--dtype", "bfloat16", "--out", "wide"],
    ["affinity", MINI, "--task", str(TASKS / "babi"), str(TASKS / "e2e"), "--scores", "mini/babi.safetensors", "mini/e2e.safetensors", "--limit",
     "8", "--out", "affinity"],
    ["continual", "model", "--order", "order.json", "--method", "ncft", "o-lora", "ewc", "lwf", "--epochs", "1", "--limit", "4", "--test-limit", "2",
     "--no-single", "--unseen", "none", "--out", "streams"],
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    # ThreadSanitizer wants its addresses where they always were.
    unmoved = ["setarch", platform.machine(), "-R"]
    # Of LibTorch and OpenMP's library only our own loops are compiled to be watched.
    os.environ["TSAN_OPTIONS"] = f"exitcode={FOUND} ignore_noninstrumented_modules=1"
    failures = 0
    with tempfile.TemporaryDirectory(prefix="taskneuron_races_") as place:
        wrapper = pathlib.Path(place) / "taskneuron"
        wrapper.write_text("#!/bin/sh\nexec " + " ".join(unmoved) + f" {program} \"$@\"\n")
        wrapper.chmod(0o755)
        base = pathlib.Path(place) / "base"
        base.mkdir()
        prepare(str(wrapper), base)
        shutil.rmtree(base / "run")  # of a training that was killed
        for threads in ("2", "4"):
            folder = pathlib.Path(place) / threads
            shutil.copytree(base, folder)
            for command in COMMANDS:
                run = subprocess.run([str(wrapper), *command, "--threads", threads, "--quiet"], cwd=folder, capture_output=True, text=True)
                if run.returncode != 0:
                    failures += 1
                    print(f"FAILED ({run.returncode}) {' '.join(command)} --threads {threads}\n{run.stderr[:4000]}", flush=True)
    print(f"{2 * len(COMMANDS)} commands, {failures} with findings")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
