#!/usr/bin/env python3
"""Question 1 of the method, end to end: do task-specific neurons exist in this model?

  question1.py PROGRAM MODEL TASKS... --work FOLDER [--text FILE] [--templates NAME...]
              [--protocol small|pretrained] [--docs docs/results/question1.md] [--quick]

TASKS are task folders, or folders of them. Of several prompt templates the one is taken with which the base model does best on
validation rows, before anything else is looked at. Settings are chosen on validation data, the model is
fine-tuned on all tasks ("original"), its units are switched off task by task, and from the base model
the units of each task are trained alone; each beside random units. Every stage writes one file below
FOLDER and is skipped when that is there: killed and started again, the study goes on where it was.
What it will take is measured and said first.
"""
import functools
import json
import os

import question1_page
from chance import at_least_as_many, larger_on_average
from question1_protocol import ARMS, CONTROLS, COUNTS_P, PROTOCOLS, SITES, TOP
from study import Study, main
from study_tasks import answers_of_others, find_tasks, seconds_per_row


TOKENS_OF_ROW = 100  # about, of estimates


def mean_scores(paths):
    """Of every row of predictions, over the files."""
    found = []
    for path in paths:
        with open(path) as file:
            rows = map(json.loads, file)
            found.append([float(row["correct"] if "correct" in row else row["score"]) for row in rows])
    return [sum(scores) / len(scores) for scores in zip(*found)]


