#!/usr/bin/env python3
"""Question 2 of the method, end to end: what do the neurons of tasks say about multi-task learning?

  question2.py PROGRAM MODEL TASKS... --work FOLDER [--docs docs/results/question2.md] [--quick]

TASKS are task folders, or folders of them, with the tasks of both groups of the paper. Units are trained
at several shares, together and one task at a time; a model is trained on each task; overlap, similarity
and a forecast from the base model are held against what training on one task does to the others; and the
units that many tasks need are told from those of one. Every stage writes one file below FOLDER and is
skipped when that is there: killed and started again, the study goes on where it was. What it will take
is measured and said first.
"""
import argparse
import functools
import json
import math
import os
import shutil
import sys

import question2_page
from question2_protocol import DEFINITIONS, KINDS, OVERLAP_TOPS, TOP, Protocol
from stages import Failed, Stages
from study_tasks import find_tasks, flags, seconds_per_row


class Study:
    def __init__(self, arguments):
        self.model, self.quick = arguments.model, arguments.quick
        self.protocol = Protocol(arguments.quick)
        known = find_tasks(arguments.tasks)
        wanted = list(dict.fromkeys(name for group in self.protocol.groups.values() for part in group.values() for name in part))
        missing = [name for name in wanted if name not in known]
        if missing:
            sys.exit(f"no task folder of {', '.join(missing)}")
        self.tasks = {name: known[name] for name in wanted}
        names = {self.model: "MODEL"}
        for task in self.tasks.values():
            names[os.path.dirname(task["folder"])] = "TASKS"
        self.stages = Stages(arguments.program, arguments.work, names)
        self.run, self.path = self.stages.run, self.stages.path

    def flags(self, *names):
        return flags(self.tasks, *names)

    # ---- scores and sets ----

    def detect(self, where, model, limit, threads=0):
        """Scores of every task on a model's train split; files by task."""
        folder = self.path("scores", where)
        self.run(f"scores/{where}.run", "detect", model, *self.flags(), "--limit", limit, "--out", folder,
                 output=os.path.join(folder, list(self.tasks)[-1] + ".safetensors"), threads=threads)
        return {name: os.path.join(folder, name + ".safetensors") for name in self.tasks}

    def set_file(self, name):
        path = self.path("sets", name + ".json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def select(self, name, scores, *more):
        path = self.set_file(name)
        self.run(f"sets/{name}.run", "select", scores, "--top", TOP, *more, "--out", path, output=path, threads=1)
        return path

    # ---- the share of units ----

    def sweep(self, kind, group, base):
        protocol, out = self.protocol, self.path("sweeps", kind)
        named = [name for part in ("train", "other", "transfer") for name in group[part]]
        return self.run(f"sweeps/{kind}.run", "sweep", self.model, *self.flags(*group["train"]),
                        *(part for name in group["other"] + group["transfer"]
                          for part in ("--other-task", self.tasks[name]["folder"])),
                        *(part for name in named for part in ("--scores", base[name])), "--top", *protocol.tops, "--seeds",
                        protocol.seeds, "--alone-seeds", protocol.alone_seeds, "--limit", protocol.train[kind], "--epochs",
                        protocol.epochs[kind], "--lr", *protocol.rates, "--tune-limit", protocol.tune["rows"],
                        "--tune-validation", protocol.tune["validation"], "--test-limit", self.test_rows("classification"),
                        "--generate-limit", self.test_rows("generation"), "--overlap-control", "--overlap-task", *group["train"], *group["other"],
                        "--overlap-top", *protocol.overlap_tops, "--share", *protocol.shares, "--out", out)

    def test_rows(self, kind):
        return self.protocol.generate if kind == "generation" or self.quick else 0

    # ---- overlap ----

    def overlap(self, base):
        found = {"tasks": self.run("overlap/tasks", "overlap", *base.values(), "--top", *OVERLAP_TOPS, "--per-layer")}
        for top in OVERLAP_TOPS:
            sets = {}
            for name in self.tasks:
                path = self.set_file(f"base-{name}-{top.strip('%')}")
                self.run(f"sets/base-{name}-{top.strip('%')}.run", "select", base[name], "--top", top, "--out", path,
                         output=path, threads=1)
                sets[name] = path
            unions = ["+".join(sets[name] for name in group[part]) for group in self.protocol.groups.values()
                      for part in ("train", "other")]
            unions = [union for union in dict.fromkeys(unions)]
            found.setdefault("unions", {})[top] = self.run(f"overlap/unions-{top.strip('%')}", "overlap", *unions)
        return found

    # ---- a model of each task ----

    def model_rate(self, name):
        """The rate with the lowest validation loss after an epoch; the grid grows until that is inside."""
        losses, rates = {}, list(self.protocol.model_rates)
        while rates:
            for rate in rates:
                losses[rate] = self.tuned_loss(name, rate)
            best, tried = min(losses, key=losses.get), sorted(losses)
            rates = []
            if not self.quick and best in (tried[0], tried[-1]):
                rates = [float(f"{best * (3.1623 if best == tried[-1] else 1 / 3.1623):.1e}")]
        return best

    def tuned_loss(self, name, rate):
        out = self.path("tuned", f"{name}-{rate:g}")
        try:
            answer = self.run(f"tuned/{name}-{rate:g}.run", "train", self.model, *self.flags(name), "--full", "--lr", f"{rate:g}",
                              "--limit", self.protocol.tune["rows"], "--epochs", 1, "--validation-limit",
                              self.protocol.tune["validation"], "--save", "delta", "--out", out, "--resume",
                              output=os.path.join(out, "run.json"), threads=1)
        except Failed:  # it diverged
            return math.inf
        return answer["validation"][0]["loss"]

    def model_of(self, name):
        kind, folder = self.tasks[name]["type"], self.path("models", name)
        self.run(f"models/{name}.run", "train", self.model, *self.flags(name), "--full", "--lr", f"{self.model_rate(name):g}",
                 "--warmup-steps", 10, "--limit", self.protocol.train[kind], "--epochs", self.protocol.model_epochs,
                 "--evaluate", "none", "--save", "model", "--out", folder, "--resume",
                 output=os.path.join(folder, "model.safetensors"), threads=1)
        return folder

    def evaluated(self, stage, model):
        """Every task's metric and loss in a model, by task."""
        answer = self.run(f"matrix/{stage}", "evaluate", model, *self.flags(), "--limit", self.protocol.matrix, threads=1)
        return {row["task"]: row for row in answer["results"]}

    def models(self):
        """The model of each task, what it does on every task, and how alike units are in it."""
        def one(name):
            model = self.model_of(name)
            rows = self.evaluated(name, model)
            scores = self.detect(f"model-{name}", model, self.protocol.model_detect, threads=1)
            others = [other for other in self.tasks if other != name]
            alike = {}
            # The literal reading needs sets of one length in every layer.
            for scope, definitions in (("global", ("masked", "mean")), ("layer", ("ranked",))):
                alike[scope] = self.run(f"similarity/{name}-{scope}", "similarity", model, "--scores", scores[name],
                                        "--with-scores", *(scores[other] for other in others), "--top", TOP, "--scope", scope,
                                        "--definition", *definitions, threads=1)["pairs"]
            return {"rows": rows, "others": others, "similarity": alike}

        found = dict(zip(self.tasks, self.stages.side_by_side([functools.partial(one, name) for name in self.tasks])))
        return self.evaluated("base", self.model), found

    # ---- what goes with performance ----

    def table(self, base_rows, models, overlap):
        """A row for every model and other task: how alike, how much in common, how well it does."""
        jaccard = {}
        for pair in overlap["tasks"]["pairs"]:
            if pair["top"] == TOP:
                names = frozenset(os.path.splitext(os.path.basename(pair[side]))[0] for side in ("a", "b"))
                jaccard[names] = pair["jaccard"]
        rows = []
        for name, found in models.items():
            for position, other in enumerate(found["others"]):
                masked = found["similarity"]["global"][position]["definitions"]["masked"]
                rows.append({"model": name, "trained": self.tasks[name]["type"], "task": other, "type": self.tasks[other]["type"],
                             "masked": masked["mean"], "overlap_only": masked["overlap_only"]["mean"],
                             "mean": found["similarity"]["global"][position]["definitions"]["mean"]["mean"],
                             "ranked": found["similarity"]["layer"][position]["definitions"]["ranked"]["mean"],
                             "layers": masked["layers"], "overlap": jaccard[frozenset((name, other))],
                             "value": found["rows"][other]["value"], "loss": -found["rows"][other]["loss"],
                             "gain": base_rows[other]["loss"] - found["rows"][other]["loss"]})
        path = self.path("table.jsonl")
        with open(path + ".part", "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        os.rename(path + ".part", path)
        return path, rows

    def correlations(self, table):
        found = {}
        for trained in ("all", "classification", "generation"):
            where = [] if trained == "all" else ["--where", f"trained={trained}"]
            for y in ("value", "loss"):
                found[f"{trained} {y}"] = self.run(
                    f"correlated/{trained}-{y}", "correlate", table, "--x", *DEFINITIONS, "overlap_only", "overlap", "--y", y, "--by",
                    "task", *where, "--layers", "layers", "--bands", self.protocol.bands)
        return found

    # ---- the forecast ----

    def forecast(self, base, base_rows, models):
        affinity = self.path("affinity.json")
        self.run("affinity.run", "affinity", self.model, *self.flags(), *(part for path in base.values() for part in ("--scores", path)),
                 "--limit", self.protocol.affinity, "--top", TOP, "--out", affinity, output=affinity)
        # A task's own gain stands on the diagonal, which no forecast is scored on.
        names = list(self.tasks)
        matrix = [[base_rows[j]["loss"] - models[i]["rows"][j]["loss"] for j in names] for i in names]
        measured = self.path("measured.json")
        with open(measured + ".part", "w") as file:
            json.dump({"tasks": names, "matrix": matrix}, file)
        os.rename(measured + ".part", measured)
        return {"matrix": matrix, "found": self.run("forecast", "forecast", affinity, measured)}

    # ---- core and private units ----

    def mixed_model(self):
        """A model that does all tasks: what is switched off must be there."""
        folder, protocol = self.path("models", "all"), self.protocol
        rate = sorted(self.model_rate(name) for name in self.tasks)[len(self.tasks) // 2]
        self.run("models/all.run", "train", self.model, *self.flags(), "--full", "--lr", f"{rate:g}", "--warmup-steps", 50,
                 "--limit", max(protocol.train.values()), "--epochs", protocol.model_epochs, "--evaluate", "none", "--save", "model",
                 "--out", folder, "--resume", output=os.path.join(folder, "model.safetensors"))
        return folder

    def kinds(self, where, scores):
        """Sets of every kind and task, in one model's scores: {kind: {task: file}}."""
        own = {name: self.select(f"{where}-own/{name}", scores[name]) for name in self.tasks}
        least = math.ceil(self.protocol.core * len(self.tasks))
        core = self.set_file(f"{where}-core")
        self.run(f"sets/{where}-core.run", "sets", "at-least", least, *own.values(), "--out", core, output=core, threads=1)
        found = {"own": own, "core": {}, "private": {}, "contrastive": {}}
        for name in self.tasks:
            # The core is one set; each task has a copy by its name.
            found["core"][name] = self.set_file(f"{where}-core/{name}")
            shutil.copyfile(core, found["core"][name])
            found["private"][name] = self.set_file(f"{where}-private/{name}")
            others = [own[other] for other in self.tasks if other != name]
            self.run(f"sets/{where}-private/{name}.run", "sets", "difference", own[name], *others, "--out", found["private"][name],
                     output=found["private"][name], threads=1)
            found["contrastive"][name] = self.select(f"{where}-contrastive/{name}", scores[name], "--contrast",
                                                     *(scores[other] for other in self.tasks if other != name))
        return found

    def units_of(self, sets):
        units = {}
        for kind, by_task in sets.items():
            units[kind] = {}
            for name, path in by_task.items():
                with open(path) as file:
                    units[kind][name] = [len(layer) for layer in json.load(file)["sites"]["act"]]
        return units

    def kinds_off(self, model, sets):
        found = {}
        for kind in KINDS:
            for which in ("classification", "generation"):
                names = [n for n, task in self.tasks.items() if task["type"] == which and self.holds_units(sets[kind][n])]
                if names:
                    found.setdefault(kind, {})[which] = self.run(
                        f"kinds/off-{kind}-{which}", "ablate", model, *self.flags(*names), "--limit", self.protocol.off,
                        "--random-seeds", self.protocol.off_sets,
                        *(part for name in names for part in ("--scores", sets[kind][name])))
        return found

    def holds_units(self, path):
        with open(path) as file:
            return any(json.load(file)["sites"]["act"])

    def kind_trained(self, kind, name, path, rates):
        """Predictions of the base model with a task's set of this kind trained, and with random ones."""
        folder = self.path("sets", f"base-{kind}-random", name)
        self.run(f"sets/base-{kind}-random/{name}.run", "select", "--random", self.protocol.kind_sets, "--like", path, "--out",
                 folder, threads=1)
        draws = [os.path.join(folder, f"random-{draw}.json") for draw in range(self.protocol.kind_sets)]
        files, which = [], self.tasks[name]["type"]
        for label, chosen, arm in [("own", path, "own")] + [(f"random{d}", one, "random") for d, one in enumerate(draws)]:
            stage = f"kinds/trained-{kind}-{name}-{label}"
            out = self.path(stage)
            delta = os.path.join(out, "delta.safetensors")
            self.run(stage + ".run", "train", self.model, *self.flags(name), "--set", chosen, "--lr", f"{rates[name][arm]:g}",
                     "--epochs", self.protocol.kind_epochs, "--limit", self.protocol.train[which], "--evaluate", "none", "--out",
                     out, "--resume", output=delta, threads=1)
            files.append(self.path(stage + ".jsonl"))
            self.run(stage + ".evaluate", "evaluate", self.model, *self.flags(name), "--delta", delta, "--limit",
                     self.protocol.off, "--predictions", files[-1], output=files[-1], threads=1)
        return files

    def kind_rates(self, base):
        """For each task the rates of its own units and of random ones, each the best of one grid after an epoch."""
        def best(name, arm, path):
            losses = {}
            for rate in map(float, self.protocol.rates):
                out = self.path("tuned", f"units-{name}-{arm}-{rate:g}")
                answer = self.run(f"tuned/units-{name}-{arm}-{rate:g}.run", "train", self.model, *self.flags(name), "--set", path,
                                  "--lr", f"{rate:g}", "--limit", self.protocol.tune["rows"], "--epochs", 1, "--validation-limit",
                                  self.protocol.tune["validation"], "--out", out, "--resume",
                                  output=os.path.join(out, "run.json"), threads=1)
                losses[rate] = answer["validation"][0]["loss"]
            return min(losses, key=losses.get)

        jobs = {}
        for name in self.tasks:
            own, random = self.select(f"base-own/{name}", base[name]), self.set_file(f"base-tuning/{name}")
            self.run(f"sets/base-tuning/{name}.run", "select", "--random", 1, "--seed", 1, "--like", own, "--out", random,
                     output=random, threads=1)
            jobs[name, "own"], jobs[name, "random"] = (functools.partial(best, name, "own", own),
                                                       functools.partial(best, name, "random", random))
        found = dict(zip(jobs, self.stages.side_by_side(jobs.values())))
        return {name: {arm: found[name, arm] for arm in ("own", "random")} for name in self.tasks}

    def joined(self, name, paths):
        target = self.path("kinds", name + ".jsonl")
        with open(target + ".part", "w") as out:
            for path in paths:
                with open(path) as file:
                    out.write(file.read())
        os.rename(target + ".part", target)
        return target

    def kinds_trained(self, base, sets):
        rates, jobs = self.kind_rates(base), {}
        for kind in KINDS:
            for name in self.tasks:
                if self.holds_units(sets[kind][name]):
                    jobs[kind, name] = functools.partial(self.kind_trained, kind, name, sets[kind][name], rates)
        files, found = dict(zip(jobs, self.stages.side_by_side(jobs.values()))), {"rates": rates, "tests": {}}
        for kind in KINDS:
            rows = [files[kind, name] for name in self.tasks if (kind, name) in files]
            if not rows:
                continue
            own, *random = [self.joined(f"{kind}-{i}", paths) for i, paths in enumerate(zip(*rows))]
            found["tests"][kind] = self.run(f"kinds/test-{kind}", "test", "--own", own,
                                            *(part for path in random for part in ("--random", path)))
        return found

    # ---- the whole ----

    def estimate(self):
        """Says how long the study takes, from short stages on this machine."""
        protocol, seconds, tasks = self.protocol, 0.0, len(self.tasks)
        per_row = seconds_per_row(self.stages, self.model, self.tasks, 8 if self.quick else 48)
        for kind, group in protocol.groups.items():
            tested = {name: protocol.generate if self.tasks[name]["type"] == "generation" else 500
                      for part in group.values() for name in part}
            train = sum(per_row[name][1] * protocol.train[kind] * protocol.epochs[kind] for name in group["train"])
            test = sum(per_row[name][0] * rows for name, rows in tested.items())
            arms = 2 * len(protocol.tops) - 1
            seconds += arms * protocol.seeds * (train + test)
            seconds += arms * protocol.alone_seeds * (train + len(group["train"]) * test)
            seconds += len(protocol.overlap_tops) * len(protocol.shares) * (
                len(group["train"] + group["other"]) * train + test)
            tuned = sum(per_row[name][1] for name in group["train"]) * (protocol.tune["rows"] + protocol.tune["validation"])
            seconds += 2 * arms * 1.4 * len(protocol.rates) * tuned
        kinds = len(KINDS) * (1 + protocol.kind_sets)
        for name, (evaluate, train) in per_row.items():
            kind = self.tasks[name]["type"]
            rows = protocol.train[kind]
            seconds += train * (protocol.detect + rows * protocol.model_epochs * 2 + tasks * protocol.model_detect
                                + protocol.tune["rows"] * 12 + protocol.affinity + rows * protocol.kind_epochs * kinds)
            seconds += evaluate * (protocol.matrix * (tasks + 1) + protocol.off * kinds
                                   + protocol.off * len(KINDS) * (1 + protocol.off_sets + tasks / 2))
        minutes = seconds / self.stages.cores / 60
        print(f"about {minutes:.0f} minutes on this machine's {self.stages.cores} cores, from nothing", flush=True)
        return minutes

    def go(self):
        minutes, protocol = self.estimate(), self.protocol
        base = self.detect("base", self.model, protocol.detect)
        sweeps = {kind: self.sweep(kind, group, base) for kind, group in protocol.groups.items()}
        overlap = self.overlap(base)
        base_rows, models = self.models()
        table, rows = self.table(base_rows, models, overlap)
        correlations = self.correlations(table)
        forecast = self.forecast(base, base_rows, models)
        mixed = self.mixed_model()
        off_sets = self.kinds("all", self.detect("all", mixed, protocol.detect))
        sets = self.kinds("base", base)
        result = {"model": self.run("inspect", "inspect", self.model), "protocol": vars(protocol),
                  "tasks": {name: task["type"] for name, task in self.tasks.items()}, "sweeps": sweeps, "overlap": overlap,
                  "base": base_rows, "models": {name: found["rows"] for name, found in models.items()}, "pairs": rows,
                  "correlations": correlations, "forecast": forecast,
                  "kinds": {"off": self.kinds_off(mixed, off_sets), "off_units": self.units_of(off_sets),
                            "trained": self.kinds_trained(base, sets), "trained_units": self.units_of(sets)},
                  "estimated_minutes": minutes, "seconds": self.stages.seconds(), "cores": self.stages.cores,
                  "commands": list(self.stages.commands.items())}
        with open(self.path("result.json.part"), "w") as file:
            json.dump(result, file, indent=1)
        os.rename(self.path("result.json.part"), self.path("result.json"))
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--work", required=True)
    parser.add_argument("--docs", help="page to write")
    parser.add_argument("--quick", action="store_true", help="few rows of few tasks, to see that every stage runs")
    arguments = parser.parse_args()
    try:
        result = Study(arguments).go()
    except Failed as failure:
        sys.exit(str(failure))
    print(f"{result['seconds'] / 60:.0f} minutes of stages")
    if arguments.docs:
        question2_page.write(result, arguments.docs)
        print(arguments.docs)


if __name__ == "__main__":
    main()
