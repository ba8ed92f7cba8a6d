"""Units of a task by what other tasks need too: are they needed, specific, and worth training?"""
import functools
import json
import math
import os
import shutil

from question2_protocol import KINDS, TOP
from study import Study


class KindsOfUnits(Study):
    # ---- sets ----

    def set_file(self, name):
        path = self.path("sets", name + ".json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def select(self, name, scores, *more):
        path = self.set_file(name)
        self.run(f"sets/{name}.run", "select", scores, "--top", TOP, *more, "--out", path, output=path, threads=1)
        return path

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
        """For each task the rates of its own units and of random ones, chosen apart on one grid."""
        jobs = {}
        for name in self.tasks:
            own, random = self.select(f"base-own/{name}", base[name]), self.set_file(f"base-tuning/{name}")
            self.run(f"sets/base-tuning/{name}.run", "select", "--random", 1, "--seed", 1, "--like", own, "--out", random,
                     output=random, threads=1)
            for arm, path in (("own", own), ("random", random)):
                def loss(rate, name=name, arm=arm, path=path):
                    return self.tuned_loss(f"units-{name}-{arm}", rate, *self.flags(name), "--set", path, threads=1)

                jobs[name, arm] = functools.partial(self.lowest, list(map(float, self.protocol.rates)), loss)
        found = dict(zip(jobs, self.stages.side_by_side(jobs.values())))
        return {name: {arm: found[name, arm]["rate"] for arm in ("own", "random")} for name in self.tasks}

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
            own, *random = [self.joined(f"kinds-{kind}-{i}", paths) for i, paths in enumerate(zip(*rows))]
            found["tests"][kind] = self.run(f"kinds/test-{kind}", "test", "--own", own,
                                            *(part for path in random for part in ("--random", path)))
        return found
