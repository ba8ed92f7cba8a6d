"""What every study is: tasks, a protocol, and stages of the program that run once."""
import argparse
import functools
import json
import math
import os
import shutil
import sys
import threading
import time

import records
from stages import Failed, Stages
from study_tasks import flags


DIVERGED = {"diverged": True}  # what is kept of a training at a learning rate that is too high


class Study:
    """protocol: has `tuning`, the training and validation rows that learning rates are chosen on. names: long
    texts and what stands for them where commands are shown."""

    def __init__(self, arguments, protocol, tasks, names=()):
        self.model, self.quick, self.protocol, self.tasks = arguments.model, arguments.quick, protocol, tasks
        shown = {self.model: "MODEL", **dict(names)}
        for task in tasks.values():
            shown[os.path.dirname(task["folder"])] = "TASKS"
        self.stages = Stages(arguments.program, arguments.work, shown)
        self.path = self.stages.path
        self.makers = {}  # path: the stage that makes it, and what does so if it is not there

    def run(self, stage, *command, **options):
        """A stage; what it is given is made first where it has to run."""
        # Commands write unions of files as a+b.
        parts = dict.fromkeys(one for part in map(str, command) for one in (part, *part.split("+")))
        makers = [self.makers[part] for part in parts if part in self.makers]
        return self.stages.run(stage, *command, needs=lambda: [make() for maker, make in makers if maker != stage], **options)

    def run_kept(self, stage, *command, **options):
        """A stage whose command keeps what it has evaluated: killed, it goes on from there."""
        kept = self.path("kept", stage)
        found = self.run(stage, *command, unseen=("--keep", kept), **options)
        shutil.rmtree(kept, ignore_errors=True)
        return found

    def made_when_needed(self, paths, stage, *command, output, **options):
        """A stage that has run before is not run again for files that are gone until another has to read them. Returns what
        it printed."""
        for path in paths:
            self.makers[path] = stage, functools.partial(self.run, stage, *command, output=output, **options)
        return self.run(stage, *command, output=output, defer=True, **options)

    def flags(self, *names):
        return flags(self.tasks, *names)

    def lowest(self, rates, loss_of):
        """What lowest_of_arms finds of one."""
        return self.lowest_of_arms(rates, (None,), lambda _, rate: loss_of(rate))[None]

    def lowest_of_arms(self, rates, arms, loss_of, most=3):
        """Of each arm the rate with the lowest loss, and all that were tried. All try the same: the grid grows, by at most so many
        rates, until every arm's best is inside."""
        losses = {arm: {} for arm in arms}
        todo = list(rates)
        while todo:
            for rate in todo:
                for arm in arms:
                    losses[arm][rate] = loss_of(arm, rate)
            tried, best = sorted(losses[arms[0]]), {min(found, key=found.get) for found in losses.values()}
            todo = []
            if not self.quick and len(tried) < len(rates) + most:
                todo = [float(f"{rate:.1e}") for rate in ([tried[0] / 3.1623] if tried[0] in best else [])
                        + ([tried[-1] * 3.1623] if tried[-1] in best else [])]
        if not all(any(map(math.isfinite, found.values())) for found in losses.values()):
            raise Failed(f"no learning rate trains: {', '.join(f'{rate:g}' for rate in tried)} diverged")
        return {arm: {"rate": min(found, key=found.get), "losses": {f"{r:g}": found[r] for r in sorted(found)}}
                for arm, found in losses.items()}

    def tuned_loss(self, stage, rate, *command, threads=0, rows=None, epochs=1):
        """Mean validation loss over the tasks after training on a few rows (or so many), by default for an epoch; infinite where it
        diverged."""
        name = f"tuned/{stage}-{rate:g}"
        out, known = self.path(name), self.path(name + ".run.json")
        if os.path.exists(known) and self.stages.read(name + ".run")["result"] == DIVERGED:
            return math.inf
        try:
            answer = self.run(f"{name}.run", "train", self.model, *command, "--lr", f"{rate:g}", "--limit",
                              rows or self.protocol.tuning["rows"], "--epochs", epochs, "--validation-limit",
                              self.protocol.tuning["validation"], "--save", "delta", "--out", out, "--resume",
                              output=os.path.join(out, "run.json"), threads=threads)
        except Failed as failure:
            if not failure.diverged():
                raise
            self.stages.keep(name + ".run", 0.0, DIVERGED)
            shutil.rmtree(out, ignore_errors=True)
            return math.inf
        losses = [row["loss"] for row in answer["validation"]]
        return sum(losses) / len(losses)

    def finished(self, minutes, result):
        """The result with what every study says of itself, kept in WORK/result.json. minutes: as estimated."""
        result = {"model": self.run("inspect", "inspect", self.model), **result, "estimated_minutes": minutes,
                  "seconds": self.stages.seconds(), "starts": starts(self.stages.folder), "cores": self.stages.cores,
                  "commands": list(self.stages.commands.items())}
        path = self.path("result.json")
        with open(path + ".part", "w") as file:
            json.dump(result, file, indent=1)
        os.rename(path + ".part", path)
        return result

    def joined(self, name, paths):
        """The files one after another, as a file."""
        target = self.path("joined", name + ".jsonl")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target + ".part", "w") as out:
            for path in paths:
                with open(path) as file:
                    out.write(file.read())
        os.rename(target + ".part", target)
        return target


def starts(work):
    """When every start of the study began and was last at work, and on how many cores; in order."""
    found, folder = [], os.path.join(work, "starts")
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith(".json"):
            with open(os.path.join(folder, name)) as file:
                found.append(json.load(file))
    return sorted(found, key=lambda start: start["began"])


def keep_time(work, every=15):
    """Writes when this start began and that it is still at work, as long as the process lives: what is killed leaves it too."""
    began = time.time()
    path = os.path.join(work, "starts", f"{began:.0f}.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)

    def write():
        with open(path + ".part", "w") as file:
            json.dump({"began": began, "until": time.time(), "cores": len(os.sched_getaffinity(0))}, file)
        os.rename(path + ".part", path)

    def watch():
        while True:
            write()
            time.sleep(every)

    write()
    threading.Thread(target=watch, daemon=True).start()


def main(documentation, make, write, *more):
    """The command line of a study. make: a study of the arguments; write: its page. more: (flag, what argparse is told of it)."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--work", required=True)
    for flag, settings in more:
        parser.add_argument(flag, **settings)
    parser.add_argument("--records", help="what other machines have measured of it (records.py): read first, added to at the end")
    parser.add_argument("--docs", help="page to write")
    parser.add_argument("--quick", action="store_true", help="a few rows of everything, to see that it runs")
    arguments = parser.parse_args()
    if arguments.records:
        print(f"{records.unpack(arguments.records, arguments.work)} files from {arguments.records}", flush=True)
    keep_time(arguments.work)
    try:
        result = make(arguments).go()
    except Failed as failure:
        sys.exit(str(failure))
    finally:
        if arguments.records:
            records.pack(arguments.work, arguments.records)
    print(f"{result['seconds'] / 60:.0f} minutes of stages")
    if arguments.docs:
        write(result, arguments.docs)
        print(arguments.docs)
