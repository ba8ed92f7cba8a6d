"""Which tasks a study has, and what their rows cost on this machine."""
import functools
import json
import os
import re
import sys
import time


def find_tasks(paths):
    folders = []
    for path in paths:
        here = os.path.exists(os.path.join(path, "meta.json"))
        folders += [path] if here else sorted(
            os.path.join(path, name) for name in os.listdir(path)
            if os.path.exists(os.path.join(path, name, "meta.json")))
    if not folders:
        sys.exit(f"{', '.join(paths)}: no task folders")
    tasks = {}
    for folder in map(os.path.abspath, folders):
        with open(os.path.join(folder, "meta.json")) as file:
            meta = json.load(file)
        if meta["name"] in tasks:
            sys.exit(f"{folder}: a second task called {meta['name']}")
        tasks[meta["name"]] = {"folder": folder, "type": meta["type"]}
    return tasks


def flags(tasks, *names):
    return [part for name in names or tasks for part in ("--task", tasks[name]["folder"])]


def seconds_per_row(stages, model, tasks, rows):
    """Of evaluating and of training FFNs on one thread, by task: {name: (evaluate, train)}, measured once. What a command takes to
    start, which a few rows would multiply, is left out."""
    def measure(name):
        start = time.time()
        stages.run(f"estimate/{name}-evaluate", "evaluate", model, *flags(tasks, name), "--limit", rows, threads=1)
        middle = time.time()
        out = stages.path("estimate", name)
        trained = stages.run(f"estimate/{name}-train.run", "train", model, *flags(tasks, name), "--ffn", "--limit", rows, "--epochs", 1,
                             "--evaluate", "none", "--save", "delta", "--out", out, "--resume",
                             output=os.path.join(out, "run.json"), threads=1)
        starting = max(0.0, time.time() - middle - trained["seconds"])
        return max(0.0, middle - start - starting) / rows, trained["seconds"] / rows

    saved = stages.path("estimate.json")
    if not os.path.exists(saved):
        found = dict(zip(tasks, stages.side_by_side([functools.partial(measure, name) for name in tasks])))
        with open(saved + ".part", "w") as file:
            json.dump(found, file)
        os.rename(saved + ".part", saved)
    with open(saved) as file:
        return json.load(file)


def rouge_l(answer, reference):
    """F1 of the longest common subsequence of words, as rouge_score makes them."""
    a, b = (re.findall("[a-z0-9]+", text.lower()) for text in (answer, reference))
    longest = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for i, other in enumerate(b, 1):
            before, longest[i] = longest[i], before + 1 if word == other else max(longest[i], longest[i - 1])
    return 2 * longest[-1] / (len(a) + len(b)) if longest[-1] else 0.0


def answers_of_others(folder, count):
    """What a generation task's first test rows score when each is answered with the right answer of the row before it: what form and
    length alone are worth."""
    with open(os.path.join(folder, "test.jsonl")) as file:
        rows = [json.loads(line) for _, line in zip(range(count), file)]
    return [max(rouge_l(rows[i - 1]["output"], reference) for reference in rows[i].get("references") or [rows[i]["output"]])
            for i in range(len(rows))]
