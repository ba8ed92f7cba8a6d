#!/usr/bin/env python3
"""Question 1 of the method, end to end: do task-specific neurons exist in this model?

  question1.py PROGRAM MODEL TASKS --work FOLDER [--docs docs/results/question1.md] [--quick]

TASKS is a folder of task folders. Settings are chosen on validation data, the model is fine-tuned on
all tasks ("original"), its units are switched off task by task, and from the base model the units of
each task are trained alone; each beside random units. Every stage writes one file below FOLDER and is
skipped when that is there: killed and started again, the study goes on where it was. What it will
take is said first.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import question1_page

TOP = "10%"
AGGREGATES = ("example", "token", "dataset")
SCOPES = ("global", "layer")
SITES = {"act": ["act"], "paper": ["act", "out"]}


class Study:
    def __init__(self, arguments):
        self.program = os.path.abspath(arguments.program)
        self.model = arguments.model
        self.folder = os.path.abspath(arguments.work)
        self.quick = arguments.quick
        self.tasks = sorted(os.path.join(arguments.tasks, name) for name in os.listdir(arguments.tasks)
                            if os.path.exists(os.path.join(arguments.tasks, name, "meta.json")))
        if not self.tasks:
            sys.exit(f"{arguments.tasks}: holds no task folders")
        self.text = arguments.text
        self.names = [self.meta(folder)["name"] for folder in self.tasks]
        # Rows: of the multi-task fine-tune, of neuron-only training, of tests, of the settings table.
        self.rows = {"original": 0, "units": 300, "detect": 300, "test": 150, "doses": 60, "table": 30}
        self.epochs = {"original": 2, "units": 2}
        self.seeds = 5          # random sets that are switched off, per task and kind
        self.trained_seeds = 5  # random sets that are trained, per task
        self.rates = {"full": ["3e-4", "1e-3", "2e-3"], "units": ["1e-3", "3e-3", "1e-2"]}
        if self.quick:
            self.rows = {"original": 16, "units": 16, "detect": 8, "test": 6, "doses": 4, "table": 4}
            self.epochs = {"original": 1, "units": 1}
            self.seeds, self.trained_seeds = 2, 1
            self.rates = {"full": ["1e-3"], "units": ["1e-3", "3e-3"]}
        os.makedirs(self.folder, exist_ok=True)
        self.commands = []

    @staticmethod
    def meta(folder):
        with open(os.path.join(folder, "meta.json")) as file:
            return json.load(file)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def read(self, *parts):
        with open(self.path(*parts)) as file:
            return json.load(file)

    def shown(self, command):
        names = {self.program: "taskneuron", self.model: "MODEL", self.folder: "WORK",
                 os.path.dirname(self.tasks[0]): "TASKS"}
        if self.text:
            names[self.text] = "TEXT"
        text = " ".join(command)
        for long, short in sorted(names.items(), key=lambda item: -len(item[0])):
            text = text.replace(long, short)
        return text

    def run(self, stage, *command, output):
        """Runs a command unless its output is there; JSON on standard output goes to WORK/stage.json."""
        command = [self.program, *map(str, command)]
        result = self.path(stage + ".json")
        self.commands.append((stage, self.shown(command)))
        if os.path.exists(output) and os.path.exists(result):
            return self.read(stage + ".json")
        os.makedirs(os.path.dirname(result), exist_ok=True)
        print(f"[{time.strftime('%H:%M:%S')}] {stage}", flush=True)
        start = time.time()
        # What a stage that was cut short has left is the study's own.
        force = ["--force"] if command[1] in ("detect", "select", "evaluate") else []
        run = subprocess.run(command + ["--json", "--quiet", *force], stdout=subprocess.PIPE)
        if run.returncode != 0:
            sys.exit(f"{stage}: exit {run.returncode}: {self.shown(command)}")
        answer = {"seconds": time.time() - start, "result": json.loads(run.stdout)}
        with open(result + ".tmp", "w") as file:
            json.dump(answer, file, indent=1)
        os.rename(result + ".tmp", result)
        return answer

    def task_flags(self, *folders):
        return [part for folder in folders or self.tasks for part in ("--task", folder)]

    # ---- stages ----

    def choose(self, kind, rates, command):
        """The learning rate with the lowest mean validation loss; its trials' losses."""
        losses = {}
        for rate in rates:
            folder = self.path("choose", f"{kind}-{rate}")
            answer = self.run(f"choose/{kind}-{rate}.run", *command, "--lr", rate, "--out", folder,
                              "--save", "delta", "--resume", output=os.path.join(folder, "run.json"))
            validation = answer["result"]["validation"]
            losses[rate] = sum(row["loss"] for row in validation) / len(validation)
        return min(losses, key=losses.get), losses

    def choose_settings(self):
        rows = 8 if self.quick else 200
        small = ["--limit", rows, "--epochs", 1, "--validation-limit", 60]
        full, full_losses = self.choose(
            "full", self.rates["full"],
            ["train", self.model, *self.task_flags(), "--full", "--warmup-steps", 20, *small])
        some = sorted({self.tasks[i] for i in (0, len(self.tasks) // 3, 2 * len(self.tasks) // 3)})
        units, sums = None, {}
        for folder, name in ((f, self.meta(f)["name"]) for f in some):
            _, losses = self.choose(
                f"units-{name}", self.rates["units"],
                ["train", self.model, *self.task_flags(folder), "--set", self.base_set(name), *small])
            for rate, loss in losses.items():
                sums[rate] = sums.get(rate, 0) + loss / len(some)
        units = min(sums, key=sums.get)
        return {"full": full, "full_losses": full_losses, "units": units, "units_losses": sums}

    def original(self, rate):
        folder = self.path("original")
        limit = ["--limit", self.rows["original"]] if self.rows["original"] else []
        self.run("original.run", "train", self.model, *self.task_flags(), "--full", "--lr", rate,
                 "--warmup-steps", 50, "--epochs", self.epochs["original"], "--validation-limit", 60,
                 *limit, "--out", folder, "--resume", output=os.path.join(folder, "model.safetensors"))
        return folder

    def detect(self, where, model):
        """Scores of every task at act and out, on the train split."""
        folder = self.path("scores", where)
        self.run(f"scores/{where}.run", "detect", model, *self.task_flags(), "--site", "paper",
                 "--limit", self.rows["detect"], "--out", folder,
                 output=os.path.join(folder, self.names[-1] + ".safetensors"))
        return [os.path.join(folder, name + ".safetensors") for name in self.names]

    def base_set(self, name):
        self.detect("base", self.model)
        path = self.path("sets", name + ".json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.run(f"sets/{name}.run", "select", self.path("scores", "base", name + ".safetensors"),
                 "--site", "act", "--top", TOP, "--out", path, output=path)
        return path

    def random_set(self, name, seed):
        path = self.path("sets", f"{name}-random{seed}.json")
        self.run(f"sets/{name}-random{seed}.run", "select", "--random", 1, "--random-kind", "matched", "--like",
                 self.base_set(name), "--seed", seed, "--out", path, output=path)
        return path

    def train_units(self, rate, folder, name, what, chosen):
        out = self.path("trained", f"{name}-{what}")
        self.run(f"trained/{name}-{what}.run", "train", self.model, *self.task_flags(folder), "--set",
                 chosen, "--lr", rate, "--epochs", self.epochs["units"], "--limit", self.rows["units"],
                 "--evaluate", "none", "--out", out, "--resume",
                 output=os.path.join(out, "delta.safetensors"))
        return os.path.join(out, "delta.safetensors")

    def evaluate(self, stage, model, folders, *flags):
        answer = self.run(stage, "evaluate", model, *self.task_flags(*folders), "--limit",
                          self.rows["test"], *flags, output=self.path(stage + ".json"))
        return {row["task"]: row for row in answer["result"]["results"] if "task" in row}

    def predict(self, name, folders, *flags):
        """Scores and losses of every test example, by task."""
        path = self.path("predicted", name + ".jsonl")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.run(f"predicted/{name}.run", "evaluate", self.model, *self.task_flags(*folders), "--limit",
                 self.rows["test"], "--predictions", path, *flags, output=path)
        found = {}
        with open(path) as file:
            for row in map(json.loads, file):
                score = float(row["correct"]) if "correct" in row else row["score"]
                task = found.setdefault(row["task"], {"scores": [], "losses": []})
                task["scores"].append(score)
                task["losses"].append(row["loss"])
        return found

    def training(self, rate):
        zero = self.evaluate("evaluated/zero-shot", self.model, self.tasks)
        matrix, task, random = {}, {}, {}
        for folder, name in zip(self.tasks, self.names):
            delta = self.train_units(rate, folder, name, "task", self.base_set(name))
            matrix[name] = self.evaluate(f"evaluated/{name}-task", self.model, self.tasks, "--delta", delta)
            task.update(self.predict(f"{name}-task", [folder], "--delta", delta))
        for seed in range(self.trained_seeds):
            for folder, name in zip(self.tasks, self.names):
                delta = self.train_units(rate, folder, name, f"random{seed}", self.random_set(name, seed))
                row = self.predict(f"{name}-random{seed}", [folder], "--delta", delta)
                random.setdefault(name, []).append(row[name])
        return {"zero": zero, "matrix": matrix,
                "examples": {"zero": self.predict("zero-shot", self.tasks), "task": task, "random": random}}

    def ablate(self, stage, model, scores, rows, *flags):
        return self.run(stage, "ablate", model, *self.task_flags(), "--limit", rows,
                        *(part for path in scores for part in ("--scores", path)), *flags,
                        output=self.path(stage + ".json"))["result"]

    def deactivation(self, model):
        scores = self.detect("original", model)
        text = ["--text", self.text, "--text-tokens", 20000] if self.text else []
        main = self.ablate("ablated/main", model, scores, self.rows["test"], "--site", "act", "--top", TOP,
                           "--random-seeds", self.seeds, "--random-kind", "matched", "--random-kind", "uniform",
                           *text)
        doses = self.ablate("ablated/doses", model, scores, self.rows["doses"], "--site", "act",
                            "--top", "1%", "--top", "3%", "--top", "10%", "--top", "30%",
                            "--own-only", "--random-seeds", self.seeds)
        table = {}
        for aggregate in AGGREGATES:
            for scope in SCOPES:
                for site, sites in SITES.items():
                    flags = [part for one in sites for part in ("--site", one)]
                    table[f"{aggregate} {scope} {site}"] = self.ablate(
                        f"ablated/{aggregate}-{scope}-{site}", model, scores, self.rows["table"],
                        "--aggregate", aggregate, "--scope", scope, *flags, "--top", TOP, "--own-only",
                        "--random-seeds", self.seeds)
        return {"main": main, "doses": doses, "table": table}

    # ---- the whole ----

    def estimate(self):
        """Says how long the study takes, from a short measurement on this machine."""
        folder = self.tasks[-1]
        answer = self.run("estimate", "detect", self.model, "--task", folder, "--limit", 60, "--out",
                          self.path("estimate.safetensors"), output=self.path("estimate.safetensors"))
        rate = answer["result"]["tokens_per_second"]
        tokens_per_row, per_row = {}, answer["result"]["tokens"] / answer["result"]["examples"]
        for task in self.tasks:
            with open(os.path.join(task, "train.jsonl")) as file:
                lines = file.readlines()
            tokens_per_row[task] = (len(lines), sum(map(len, lines)) / len(lines))
        scale = per_row / tokens_per_row[folder][1]
        rows = lambda count, limit: min(count, limit) if limit else count
        total = lambda limit: sum(rows(count, limit) * size * scale for count, size in tokens_per_row.values())
        # Forward alone where labels are ranked; a text that grows token by token costs more.
        evaluated = lambda limit: sum(rows(count, limit) * size * scale * (1.8 if self.meta(task)["type"] == "generation"
                                                                           else 0.6)
                                      for task, (count, size) in tokens_per_row.items())
        evaluation = evaluated(self.rows["test"])
        work = 2 * total(self.rows["detect"]) + 2 * self.epochs["original"] * total(self.rows["original"]) \
            + (1 + self.trained_seeds) * self.epochs["units"] * total(self.rows["units"]) + 12 * total(200) \
            + (12 + self.trained_seeds + 1) * evaluation + (2 + len(self.names) + 2 * self.seeds) * evaluation \
            + 4 * (1 + self.seeds) * evaluated(self.rows["doses"]) \
            + 12 * (2 + self.seeds) * evaluated(self.rows["table"])
        print(f"about {work / rate / 60:.0f} minutes on this machine "
              f"({rate:.0f} tokens/s measured, {work / 1e6:.1f} million tokens of work)", flush=True)

    def go(self):
        start = time.time()
        self.estimate()
        settings = self.choose_settings()
        model = self.original(settings["full"])
        self.detect("original", model)
        training = self.training(settings["units"])
        deactivation = self.deactivation(model)
        result = {"names": self.names, "types": {self.meta(f)["name"]: self.meta(f)["type"] for f in self.tasks},
                  "settings": settings, "rows": self.rows, "epochs": self.epochs, "seeds": self.seeds,
                  "trained_seeds": self.trained_seeds, "top": TOP,
                  "original": self.read("original.run.json")["result"],
                  "training": training, "deactivation": deactivation,
                  "seconds": sum(self.read(stage + ".json")["seconds"] for stage, _ in self.commands),
                  "this_time_seconds": time.time() - start, "commands": self.commands,
                  "threads": os.cpu_count()}
        with open(self.path("result.json"), "w") as file:
            json.dump(result, file, indent=1)
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("tasks")
    parser.add_argument("--work", required=True)
    parser.add_argument("--text", help="unrelated text whose perplexity is the side effect")
    parser.add_argument("--docs", help="page to write")
    parser.add_argument("--quick", action="store_true", help="a few rows of everything, to see that it runs")
    arguments = parser.parse_args()
    result = Study(arguments).go()
    if arguments.docs:
        question1_page.write(result, arguments.docs)
        print(arguments.docs)


if __name__ == "__main__":
    main()
