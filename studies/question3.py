#!/usr/bin/env python3
"""Question 3 of the method, end to end: does training a task's own neurons keep what was learnt before?

  question3.py PROGRAM MODEL TASKS... --work FOLDER [--docs docs/results/question3.md] [--records FOLDER] [--quick]

TASKS are the task folders of the continual-learning benchmark, or a folder of them. Every method has as many
trials of its settings, on validation rows of the first order alone; then it is trained on orders 1 to 3, the
main ones from three seeds and on orders 4 to 6 too. Every stage writes one file below FOLDER and is skipped
when that is there: killed and started again, the study goes on where it was. What it will take is measured and
said first.
"""
import functools
import json
import os
import sys

import question3_page
from question3_protocol import BEST, BEST_UNITS, CLAIMS, WEIGHTS_ALONE, Arm, Protocol
from study import Study, main
from study_tasks import find_tasks, seconds_per_row

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")


class Question3(Study):
    def __init__(self, arguments):
        protocol, known = Protocol(arguments.quick), find_tasks(arguments.tasks)
        self.orders = {name: self.order_file(arguments.work, protocol, name)
                       for names in protocol.orders.values() for name in names}
        self.streams = {name: order_tasks(path) for name, path in self.orders.items()}
        wanted = list(dict.fromkeys(task for stream in self.streams.values() for task in stream))
        missing = [name for name in wanted if name not in known]
        if missing:
            sys.exit(f"no task folder of {', '.join(missing)}")
        super().__init__(arguments, protocol, {name: known[name] for name in wanted}, ((EXAMPLES, "examples"),))
        self.folders = list(dict.fromkeys(os.path.dirname(task["folder"]) for task in self.tasks.values()))

    @staticmethod
    def order_file(work, protocol, name):
        if name not in protocol.quick_orders:
            return os.path.join(EXAMPLES, "orders", name + ".json")
        path = os.path.join(os.path.abspath(work), "orders", name + ".json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump({"format": "taskneuron.order/1", "name": name, "tasks": protocol.quick_orders[name]}, file)
        return path

    # ---- streams ----

    def continual(self, stage, orders, texts, *more):
        protocol = self.protocol
        return self.run(stage, "continual", self.model, "--order", *(self.orders[name] for name in orders), "--tasks", *self.folders,
                        "--method", *texts, "--epochs", protocol.epochs, "--batch", protocol.batch, "--detect-limit",
                        protocol.detect, "--seeds", 1, *more, "--out", self.path("folders", stage.replace("/", "-")), threads=1)

    def tuned(self, name):
        """Validation CL of every trial of an arm, in their order; nothing for one that diverged."""
        arm, tuning = self.protocol.all()[name], self.protocol.tuning
        texts = [arm.text(trial) for trial in arm.trials]
        found = self.continual(f"tuned/{file_name(name)}", [self.protocol.tuning_order], texts, "--limit", tuning["rows"],
                               "--seed", tuning["seed"], "--test-split", "validation", "--test-limit", tuning["validation"],
                               "--unseen", "none", "--no-single")
        values = {run["method"]: run["cl"] for run in found["runs"]}
        return [{"text": text, "cl": values[text]} for text in texts]

    def chosen(self, trials):
        return max(trials, key=lambda trial: -1 if trial["cl"] is None else trial["cl"])

    def families(self, seeds):
        """Calls: (family, seed, arms that it runs). seeds: of every arm."""
        calls = {}
        for name, arm in self.protocol.all().items():
            for seed in range(seeds.get(name, 0)):
                calls.setdefault((arm.family, seed), []).append(name)
        return [(family, seed, names) for (family, seed), names in calls.items()]

    def streamed(self, length, seeds, texts):
        """Results of every stream of orders of that length."""
        protocol = self.protocol
        jobs = [functools.partial(self.continual, f"streams/{length}-{family}-{seed}", protocol.orders[length],
                                  [texts[name] for name in names], "--limit", protocol.train[length], "--test-limit",
                                  protocol.test[length], "--seed", seed)
                for family, seed, names in sorted(self.families(seeds), key=lambda call: call[1])]
        return self.stages.side_by_side(jobs)

    def compared(self, stage, results, texts, names, pairs=()):
        """What `streams` makes of some arms, in this order, or of pairs of them; it refuses what was not measured alike."""
        files = []
        for name in names:
            for number, result in enumerate(results):
                runs = [run for run in result["runs"] if run["method"] == texts[name]]
                if not runs:
                    continue
                files.append(self.path("arms", f"{stage}-{file_name(name)}-{number}.json"))
                os.makedirs(os.path.dirname(files[-1]), exist_ok=True)
                with open(files[-1], "w") as file:
                    json.dump({"settings": result["settings"], "runs": runs}, file)
        asked = [texts[name] for pair in pairs for name in pair]
        return self.run(f"compared/{stage}", "streams", *files, *(["--compare", *asked] if asked else []), threads=1, again=True)

    # ---- the whole ----

    def estimate(self):
        """Says about how long the study takes, from short stages on this machine, as if no two arms chose settings by which they
        share stages."""
        protocol, minutes = self.protocol, {}
        per_row = seconds_per_row(self.stages, self.model, self.tasks, 8 if self.quick else 48)

        def call(orders, rows, tested, work=1):
            """Of an arm: stages that orders have in common train once."""
            stages, tests = set(), 0.0
            for name in orders:
                stream = self.streams[name]
                stages.update((task, tuple(stream[:at])) for at, task in enumerate(stream))
                stages.update((task, ()) for task in stream)
                tests += sum(per_row[task][0] * tested * (len(stream) - at + 1) for at, task in enumerate(stream))
            trained = sum(per_row[task][1] * (rows * protocol.epochs * work + min(rows, protocol.detect)) for task, _ in stages)
            return trained + tests

        tuning, arms = protocol.tuning, protocol.all()
        minutes["choosing settings"] = sum(
            call([protocol.tuning_order], tuning["rows"], tuning["validation"], arm.work) * len(arm.trials) for arm in arms.values())
        main = len(protocol.main) + 2  # the best variants
        streams = {"short": sum(arm.work for arm in arms.values()) + main * (protocol.seeds["short"] - 1), "long": main * protocol.seeds["long"]}
        for length, count in streams.items():
            minutes[f"{length} orders"] = count * call(protocol.orders[length], protocol.train[length], protocol.test[length] or 450)
        minutes = {part: seconds / self.stages.cores / 60 for part, seconds in minutes.items()}
        print(f"about {sum(minutes.values()):.0f} minutes on this machine's {self.stages.cores} cores, from nothing: "
              + ", ".join(f"{part} {value:.0f}" for part, value in minutes.items()), flush=True)
        return sum(minutes.values())

    def go(self):
        minutes, protocol = self.estimate(), self.protocol
        names = list(protocol.all())
        trials = dict(zip(names, self.stages.side_by_side([functools.partial(self.tuned, name) for name in names])))
        texts = {name: self.chosen(trials[name])["text"] for name in names}
        cl = {name: self.chosen(trials[name])["cl"] or 0 for name in protocol.variants}
        best = max(cl, key=cl.get)
        best_units = max((name for name in cl if protocol.variants[name].method == "ncft"), key=cl.get)
        roles = {BEST: best, BEST_UNITS: best_units}
        main_arms = list(dict.fromkeys([best, best_units, *protocol.main]))
        # Beside them, from the stages of ncft.
        weights = Arm("w-ncft", [{}], {"lr": setting(texts["ncft"], "lr"), "temperature": setting(texts["w-ncft"], "temperature")}, "ncft",
                      told=protocol.arms["w-ncft"].told)
        texts[WEIGHTS_ALONE] = weights.text({})
        if texts[WEIGHTS_ALONE] != texts["w-ncft"]:
            protocol.arms[WEIGHTS_ALONE] = weights
            names.append(WEIGHTS_ALONE)
            main_arms.append(WEIGHTS_ALONE)
        else:
            roles[WEIGHTS_ALONE] = "w-ncft"
        claims = list({tuple(roles.get(side, side) for side in pair): words for *pair, words in reversed(CLAIMS)}.items())[::-1]
        asked = [pair for pair, _ in claims if pair[0] != pair[1]]
        short = self.streamed("short", {**dict.fromkeys(names, 1), **dict.fromkeys(main_arms, protocol.seeds["short"])}, texts)
        long = self.streamed("long", dict.fromkeys(main_arms, protocol.seeds["long"]), texts)
        return self.finished(minutes, {
            "protocol": protocol.numbers(),
            "streams": self.streams, "arms": list(protocol.arms), "variants": list(protocol.variants), "best": best,
            "best_units": best_units, "main": main_arms, "trials": trials, "texts": texts,
            "edges": {name: protocol.all()[name].at_edge(texts[name]) for name in trials},
            "told": {name: protocol.all()[name].told for name in names},
            "claims": [[*pair, words] for pair, words in claims if pair[0] != pair[1]],
            "paper": {name: arm.paper for name, arm in protocol.arms.items() if arm.paper},
            "short": self.compared("short", short, texts, names),
            "short_main": self.compared("short-main", short, texts, main_arms),
            "short_claims": self.compared("short-claims", short, texts, main_arms, asked),
            "long_claims": self.compared("long-claims", long, texts, main_arms, asked),
            "long": self.compared("long", long, texts, main_arms)})


def setting(text, key):
    """A setting's value in a method as it is written: "ncft:lr=1e-3"."""
    return dict(part.split("=") for part in text.partition(":")[2].split(","))[key]


def order_tasks(path):
    with open(path) as file:
        return json.load(file)["tasks"]


def file_name(name):
    return name.replace(", ", "+").replace(" ", "-")


if __name__ == "__main__":
    main(__doc__, Question3, question3_page.write)
