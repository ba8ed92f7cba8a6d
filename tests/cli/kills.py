#!/usr/bin/env python3
"""A stream of tasks that is killed at a random moment goes on to the same matrix: kills.py PROGRAM [--kills N] [--seed N]

Every round starts streams anew, kills them at a moment drawn from the time that they take, and starts them again: the result
must be the one of streams that nobody killed, and nothing half-written may be left."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What may differ between two calls.
UNEQUAL = ("detection_seconds", "training_seconds", "memory_seconds", "peak_memory_bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_kills_"))
    order = folder / "order.json"
    order.write_text(json.dumps({"format": "taskneuron.order/1", "name": "two", "tasks": ["babi", "scitail"]}))
    program = str(pathlib.Path(arguments.program).resolve())

    def start(out):
        return subprocess.Popen([program, "continual", str(ROOT / "examples/models/mini"), "--order", str(order), "--tasks",
                                 str(ROOT / "examples/tasks"), "--method", "w-ncft", "ewc:fisher_rows=8", "o-lora", "--limit", "48",
                                 "--detect-limit", "8", "--epochs", "1", "--batch", "8", "--lr", "1e-3", "--test-limit", "2", "--no-single", "--checkpoint-seconds", "0",
                                 "--threads", "1", "--quiet", "--json", "--out", str(out)], stdout=subprocess.PIPE)

    def result(out):
        run = start(out)
        printed = run.communicate()[0]
        if run.returncode != 0:
            raise RuntimeError(f"{out}: exit {run.returncode}")
        streams = json.loads(printed)["runs"]
        for stream in streams:
            for stage in stream["stages"]:
                for name in UNEQUAL:
                    del stage[name]
        return streams

    begun = time.time()
    wanted = result(folder / "whole")
    seconds = time.time() - begun

    def kill(out, draws):
        """At a random moment before the end: a run that ended first is started anew. The moment."""
        while True:
            moment = draws.uniform(0, seconds)
            run = start(out)
            try:
                run.communicate(timeout=moment)
                shutil.rmtree(out)
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
                return moment

    def killed(number):
        """What is wrong after one kill; nothing: it went on to the same result."""
        out = folder / f"killed-{number}"
        moment = kill(out, random.Random(f"{arguments.seed} {number}"))
        try:
            found = result(out)
        except RuntimeError as error:
            return f"kill {number} at {moment:.2f} s: {error}"
        left = [str(path) for path in out.rglob("*") if ".tmp" in path.name or path.name.endswith(".part")]
        shutil.rmtree(out)
        if left:
            return f"kill {number} at {moment:.2f} s left {left}"
        return None if found == wanted else f"kill {number} at {moment:.2f} s led to another result"

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        failures = [failure for failure in pool.map(killed, range(arguments.kills)) if failure]
    shutil.rmtree(folder)
    for failure in failures:
        print("FAILED " + failure)
    print(f"{arguments.kills - len(failures)} of {arguments.kills} kills, in streams of {seconds:.1f} s, went on to the same result")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
