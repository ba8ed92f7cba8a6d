"""Units of a task by what other tasks need too: are they needed, specific, and worth training?"""
import functools
import math
import os
import shutil

from question2_protocol import KINDS, TOP, TUNED_KINDS
from study import Study


class KindsOfUnits(Study):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.units = {}  # path of a set: what the command that made it printed

    # ---- sets ----

    def set_file(self, name):
        path = self.path("sets", name + ".json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def set_of(self, name, *command):
        """The file of a set that a command makes."""
        path = self.set_file(name)
        self.units[path] = self.made_when_needed([path], f"sets/{name}.run", *command, "--out", path, output=path, threads=1)
        return path

    def select(self, name, scores, *more, top=TOP):
        return self.set_of(name, "select", scores, "--top", top, *more)

    def model_in(self, name, rate, warmup, rows, *flags, threads=0):
        """The folder of a model whose every parameter was trained."""
        folder = self.path("models", name)
        self.made_when_needed(
            [folder], f"models/{name}.run", "train", self.model, *flags, "--full", "--lr", f"{rate:g}", "--warmup-steps", warmup,
            "--limit", rows, "--epochs", self.protocol.model_epochs, "--evaluate", "none", "--save", "model", "--out", folder,
            "--resume", output=os.path.join(folder, "model.safetensors"), threads=threads)
        return folder

    def mixed_model(self):
        """A model that was trained on all tasks: what is switched off must be there."""
        rate = sorted(self.model_rate(name) for name in self.tasks)[len(self.tasks) // 2]
        return self.model_in("all", rate, 50, max(self.protocol.train.values()), *self.flags())

    def copy_of(self, source, name):
        """A set under another name: a command calls it by the task that its file is named after."""
        path = self.set_file(name)

        def make():
            if not os.path.exists(path):
                self.makers[source][1]()
                shutil.copyfile(source, path)

        self.makers[path], self.units[path] = (f"copy of {source}", make), self.units[source]
        return path

    def kinds(self, where, scores):
        """Sets of every kind and task, in one model's scores: {kind: {task: file}}."""
        own = {name: self.select(f"{where}-own/{name}", scores[name]) for name in self.tasks}
        core = self.set_of(f"{where}-core", "sets", "at-least", math.ceil(self.protocol.core * len(self.tasks)), *own.values())
        found = {"own": own, "core": {}, "rest": {}, "private": {}, "contrastive": {}}
        for name in self.tasks:
            found["core"][name] = self.copy_of(core, f"{where}-core/{name}")
            found["rest"][name] = self.set_of(f"{where}-rest/{name}", "sets", "difference", own[name], core)
            others = [other for other in self.tasks if other != name]
            found["private"][name] = self.set_of(f"{where}-private/{name}", "sets", "difference", own[name],
                                                 *(own[other] for other in others))
            found["contrastive"][name] = self.select(f"{where}-contrastive/{name}", scores[name], "--contrast",
                                                     *(scores[other] for other in others))
        return found

    def units_of(self, sets):
        return {kind: {name: self.units[path]["units"] for name, path in by_task.items()} for kind, by_task in sets.items()}

    def kinds_off(self, model, sets):
        found = {}
        for kind in KINDS:
            for which in ("classification", "generation"):
                names = [n for n, task in self.tasks.items() if task["type"] == which and self.holds_units(sets[kind][n])]
                if names:
                    found.setdefault(kind, {})[which] = self.run_kept(
                        f"kinds/off-{kind}-{which}", "ablate", model, *self.flags(*names), "--limit", self.protocol.off,
                        "--random-seeds", self.protocol.off_sets,
                        *(part for name in names for part in ("--scores", sets[kind][name])))
        return found

    def holds_units(self, path):
        return self.units[path]["units"] > 0

    def kind_trained(self, kind, name, path, rates):
        """Predictions of the base model with a task's set of this kind trained, and with random ones."""
        folder = self.path("sets", f"base-{kind}-random", name)
        draws = [os.path.join(folder, f"random-{draw}.json") for draw in range(self.protocol.kind_sets)]
        self.made_when_needed(draws, f"sets/base-{kind}-random/{name}.run", "select", "--random", self.protocol.kind_sets, "--like",
                              path, "--out", folder, output=draws[-1], threads=1)
        files, which = [], self.tasks[name]["type"]
        for label, chosen, arm in [("own", path, "own")] + [(f"random{d}", one, "random") for d, one in enumerate(draws)]:
            stage = f"kinds/trained-{kind}-{name}-{label}"
            out = self.path(stage)
            delta = os.path.join(out, "delta.safetensors")
            files.append(self.path(stage + ".jsonl"))
            self.run(stage + ".run", "train", self.model, *self.flags(name), "--set", chosen, "--lr", f"{rates[arm]:g}",
                     "--epochs", self.protocol.kind_epochs, "--limit", self.protocol.kind_train[which], "--evaluate", "none", "--out",
                     out, "--resume", output=delta, serves=[files[-1]], threads=1)
            self.run(stage + ".evaluate", "evaluate", self.model, *self.flags(name), "--delta", delta, "--limit",
                     self.protocol.off, "--predictions", files[-1], output=files[-1], threads=1)
        return files

    def kind_rates(self, sets):
        """Of every kind and task the rates of its units and of as many random ones, chosen apart on one grid."""
        jobs = {}
        for kind in TUNED_KINDS:
            for name in self.tasks:
                if not self.holds_units(sets[kind][name]):
                    continue
                tag = "" if kind == "own" else f"-{kind}"
                random = self.set_of(f"base-tuning{tag}/{name}", "select", "--random", 1, "--seed", 1, "--like", sets[kind][name])

                def loss(arm, rate, name=name, tag=tag, paths={"own": sets[kind][name], "random": random}):
                    return self.tuned_loss(f"units{tag}-{name}-{arm}", rate, *self.flags(name), "--set", paths[arm], threads=1)

                jobs[kind, name] = functools.partial(self.lowest_of_arms, list(map(float, self.protocol.rates)), ("own", "random"), loss)
        found = dict(zip(jobs, self.stages.side_by_side(jobs.values())))
        rates = {kind: {name: {arm: found[kind, name][arm]["rate"] for arm in ("own", "random")} for name in self.tasks if (kind, name) in found}
                 for kind in TUNED_KINDS}
        return {**rates, "core": rates["own"]}

    def kinds_trained(self, sets):
        rates, jobs = self.kind_rates(sets), {}
        for kind in KINDS:
            for name in self.tasks:
                if self.holds_units(sets[kind][name]):
                    jobs[kind, name] = functools.partial(self.kind_trained, kind, name, sets[kind][name], rates[kind][name])
        files, found = dict(zip(jobs, self.stages.side_by_side(jobs.values()))), {"rates": rates, "tests": {}}
        for kind in KINDS:
            rows = [files[kind, name] for name in self.tasks if (kind, name) in files]
            if not rows:
                continue
            own, *random = [self.joined(f"kinds-{kind}-{i}", paths) for i, paths in enumerate(zip(*rows))]
            found["tests"][kind] = self.run(f"kinds/test-{kind}", "test", "--own", own,
                                            *(part for path in random for part in ("--random", path)))
        return found
