"""Which tasks a study has, and what their rows cost on this machine."""
import functools
import json
import os
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
