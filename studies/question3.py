#!/usr/bin/env python3
"""Question 3 of the method, end to end: does training a task's own neurons keep what was learnt before?

  question3.py PROGRAM MODEL TASKS... --work FOLDER [--docs docs/results/question3.md] [--records FOLDER] [--quick]

TASKS are the task folders of the continual-learning benchmark, or a folder of them. Every method has as many
trials of its settings, on validation rows of the first order alone; then it is trained on orders 1 to 3, the
main ones from three seeds and on orders 4 to 6 too, beside the same options on random units. Every stage writes one file below FOLDER and is skipped
when that is there: killed and started again, the study goes on where it was. What it will take is measured and
said first.
"""
import collections
import functools
import json
import os
import sys

import question3_page
from question3_protocol import AVERAGE, AVERAGE_TEMPERATURE, BEST, BEST_UNITS, CLAIMS, SAME_OPTIONS, WEIGHTS_ALONE, Arm, Protocol, settings_of, with_same_options
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

    def continual(self, stage, orders, texts, *more, folder=None):
        protocol, folder = self.protocol, folder or stage.replace("/", "-")
        return self.run(stage, "continual", self.model, "--order", *(self.orders[name] for name in orders), "--tasks", *self.folders,
                        "--method", *texts, "--epochs", protocol.epochs, "--batch", protocol.batch, "--detect-limit",
                        protocol.detect, "--seeds", 1, *more, "--out", self.path("folders", folder), threads=1)

    def tuned(self, family, names):
        """{arm: its trials with their validation CL, in order; none for one that diverged} of the arms of a family."""
        protocol, found = self.protocol, {name: [] for name in names}

        def measured(stage, texts):
            tuning = protocol.tuning
            answer = self.continual(f"tuned/{stage}", [protocol.tuning_order], list(dict.fromkeys(sum(texts.values(), []))), "--limit", tuning["rows"],
                                    "--seed", tuning["seed"], "--test-split", "validation", "--test-limit", tuning["validation"],
                                    "--unseen", "none", "--no-single", folder=f"tuned-{family}")
            values = {run["method"]: run["cl"] for run in answer["runs"]}
            for name, tried in texts.items():
                found[name] += [{"text": text, "cl": values[text]} for text in tried]

        arms = {name: protocol.all()[name] for name in names}
        measured(family, {name: [arm.text(trial) for trial in arm.trials] for name, arm in arms.items()})
        more = {name: [arm.text({**settings_of(chosen(found[name])["text"]), **extra}) for extra in arm.more]
                for name, arm in arms.items() if arm.more}
        if more:
            measured(f"{family}-more", more)
        return found

    def trials(self, names):
        """What every arm has tried."""
        families = {}
        for name in names:
            families.setdefault(self.protocol.all()[name].family, []).append(name)
        # Those that train longest first: at the end no core waits for one of them.
        work = {family: sum(self.protocol.all()[name].work for name in some) for family, some in families.items()}
        jobs = [functools.partial(self.tuned, family, families[family]) for family in sorted(families, key=lambda family: -work[family])]
        found = {}
        for some in self.stages.side_by_side(jobs):
            found.update(some)
        return {name: found[name] for name in names}

    def families(self, seeds):
        """Calls: (family, seed, arms that it runs). seeds: of every arm."""
        calls = {}
        for name, arm in self.protocol.all().items():
            for seed in range(seeds.get(name, 0)):
                calls.setdefault((arm.family, seed), []).append(name)
        work = {(family, seed): sum(self.protocol.all()[name].work for name in names) for (family, seed), names in calls.items()}
        # By seeds, so that a study that is looked at before its end has all arms of one; of each those that train longest first.
        return [(*call, calls[call]) for call in sorted(calls, key=lambda call: (call[1], -work[call]))]

    def streamed(self, length, seeds, texts):
        """Results of every stream of orders of that length."""
        protocol = self.protocol
        jobs = [functools.partial(self.continual, f"streams/{length}-{family}-{seed}", protocol.orders[length],
                                  [texts[name] for name in names], "--limit", protocol.train[length], "--test-limit",
                                  protocol.test[length], "--seed", seed)
                for family, seed, names in self.families(seeds)]
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

    def commonest(self, tasks, rows):
        """What always saying the commonest label of the tested rows scores, by task."""
        return {name: commonest_share(os.path.join(self.tasks[name]["folder"], "test.jsonl"), rows) for name in tasks}

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
        # Arms of a family train alike at one rate.
        trained = {(arm.family, trial["lr"]): arm.work for arm in arms.values() for trial in arm.trials}
        more = sum(arm.work * len(arm.more) for arm in arms.values())
        minutes["choosing settings"] = (sum(trained.values()) + more) * call([protocol.tuning_order], tuning["rows"], tuning["validation"])
        main = len(protocol.main) + 2  # what is chosen and its control
        streams = {"short": sum({arm.family: arm.work for arm in arms.values()}.values()) + main * (protocol.seeds["short"] - 1),
                   "long": (len(protocol.long) + 2) * protocol.seeds["long"]}
        for length, count in streams.items():
            minutes[f"{length} orders"] = count * call(protocol.orders[length], protocol.train[length], protocol.test[length])
        minutes = {part: seconds / self.stages.cores / 60 for part, seconds in minutes.items()}
        print(f"about {sum(minutes.values()):.0f} minutes on this machine's {self.stages.cores} cores, from nothing: "
              + ", ".join(f"{part} {value:.0f}" for part, value in minutes.items()), flush=True)
        return sum(minutes.values())

    def add_arm(self, name, arm, texts):
        """One that is there because of what was chosen; one that another arm already is counts once. Returns its name."""
        same = next((known for known, text in texts.items() if text == arm.text({})), None) if arm.trials == [{}] else None
        if not same:
            self.protocol.arms[name] = arm
        return same or name

    def go(self):
        minutes, protocol = self.estimate(), self.protocol
        trials = self.trials(list(protocol.all()))
        texts = {name: chosen(tried)["text"] for name, tried in trials.items()}
        cl = {name: chosen(trials[name])["cl"] or 0 for name in protocol.variants}
        best = max(cl, key=cl.get)
        best_units = max((name for name in cl if protocol.variants[name].method == "ncft"), key=cl.get)
        roles = {BEST: best, BEST_UNITS: best_units}
        # Random units with the options of the chosen variant have trials of their own.
        control, arm = with_same_options(protocol.variants[best_units])
        roles[SAME_OPTIONS] = control
        if arm:
            protocol.arms[control] = arm
            trials.update(self.trials([control]))
            texts[control] = chosen(trials[control])["text"]
        # From the stages of ncft.
        told, rate = protocol.arms["w-ncft"].told, settings_of(texts["ncft"])["lr"]
        for name, temperature in ((WEIGHTS_ALONE, settings_of(texts["w-ncft"])["temperature"]), (AVERAGE, AVERAGE_TEMPERATURE)):
            weighted = Arm("w-ncft", [{}], {"lr": rate, "temperature": temperature}, "ncft", told=told)
            roles[name] = self.add_arm(name, weighted, texts)
            texts[roles[name]] = weighted.text({})
        names = list(protocol.all())
        these = [best, best_units, *(roles[name] for name in (SAME_OPTIONS, WEIGHTS_ALONE, AVERAGE))]
        main_arms, beside = (list(dict.fromkeys([*these, *others])) for others in (protocol.main, protocol.long))
        claims = list({tuple(roles.get(side, side) for side in pair): words for *pair, words in reversed(CLAIMS)}.items())[::-1]
        claims = [(pair, words) for pair, words in claims if pair[0] != pair[1]]
        asked = [pair for pair, _ in claims]
        short = self.streamed("short", {**dict.fromkeys(names, 1), **dict.fromkeys(main_arms, protocol.seeds["short"])}, texts)
        long = self.streamed("long", dict.fromkeys(beside, protocol.seeds["long"]), texts)
        tested = {length: self.commonest(dict.fromkeys(task for name in protocol.orders[length] for task in self.streams[name]),
                                         protocol.test[length]) for length in protocol.orders}
        return self.finished(minutes, {
            "protocol": protocol.numbers(), "commonest": tested,
            "streams": self.streams, "arms": list(protocol.arms), "variants": list(protocol.variants), "best": best,
            "best_units": best_units, "control": control, "main": main_arms, "beside": beside, "roles": roles, "trials": trials, "texts": texts,
            "edges": {name: protocol.all()[name].at_edge(texts[name]) for name in trials},
            "told": {name: protocol.all()[name].told for name in names},
            "claims": [[*pair, words] for pair, words in claims],
            "paper": {name: arm.paper for name, arm in protocol.arms.items() if arm.paper},
            "short": self.compared("short", short, texts, names),
            "short_main": self.compared("short-main", short, texts, main_arms),
            "short_claims": self.compared("short-claims", short, texts, main_arms, asked),
            "long": self.compared("long", long, texts, beside)})


def chosen(trials):
    """The trial with the highest validation CL; of equal ones the first."""
    return max(trials, key=lambda trial: -1 if trial["cl"] is None else trial["cl"])


def commonest_share(path, rows):
    """Of the first rows, those that have the commonest label."""
    with open(path) as file:
        labels = collections.Counter(json.loads(line)["output"] for _, line in zip(range(rows), file))
    return max(labels.values()) / sum(labels.values())


def order_tasks(path):
    with open(path) as file:
        return json.load(file)["tasks"]


def file_name(name):
    return name.replace(", ", "+").replace(" ", "-")


if __name__ == "__main__":
    main(__doc__, Question3, question3_page.write)