class Question1(Study):
    def __init__(self, arguments):
        self.text, self.templates = arguments.text, arguments.templates or ["default"]
        self.template = self.templates[0]
        self.about, self.beside = arguments.about, {}
        for text in arguments.beside or []:
            name, _, path = text.partition("=")
            with open(path) as file:
                self.beside[name] = json.load(file)
        super().__init__(arguments, PROTOCOLS[arguments.protocol, arguments.quick](), find_tasks(arguments.tasks),
                         {self.text: "TEXT"} if self.text else {})

    def flags(self, *names):
        return super().flags(*names) + ([] if self.template == "default" else ["--template", self.template])

    def choose_template(self):
        """The base model's metric on validation rows with every template: {template: {task: value}}."""
        if len(self.templates) == 1:
            return None
        found = {}
        for self.template in self.templates:
            rows = self.run(f"prompts/{self.template}", "evaluate", self.model, *self.flags(), "--split", "validation", "--limit",
                            self.protocol.tuning["validation"])["results"]
            found[self.template] = {row["task"]: row["value"] for row in rows}
        self.template = max(found, key=lambda template: sum(found[template].values()))
        return found

    def test_rows(self, name):
        return self.protocol.test[self.tasks[name]["type"]]

    # ---- settings ----

    def tune(self):
        full = self.lowest(self.protocol.rates["full"],
                           lambda rate: self.tuned_loss("full", rate, *self.flags(), "--full", "--warmup-steps", 20))

        tuning, arms = self.protocol.tuning, self.protocol.tuning["arms"]

        def loss_of(name, arm, rate):
            chosen = self.own_set(name, "global") if arm == "own" else self.tuning_set(name, "matched" if arm == "random" else arm)
            which = self.tasks[name]["type"]
            like = {"rows": self.protocol.train[which], "epochs": self.protocol.epochs[which]} if tuning["like_training"] else {}
            return self.tuned_loss(f"{name}-{arm}", rate, *self.flags(name), "--set", chosen, threads=1, **like)

        def apart(name, arm):
            return self.lowest(self.protocol.rates["units"], functools.partial(loss_of, name, arm))

        def together(name):
            return self.lowest_of_arms(self.protocol.rates["units"], arms, functools.partial(loss_of, name))

        if tuning["like_training"]:
            found = self.stages.side_by_side([functools.partial(together, name) for name in self.tasks])
            return {"full": full, "units": dict(zip(self.tasks, found))}
        jobs = {(name, arm): functools.partial(apart, name, arm) for name in self.tasks for arm in arms}
        found = dict(zip(jobs, self.stages.side_by_side(jobs.values())))
        return {"full": full, "units": {name: {arm: found[name, arm] for arm in arms} for name in self.tasks}}

    # ---- sets ----

    def detect(self, where, model):
        """Scores of every task at act and out, on the train split."""
        folder = self.path("scores", where)
        paths = {name: os.path.join(folder, name + ".safetensors") for name in self.tasks}
        self.made_when_needed(paths.values(), f"scores/{where}.run", "detect", model, *self.flags(), "--site", "paper", "--limit",
                              self.protocol.detect, "--out", folder, output=list(paths.values())[-1])
        return paths

    def own_set(self, name, scope):
        path = self.path("sets", f"{name}-{scope}.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.run(f"sets/{name}-{scope}.run", "select", self.path("scores", "base", name + ".safetensors"),
                 "--site", "act", "--top", TOP, "--scope", scope, "--out", path, output=path, threads=1)
        return path

    def random_sets(self, name, scope, kind):
        """Files of the sets that are trained, drawn like the task's own."""
        folder = self.path("sets", f"{name}-{scope}-{kind}")
        count = self.protocol.trained_sets[kind]
        draws = [os.path.join(folder, f"random-{draw}.json") for draw in range(count)]
        self.made_when_needed(draws, f"sets/{name}-{scope}-{kind}.run", "select", "--random", count, "--random-kind", kind, "--like",
                              self.own_set(name, scope), "--out", folder, output=draws[-1], threads=1)
        return draws

    def tuning_set(self, name, kind):
        """A random set that is not among those compared."""
        stage = f"sets/{name}-tuning" + ("" if kind == "matched" else f"-{kind}")
        path = self.path(stage + ".json")
        self.run(stage + ".run", "select", "--random", 1, *(() if kind == "matched" else ("--random-kind", kind)), "--seed", 1, "--like",
                 self.own_set(name, "global"), "--out", path, output=path, threads=1)
        return path

    # ---- the model that is fine-tuned on all tasks, and which tasks count ----

    def original(self, rate):
        """The model's folder, and the settings of its training."""
        folder, kept = self.path("original"), self.path("original.settings.json")
        limit = ["--limit", self.protocol.tuning["rows"]] if self.quick else []
        self.made_when_needed(
            [folder], "original.run", "train", self.model, *self.flags(), "--full", "--lr", f"{rate:g}", "--warmup-steps", 50,
            "--epochs", self.protocol.original_epochs, "--validation-limit", 60, *limit, "--out", folder, "--resume",
            output=os.path.join(folder, "model.safetensors"), unseen=self.protocol.checkpoints)
        if not os.path.exists(kept):
            with open(os.path.join(folder, "run.json")) as file:
                settings = json.load(file)["settings"]
            with open(kept + ".part", "w") as file:
                json.dump(settings, file, indent=1)
            os.rename(kept + ".part", kept)
        with open(kept) as file:
            return folder, json.load(file)

    def predict(self, stage, model, names, *flags, rows=None, threads=0):
        """Files with scores and losses of every test example, a file per task; by task."""
        os.makedirs(self.path("predicted"), exist_ok=True)
        found = {}
        for name in names:
            path = self.predicted(stage, name)
            self.run(f"predicted/{stage}-{name}.run", "evaluate", model, *self.flags(name), "--limit",
                     rows or self.test_rows(name), "--predictions", path, *flags, output=path, threads=threads)
            found[name] = path
        return found

    def eligible(self, zero, original):
        """Which tasks count, by a rule that looks at neither own nor random units: classification where the
        fine-tuned model beats always saying the commonest label (binomial test, one-sided), generation
        where its score beats the base model's (paired t test, upwards), each with p < COUNTS_P."""
        test = self.run("tested/original", "test", "--own", self.joined("original", original.values()), "--original",
                        self.joined("zero", zero.values()))
        rows = {row["task"]: row for row in test["results"]}
        found = {}
        for name, task in self.tasks.items():
            row = rows[name]
            with open(original[name]) as file, open(zero[name]) as base:
                examples, base = ([json.loads(line) for line in lines] for lines in (file, base))
            if task["type"] == "classification":
                labels = [example["label"] for example in examples]
                majority = max(map(labels.count, labels)) / len(labels)
                right = sum(example["correct"] for example in examples)
                p, baseline = at_least_as_many(right, len(examples), majority), majority
                chance, base_p = majority, at_least_as_many(sum(example["correct"] for example in base), len(base), majority)
            else:
                floor = answers_of_others(task["folder"], len(base))
                chance, base_p = sum(floor) / len(floor), larger_on_average([own["score"] - other for own, other in zip(base, floor)])
                contrast, baseline = row["own_minus_original"]["value"], row["original"]["value"]
                two_sided = contrast.get("p_t", 1.0)  # no test where all differences are the same
                p = two_sided / 2 if contrast["difference"] > 0 else 1 - two_sided / 2
            found[name] = {"value": row["own"]["value"], "baseline": baseline, "zero": row["original"]["value"], "p": p,
                           "chance": chance, "base_p": base_p,
                           "counts": p < COUNTS_P or self.quick}
        return found

    # ---- units off ----

    def ablate(self, stage, model, scores, names, *flags, rows=None, sets=None, top=TOP, site="act"):
        """The command over the tasks named."""
        return self.run_kept(f"ablated/{stage}", "ablate", model, *self.flags(*names), "--limit", rows,
                             *(part for one in SITES[site] for part in ("--site", one)), "--top", top, "--random-seeds",
                             sets or self.protocol.sets, *(part for name in names for part in ("--scores", scores[name])), *flags)

    def off(self, model, scores, counted):
        text = ["--text", self.text, "--text-tokens", self.protocol.text_tokens] if self.text else []
        protocol, found = self.protocol, {"main": {}, "controls": {}, "rest": {}}
        for kind in ("classification", "generation"):
            names = [n for n in counted if self.tasks[n]["type"] == kind]
            rest = [n for n, task in self.tasks.items() if task["type"] == kind and n not in counted]
            rows = protocol.test[kind]
            if rest:
                found["rest"][kind] = self.ablate(f"rest-{kind}", model, scores, rest, "--own-only", rows=rows)
            if not names:
                continue
            folder = ["--predictions", self.path("ablated", f"main-{kind}-rows")]
            found["main"][kind] = self.ablate(f"main-{kind}", model, scores, names, "--own-only", *text, *folder, rows=rows)
            for control in protocol.controls:
                flags = CONTROLS[control]
                if "-text" in control and not self.text:
                    continue
                given = flags + (text if "-text" in control else [])
                found["controls"].setdefault(control, {})[kind] = self.ablate(
                    f"{control}-{kind}", model, scores, names, "--own-only", *given, rows=rows, sets=protocol.control_sets)
        found.update({"matrix": {"cross_matrices": []}, "doses": {}, "table": {}})
        if not counted:
            return found
        found["matrix"] = self.ablate("matrix", model, scores, counted, rows=protocol.matrix, sets=1)
        less = {"sets": protocol.control_sets}
        found["doses"] = {top: self.ablate(f"dose-{top}", model, scores, counted, "--own-only", rows=protocol.doses, top=top, **less)
                          for top in protocol.tops}
        for aggregate, scope, site in protocol.open:
            found["table"][f"{aggregate} {scope} {site}"] = self.ablate(
                f"{aggregate}-{scope}-{site}", model, scores, counted, "--aggregate", aggregate, "--scope", scope, "--own-only",
                rows=protocol.table, site=site, **less)
        return found

    # ---- units trained ----

    def predicted(self, stage, name):
        return self.path("predicted", f"{stage}-{name}.jsonl")

    def train(self, name, arm, draw, seed, rates):
        """Predictions of the base model with one set of a task's trained, on the task's test rows; of the own set also
        on a few of every task's."""
        scope, kind = ARMS[arm]["scope"], ARMS[arm].get("kind")
        chosen = self.random_sets(name, scope, kind)[draw] if kind else self.own_set(name, scope)
        arm_of_rate = "own" if not kind else arm if arm in rates[name] else "random"
        rate = rates[name][arm_of_rate]["rate"]
        which, stage = self.tasks[name]["type"], f"{arm}{draw if kind else ''}-seed{seed}"
        in_matrix = list(self.tasks) if arm == "own" and seed == 0 else []
        out = self.path("trained", f"{name}-{stage}")
        delta = os.path.join(out, "delta.safetensors")
        serves = [self.predicted(stage, name)] + [self.predicted(f"matrix-{name}", other) for other in in_matrix]
        self.run(f"trained/{name}-{stage}.run", "train", self.model, *self.flags(name), "--set", chosen, "--lr", f"{rate:g}",
                 "--epochs", self.protocol.epochs[which], "--limit", self.protocol.train[which], "--seed", seed, "--evaluate",
                 "none", "--out", out, "--resume", output=delta, serves=serves, threads=1)
        self.predict(f"matrix-{name}", self.model, in_matrix, "--delta", delta, rows=self.protocol.matrix, threads=1)
        return self.predict(stage, self.model, [name], "--delta", delta, threads=1)[name]

    def seeds_of(self, arm):
        """Own and matched sets are trained from several seeds; the further kinds from the first."""
        return range(self.protocol.seeds if arm in ("own", "matched") else 1)

    def draws_of(self, arm):
        return self.protocol.trained_sets[ARMS[arm]["kind"]] if "kind" in ARMS[arm] else 1

    def train_all(self, rates):
        """Predictions of every training: {(task, arm, draw, seed): file}."""
        jobs = {}
        for arm in self.protocol.arms:
            for draw in range(self.draws_of(arm)):
                for seed in self.seeds_of(arm):
                    for name in self.tasks:
                        jobs[name, arm, draw, seed] = functools.partial(self.train, name, arm, draw, seed, rates)
        return dict(zip(jobs, self.stages.side_by_side(jobs.values())))

    def learned(self, paths, zero, names):
        """Tasks that training a few units changes for the better, by a rule that cannot tell own from random ones: own and matched
        trainings together score above the base model, with p < COUNTS_P."""
        found = {}
        for name in names:
            arms = [mean_scores([path for (task, which, _, _), path in paths.items() if task == name and which == arm])
                    for arm in ("own", "matched")]
            base = mean_scores([zero[name]])
            found[name] = larger_on_average([(own + random) / 2 - other for own, random, other in zip(*arms, base)])
        return found

    def trained(self, paths, zero, counted):
        found = {"arms": {}, "p_learned": self.learned(paths, zero, counted)}
        learned = [name for name, p in found["p_learned"].items() if p < COUNTS_P]
        groups = {"counted": counted, "rest": [n for n in self.tasks if n not in counted]}
        if learned != counted:
            groups["learned"] = learned
        for arm in (a for a in self.protocol.arms if "kind" in ARMS[a]):
            seeds = self.seeds_of(arm)
            for group, names in groups.items():
                if not names:
                    continue

                def file(which, draw, seed):
                    return self.joined(f"{group}-{which}{draw}-seed{seed}", [paths[n, which, draw, seed] for n in names])

                own = ",".join(file(ARMS[arm]["own"], 0, seed) for seed in seeds)
                random = [part for draw in range(self.draws_of(arm))
                          for part in ("--random", ",".join(file(arm, draw, seed) for seed in seeds))]
                found["arms"].setdefault(arm, {})[group] = self.run(
                    f"tested/{group}-{arm}", "test", "--own", own, *random, "--original",
                    self.joined(f"{group}-zero", [zero[n] for n in names]))
        if counted:
            matched = [self.joined(f"counted-matched{draw}-seed0", [paths[n, "matched", draw, 0] for n in counted])
                       for draw in range(self.draws_of("matched"))]
            found["random"] = self.run("tested/counted-random", "test", "--own", ",".join(matched), "--original",
                                       self.joined("counted-zero", [zero[n] for n in counted]))
        found["matrix"] = self.trained_matrix(counted) if len(counted) > 1 else None
        return found

    def trained_matrix(self, counted):
        rows = [self.joined(f"matrix-{name}", [self.predicted(f"matrix-{name}", other) for other in counted]) for name in counted]
        zero = self.joined("matrix-zero", self.predict("matrix-zero", self.model, counted, rows=self.protocol.matrix).values())
        return self.run("tested/matrix", "test", "--own", rows[0], "--original", zero,
                        *(part for name, path in zip(counted, rows) for part in ("--matrix", f"{name}={path}")))["cross_matrix"]

    # ---- the whole ----

    def estimate(self):
        """Says how long the study takes, from short stages on this machine."""
        per_row = seconds_per_row(self.stages, self.model, self.tasks, 8 if self.quick else 48)
        protocol, seconds = self.protocol, 0.0
        runs = sum(len(self.seeds_of(arm)) * self.draws_of(arm) for arm in protocol.arms)
        off = 1 + 2 + protocol.sets + len(protocol.controls) * (2 + protocol.control_sets)
        tuning, units = protocol.tuning, len(protocol.rates["units"])
        for name, (evaluate, train) in per_row.items():
            kind = self.tasks[name]["type"]
            seconds += evaluate * protocol.test[kind] * (off + runs + 2)
            seconds += evaluate * (protocol.matrix * (2 * len(self.tasks) + 2)
                                   + (len(protocol.tops) * protocol.doses + len(protocol.open) * protocol.table) * (2 + protocol.control_sets))
            seconds += train * protocol.train[kind] * protocol.epochs[kind] * runs
            tuned = protocol.train[kind] * protocol.epochs[kind] if tuning["like_training"] else tuning["rows"]
            # Grids grow by about one rate; all parameters cost about twice what FFNs do.
            seconds += len(tuning["arms"]) * (units + 1) * (train * tuned + evaluate * tuning["validation"])
            seconds += 2 * train * (1000 * protocol.original_epochs + (len(protocol.rates["full"]) + 1) * tuning["rows"])
            seconds += train * 2 * protocol.detect
            seconds += evaluate * tuning["validation"] * (len(self.templates) if len(self.templates) > 1 else 0)
            # A pass over the text for every set of every task, as dear as rows of as many tokens.
            if self.text:
                seconds += evaluate * protocol.text_tokens / TOKENS_OF_ROW * (1 + 1 + protocol.sets)
        minutes = seconds / self.stages.cores / 60
        print(f"about {minutes:.0f} minutes on this machine's {self.stages.cores} cores, from nothing", flush=True)
        return minutes

    def go(self):
        minutes = self.estimate()
        prompts = self.choose_template()
        self.detect("base", self.model)
        settings = self.tune()
        # What starts from the base model comes first: it can be measured in parts, on several machines.
        zero, paths = self.predict("zero", self.model, self.tasks), self.train_all(settings["units"])
        model, original_settings = self.original(settings["full"]["rate"])
        original = self.predict("original", model, self.tasks)
        eligible = self.eligible(zero, original)
        counted = [name for name in self.tasks if eligible[name]["counts"]]
        off = self.off(model, self.detect("original", model), counted)
        trained = self.trained(paths, zero, counted)
        return self.finished(minutes, {
            "original_settings": original_settings, "tasks": {name: task["type"] for name, task in self.tasks.items()},
            "protocol": {"name": self.protocol.name, **vars(self.protocol)}, "about": self.about, "beside": self.beside, "text": os.path.basename(self.text or ""), "top": TOP, "template": self.template, "prompts": prompts, "settings": settings, "eligible": eligible, "counted": counted, "off": off,
            "trained": trained})


if __name__ == "__main__":
    main(__doc__, Question1, question1_page.write,
         ("--text", {"help": "unrelated text: its perplexity is the side effect, its activations a replacement"}),
         ("--protocol", {"choices": ("small", "pretrained"), "default": "small", "help": "how much of everything is measured"}),
         ("--beside", {"nargs": "+", "metavar": "NAME=FILE", "help": "WORK/result.json of this study on other models, for the table beside the paper"}),
         ("--about", {"help": "what the model is and where it comes from, in a sentence, for the page"}),
         ("--templates", {"nargs": "+", "metavar": "NAME", "help": "prompt templates to choose from (default: default)"}))
