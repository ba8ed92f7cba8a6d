#!/usr/bin/env python3
"""What is killed at a random moment goes on to the same result: kills.py PROGRAM [--kills N] [--seed N] [--command NAME...]

Every round starts a command anew (train, train that stops early, sweep, continual, ablate; in turn), kills it at a moment drawn from the
time that it takes, and starts it again: the result must be the one of a run that nobody killed, and nothing half-written may be
left."""
import argparse
import concurrent.futures
import hashlib
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
TASKS = ROOT / "examples/tasks"
MODEL = str(ROOT / "examples/models/mini")
# What may differ between two calls, at whatever depth.
UNEQUAL = ("seconds", "memory", "per_second")


def without_unequal(value):
    if isinstance(value, dict):
        return {key: without_unequal(one) for key, one in value.items() if not any(part in key for part in UNEQUAL)}
    return [without_unequal(one) for one in value] if isinstance(value, list) else value


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def printed_result(printed, out):
    return without_unequal(json.loads(printed))


def printed_runs(printed, out):
    return printed_result(printed, out)["runs"]


def trained(_, out):
    """The delta and every step's line, bit by bit but for the clock."""
    steps = [without_unequal(json.loads(line)) for line in (out / "train.jsonl").read_text().splitlines()]
    return digest(out / "delta.safetensors"), steps


def commands(folder):
    """Every command that can be resumed: its arguments, and what of a finished run is compared."""
    train = ["train", MODEL, "--task", str(TASKS / "babi"), "--set", str(folder / "set.json"), "--lr", "1e-3", "--batch", "8", "--limit",
             "96", "--checkpoint-seconds", "0", "--resume"]
    rows = ["--limit", "48", "--epochs", "1", "--batch", "8", "--detect-limit", "8"]
    return {
        "train": (train + ["--epochs", "2", "--evaluate", "none"], trained),
        "train-early": (train + ["--epochs", "2", "--evaluate", "4", "--validation-limit", "8", "--patience", "2"],
                        trained),
        "ablate": (["ablate", MODEL, "--task", str(TASKS / "babi"), "--scores", str(folder / "babi.safetensors"), "--limit", "16", "--text",
                    str(ROOT / "README.md"), "--text-tokens", "2000", "--mode", "activation", "parameter", "--json"], printed_result),
        "sweep": (["sweep", MODEL, "--task", str(TASKS / "scitail"), str(TASKS / "babi"), *rows, "--top", "10%", "30%", "--seeds", "1", "--lr",
                   "1e-3", "--test-limit", "4", "--generate-limit", "2", "--json"], printed_result),
        "continual": (["continual", MODEL, "--order", str(folder / "order.json"), "--tasks", str(TASKS), *rows, "--method", "w-ncft",
                       "ewc:fisher_rows=8", "o-lora", "--lr", "1e-3", "--test-limit", "2", "--no-single", "--checkpoint-seconds", "0", "--json"],
                      printed_runs),
    }


class Command:
    def __init__(self, program, name, arguments, compared, folder):
        self.program, self.name, self.arguments, self.compared, self.folder = program, name, arguments, compared, folder
        begun = time.time()
        self.wanted = self.result(folder / f"whole-{name}")
        self.seconds = time.time() - begun

    def start(self, out):
        folder = "--keep" if self.name == "ablate" else "--out"
        return subprocess.Popen([self.program, *self.arguments, "--threads", "1", "--quiet", folder, str(out)], stdout=subprocess.PIPE)

    def result(self, out):
        run = self.start(out)
        printed = run.communicate()[0]
        if run.returncode != 0:
            raise RuntimeError(f"{out}: exit {run.returncode}")
        return self.compared(printed, out)

    def kill(self, out, draws):
        """At a random moment before the end: a run that ended first is started anew. The moment."""
        while True:
            moment = draws.uniform(0, self.seconds)
            run = self.start(out)
            try:
                run.communicate(timeout=moment)
                shutil.rmtree(out)
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
                return moment

    def round(self, number, seed):
        """What is wrong after one kill; nothing: it went on to the same result."""
        out = self.folder / f"killed-{number}"
        moment = self.kill(out, random.Random(f"{seed} {number}"))
        where = f"{self.name}, kill {number} at {moment:.2f} s"
        try:
            found = self.result(out)
        except RuntimeError as error:
            return f"{where}: {error}"
        left = [str(path) for path in out.rglob("*") if ".tmp" in path.name or path.name.endswith(".part")]
        shutil.rmtree(out)
        if left:
            return f"{where} left {left}"
        return None if found == self.wanted else f"{where} led to another result"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", nargs="+", choices=list(commands(pathlib.Path())), default=list(commands(pathlib.Path())))
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_kills_"))
    program = str(pathlib.Path(arguments.program).resolve())

    def run(*command):
        subprocess.run([program, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)

    run("detect", MODEL, "--task", str(TASKS / "babi"), "--limit", "8", "--out", str(folder / "babi.safetensors"))
    run("select", str(folder / "babi.safetensors"), "--top", "10%", "--out", str(folder / "set.json"))
    (folder / "order.json").write_text(json.dumps({"format": "taskneuron.order/1", "name": "two", "tasks": ["babi", "scitail"]}))
    chosen = [Command(program, name, *commands(folder)[name], folder) for name in arguments.command]
    rounds = [(chosen[number % len(chosen)], number) for number in range(arguments.kills)]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(lambda one: one[0].round(one[1], arguments.seed), rounds))
    shutil.rmtree(folder)
    for failure in filter(None, found):
        print("FAILED " + failure)
    for command in chosen:
        own = [failure for (one, _), failure in zip(rounds, found) if one is command]
        print(f"{command.name}: {own.count(None)} of {len(own)} kills, in runs of {command.seconds:.1f} s, went on to the same result")
    sys.exit(1 if any(found) else 0)


if __name__ == "__main__":
    main()
