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
import functools
import json
import os
import sys

import question2_page
from question2_kinds import KindsOfUnits
from question2_protocol import DEFINITIONS, EARLY, KINDS, LATE, OVERLAP_ONLY, OVERLAP_TOPS, SAME_TYPE, TOP, Protocol
from study import main
from study_tasks import find_tasks, seconds_per_row


def share_of(top):
    """"10%": 0.1."""
    return float(top.strip("%")) / 100


class Question2(KindsOfUnits):
    def __init__(self, arguments):
        protocol, known = Protocol(arguments.quick), find_tasks(arguments.tasks)
        wanted = list(dict.fromkeys(name for group in protocol.groups.values() for part in group.values() for name in part))
        missing = [name for name in wanted if name not in known]
        if missing:
            sys.exit(f"no task folder of {', '.join(missing)}")
        super().__init__(arguments, protocol, {name: known[name] for name in wanted})

    # ---- scores and sets ----

    def detect(self, where, model, limit, threads=0):
        """Scores of every task on a model's train split; files by task."""
        folder = self.path("scores", where)
        paths = {name: os.path.join(folder, name + ".safetensors") for name in self.tasks}
        self.made_when_needed(paths.values(), f"scores/{where}.run", "detect", model, *self.flags(), "--limit", limit, "--out", folder,
                              output=list(paths.values())[-1], threads=threads)
        return paths

    # ---- the share of units ----

    def sweep(self, kind, group, base):
        protocol, out = self.protocol, self.path("sweeps", kind)
        named = [name for part in ("train", "other", "transfer") for name in group[part]]
        return self.run(f"sweeps/{kind}.run", "sweep", self.model, *self.flags(*group["train"]),
                        *(part for name in group["other"] + group["transfer"]
                          for part in ("--other-task", self.tasks[name]["folder"])),
                        *(part for name in named for part in ("--scores", base[name])), "--top", *protocol.tops, "--seeds",
                        protocol.seeds, "--alone-seeds", protocol.alone_seeds, "--limit", protocol.train[kind], "--epochs",
                        protocol.epochs[kind], "--lr", *protocol.rates, "--tune-limit", protocol.tuning["rows"],
                        "--tune-validation", protocol.tuning["validation"], "--test-limit", self.test_rows("classification"),
                        "--generate-limit", self.test_rows("generation"), "--overlap-control", "--overlap-task", *group["train"], *group["other"],
                        "--overlap-top", *protocol.overlap_tops, "--share", *protocol.shares, "--out", out, threads=1)

    def held(self, base):
        """Of the own units of every trained task the share that a random set of the same layer profile holds: {top: {task: share}}."""
        found = {}
        for top in (top for top in self.protocol.tops if share_of(top) < 1):
            for group in self.protocol.groups.values():
                for name in group["train"]:
                    own = self.select(f"base-own-{top}/{name}", base[name], top=top)
                    drawn = self.set_of(f"base-drawn-{top}/{name}", "select", "--random", 1, "--like", own)
                    units = self.units[drawn]
                    found.setdefault(top, {})[name] = int(units["from"]["in_common"]) / units["units"]
        return found

    def majority(self):
        """The share of the commonest label among the test rows of every classification task."""
        found = {}
        for kind in self.protocol.groups:
            with open(self.path("sweeps", kind, "cells", "base", "classification.jsonl")) as file:
                for row in map(json.loads, file):
                    found.setdefault(row["task"], []).append(row["label"])
        return {name: max(map(labels.count, labels)) / len(labels) for name, labels in found.items()}

    def test_rows(self, kind):
        return self.protocol.generate if kind == "generation" or self.quick else 0

    # ---- overlap ----

    def overlap(self, base):
        found = {"tasks": self.run("overlap/tasks", "overlap", *base.values(), "--top", *OVERLAP_TOPS, "--per-layer")}
        for top in OVERLAP_TOPS:
            sets = {}
            for name in self.tasks:
                sets[name] = self.set_of(f"base-{name}-{top.strip('%')}", "select", base[name], "--top", top)
            unions = ["+".join(sets[name] for name in group[part]) for group in self.protocol.groups.values()
                      for part in ("train", "other")]
            found.setdefault("unions", {})[top] = self.run(f"overlap/unions-{top.strip('%')}", "overlap", *dict.fromkeys(unions))
        return found

    # ---- a model of each task ----

    def model_rate(self, name):
        return self.lowest(self.protocol.model_rates, lambda rate: self.tuned_loss(
            name, rate, *self.flags(name), "--full", threads=1))["rate"]

    def model_of(self, name):
        return self.model_in(name, self.model_rate(name), 10, self.protocol.train[self.tasks[name]["type"]], *self.flags(name), threads=1)

    def evaluated(self, stage, model):
        """Every task's metric and loss in a model, by task."""
        answer = self.run(f"matrix/{stage}", "evaluate", model, *self.flags(), "--limit", self.protocol.matrix, threads=1)
        return {row["task"]: row for row in answer["results"]}

    def trained_on(self, name):
        """The model of a task, what it does on every task, and how alike units are in it."""
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

    def types(self, names):
        return [self.tasks[name]["type"] for name in names]

    def correlations(self, table):
        found = {}
        for trained in ("all", "classification", "generation"):
            where = [] if trained == "all" else ["--where", f"trained={trained}"]
            for y in ("value", "loss"):
                found[f"{trained} {y}"] = self.run(
                    f"correlated/{trained}-{y}", "correlate", table, "--x", *DEFINITIONS, "overlap_only", "overlap", "--y", y, "--by",
                    "task", *where, "--layers", "layers", "--bands", self.protocol.bands)
        return found

    def written(self, name, value):
        """A JSON file of the study's own."""
        path = self.path(name + ".json")
        with open(path + ".part", "w") as file:
            json.dump(value, file)
        os.rename(path + ".part", path)
        return path

    def associated(self, rows):
        """Whether what is known of a model and a task goes with how well it does: relabelling the tasks within types, so that models which
        are alike everywhere, tasks that are easy for all, and being of one type count for nothing."""
        names, at = list(self.tasks), {(row["model"], row["task"]): row for row in rows}

        def matrix(of):
            return [[of(at[model, task]) if model != task else None for task in names] for model in names]

        def of_layers(row, part):
            there = [value for value in part(row["layers"]) if value is not None]
            return sum(there) / len(there) if there else None

        quarter = max(1, len(rows[0]["layers"]) // 4)
        columns = {**{name: lambda row, name=name: row[name] for name in (*DEFINITIONS, "overlap")}, OVERLAP_ONLY: lambda row: row["overlap_only"],
                   LATE: lambda row: of_layers(row, lambda layers: layers[-quarter:]),
                   EARLY: lambda row: of_layers(row, lambda layers: layers[:quarter]),
                   SAME_TYPE: lambda row: float(row["trained"] == row["type"])}
        tables = self.written("tables", {"format": "taskneuron.tables/1", "tasks": names, "yardsticks": [OVERLAP_ONLY, EARLY, SAME_TYPE],
                                         "tables": [{"name": name, "matrix": matrix(of)} for name, of in columns.items()]})
        found = {}
        for which in ("all", "classification", "generation"):
            some = [name for name in names if which in ("all", self.tasks[name]["type"])]
            if len(some) < 4:
                continue
            for y in ("value", "loss"):
                whole = matrix(lambda row, y=y: row[y])
                part = [[whole[names.index(a)][names.index(b)] for b in some] for a in some]
                measured = self.written(f"measured-{which}-{y}", {"tasks": some, "matrix": part, "types": self.types(some)})
                found[f"{which} {y}"] = self.run(f"associated/{which}-{y}-within", "forecast", tables, measured, "--draws", self.protocol.relabellings)
        return found

    # ---- the forecast ----

    def forecast(self, base, base_rows, models):
        affinity = self.path("affinity.json")
        self.run("affinity.run", "affinity", self.model, *self.flags(), *(part for path in base.values() for part in ("--scores", path)),
                 "--limit", self.protocol.affinity, "--top", TOP, "--out", affinity, output=affinity)
        # A task's own gain stands on the diagonal, which no forecast is scored on.
        names = list(self.tasks)
        matrix = [[base_rows[j]["loss"] - models[i]["rows"][j]["loss"] for j in names] for i in names]
        measured = self.written("measured", {"tasks": names, "matrix": matrix, "types": self.types(names)})
        return {"matrix": matrix, "found": self.run("forecast-within", "forecast", affinity, measured, "--draws", self.protocol.relabellings)}

    # ---- the whole ----

    def unit_cost(self):
        """What training this share of all units takes, of what training all FFNs takes: measured at the least share."""
        name, rows = next(iter(self.tasks)), 8 if self.quick else 96
        scores = self.path("estimate", name + ".safetensors")
        self.run("estimate/scores.run", "detect", self.model, *self.flags(name), "--limit", 8, "--out", scores, output=scores, threads=1)
        chosen = self.set_file("estimate")
        self.run("estimate/set.run", "select", scores, "--top", self.protocol.tops[0], "--out", chosen, output=chosen, threads=1)
        seconds = []
        for label, trained in (("units", ("--set", chosen)), ("ffn", ("--ffn",))):
            out = self.path("estimate", label)
            seconds.append(self.run(f"estimate/{label}.run", "train", self.model, *self.flags(name), *trained, "--limit", rows, "--epochs", 2,
                                    "--evaluate", "none", "--save", "delta", "--out", out, "--resume",
                                    output=os.path.join(out, "run.json"), threads=1)["seconds"])
        least = share_of(self.protocol.tops[0])
        ratio = min(1.0, seconds[0] / seconds[1])
        return lambda top: ratio + (1 - ratio) * (share_of(top) - least) / (1 - least)

    def estimate(self):
        """Says how long the study takes, from short stages on this machine."""
        protocol, seconds, tasks = self.protocol, 0.0, len(self.tasks)
        per_row, cost = seconds_per_row(self.stages, self.model, self.tasks, 8 if self.quick else 48), self.unit_cost()
        # Own and random units of every share, and all.
        arms = sum(cost(top) * (2 if share_of(top) < 1 else 1) for top in protocol.tops)
        models = 2 * len(protocol.tops) - 1
        for kind, group in protocol.groups.items():
            tested = {name: protocol.generate if self.tasks[name]["type"] == "generation" else 500
                      for part in group.values() for name in part}
            train = sum(per_row[name][1] * protocol.train[kind] * protocol.epochs[kind] for name in group["train"])
            test = sum(per_row[name][0] * rows for name, rows in tested.items())
            seconds += protocol.seeds * (arms * train + models * test)
            seconds += protocol.alone_seeds * (arms * train + models * len(group["train"]) * test)
            seconds += len(protocol.shares) * sum(len(group["train"] + group["other"]) * train * cost(top) + test
                                                  for top in protocol.overlap_tops)
            tuned = sum(per_row[name][1] for name in group["train"]) * (protocol.tuning["rows"] + protocol.tuning["validation"])
            seconds += 2 * arms * 1.4 * len(protocol.rates) * tuned
        kinds = len(KINDS) * (1 + protocol.kind_sets)
        for name, (evaluate, train) in per_row.items():
            kind = self.tasks[name]["type"]
            seconds += train * (protocol.detect + protocol.train[kind] * protocol.model_epochs * 2 + tasks * protocol.model_detect
                                + protocol.affinity + cost(TOP) * (protocol.tuning["rows"] * 12
                                                                   + protocol.kind_train[kind] * protocol.kind_epochs * kinds))
            seconds += evaluate * (protocol.matrix * (tasks + 1) + protocol.off * kinds
                                   + protocol.off * len(KINDS) * (1 + protocol.off_sets + tasks / 2))
        minutes = seconds / self.stages.cores / 60
        print(f"about {minutes:.0f} minutes on this machine's {self.stages.cores} cores, from nothing", flush=True)
        return minutes

    def go(self):
        minutes, protocol = self.estimate(), self.protocol
        base = self.detect("base", self.model, protocol.detect)
        # Sweeps first: they take the longest, and nothing waits for them.
        jobs = {kind: functools.partial(self.sweep, kind, group, base) for kind, group in protocol.groups.items()}
        jobs.update({name: functools.partial(self.trained_on, name) for name in self.tasks})
        jobs["base"] = functools.partial(self.evaluated, "base", self.model)
        done = dict(zip(jobs, self.stages.side_by_side(jobs.values())))
        sweeps, models = {kind: done[kind] for kind in protocol.groups}, {name: done[name] for name in self.tasks}
        overlap, base_rows = self.overlap(base), done["base"]
        table, rows = self.table(base_rows, models, overlap)
        correlations, associated = self.correlations(table), self.associated(rows)
        forecast = self.forecast(base, base_rows, models)
        mixed = self.mixed_model()
        off_sets = self.kinds("all", self.detect("all", mixed, protocol.detect))
        sets = self.kinds("base", base)
        return self.finished(minutes, {
            "protocol": vars(protocol),
            "tasks": {name: task["type"] for name, task in self.tasks.items()}, "sweeps": sweeps, "majority": self.majority(), "held": self.held(base),
            "overlap": overlap,
            "base": base_rows, "models": {name: found["rows"] for name, found in models.items()}, "pairs": rows,
            "correlations": correlations, "associated": associated, "forecast": forecast,
            "kinds": {"off": self.kinds_off(mixed, off_sets), "off_units": self.units_of(off_sets),
                      "trained": self.kinds_trained(sets), "trained_units": self.units_of(sets)}})


if __name__ == "__main__":
    main(__doc__, Question2, question2_page.write)
