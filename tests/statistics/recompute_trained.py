#!/usr/bin/env python3
"""Every p and interval of `test`, recomputed from prediction files: recompute_trained.py PROGRAM

The files are made here: two tasks that rank labels and one that is scored, five sets trained from two
seeds. Needs NumPy and SciPy (exit 77 without).
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import recompute  # noqa: E402  (exits 77 without SciPy)
from recompute import make_statistics, np, stats  # noqa: E402

SETS, SEEDS, ROWS = 5, 2, 30
TASKS = {"a": 3, "b": 2, "c": 0}  # labels


def write(path, shift, random):
    with open(path, "w") as file:
        for task, labels in TASKS.items():
            for index in range(ROWS):
                row = {"task": task, "index": index, "loss": 2 - shift + random.exponential()}
                if labels:
                    scores = random.normal(size=labels)
                    scores[index % labels] += shift
                    row.update(correct=bool(scores.argmax() == index % labels), scores=scores.tolist(), label=index % labels)
                else:
                    row["score"] = min(1.0, max(0.0, 0.3 + 0.2 * shift + 0.2 * random.normal()))
                file.write(json.dumps(row) + "\n")


class Examples:
    def __init__(self, path):
        self.found = {}
        for line in open(path):
            row = json.loads(line)
            for measure, value in recompute.measures(row).items():
                self.found.setdefault((row["task"], measure), []).append(value)

    def of(self, task, measure):
        return np.array(self.found[task, measure])


def scores_of(own, random, task, measure):
    """Means over seeds, with the variance that the own set's trainings add and its degrees of freedom."""
    by_seed = lambda files: np.array([file.of(task, measure) for file in files])
    groups = [by_seed(own)] + [by_seed(files) for files in random]
    variances = [group.mean(axis=1).var(ddof=1) / SEEDS for group in groups]
    pooled = float(np.mean(variances))
    seed = (variances[0], SEEDS - 1) if variances[0] > pooled else (pooled, len(groups) * (SEEDS - 1))
    return {"own": groups[0].mean(axis=0), "random": [group.mean(axis=0) for group in groups[1:]], "seed": seed}


def check(what, contrast, tasks):
    expected = make_statistics.own_against_random(tasks)
    for name, key in (("difference", "difference"), ("p_t", "p"), ("t", "t"), ("df", "df")):
        recompute.agree(f"{what}: {name}", contrast[name], expected[key])
    parts = []
    for scores in tasks:
        variance, df = make_statistics.two_way(scores)
        seed, seed_df = scores["seed"]
        total = variance + seed
        parts.append((total, total ** 2 / (variance ** 2 / df + seed ** 2 / seed_df)))
    total = sum(v for v, _ in parts)
    df = total ** 2 / sum(v ** 2 / f for v, f in parts)
    margin = stats.t.ppf(0.975, df) * math.sqrt(total) / len(tasks)
    recompute.agree(f"{what}: low", contrast["low"], expected["difference"] - margin)
    recompute.agree(f"{what}: high", contrast["high"], expected["difference"] + margin)
    p, error = recompute.exchange(tasks)
    recompute.agree(f"{what}: p_randomisation", contrast["p_randomisation"], p, error)


def main():
    with tempfile.TemporaryDirectory(prefix="taskneuron_recompute_") as folder:
        random, files = np.random.default_rng(3), {}
        names = ["zero"] + [f"{what}-{seed}" for what in ["own", *range(SETS)] for seed in range(SEEDS)]
        for name in names:
            path = f"{folder}/{name}.jsonl"
            write(path, 0 if name == "zero" else 1.0 if name.startswith("own") else 0.6 + 0.2 * random.normal(), random)
            files[name] = Examples(path)
        listed = lambda what: ",".join(f"{folder}/{what}-{seed}.jsonl" for seed in range(SEEDS))
        command = [sys.argv[1], "test", "--own", listed("own"), "--original", f"{folder}/zero.jsonl", "--json"]
        command += [part for index in range(SETS) for part in ("--random", listed(index))]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    own = [files[f"own-{seed}"] for seed in range(SEEDS)]
    sets = [[files[f"{index}-{seed}"] for seed in range(SEEDS)] for index in range(SETS)]
    for row in result["results"] + result["averages"]:
        members = [row["task"]] if "task" in row else [task for task, labels in TASKS.items()
                                                       if (labels > 0) == (row["metric"] == "accuracy")]
        for measure, contrast in row["own_minus_random"].items():
            check(f"{members} {measure}", contrast, [scores_of(own, sets, task, measure) for task in members])
        for measure, contrast in row["own_minus_original"].items():
            differences = [np.mean([file.of(task, measure) for file in own], axis=0) - files["zero"].of(task, measure)
                           for task in members]
            recompute.check_paired(f"{members} {measure} against the original", contrast, differences)
    for against in ("own_minus_random", "own_minus_original"):
        for measure in ("value", "loss", "label_loss"):
            recompute.adjusted(f"{against} {measure}", [row[against][measure] for row in result["results"]
                                                        if measure in row[against]])
    for failure in recompute.FAILURES:
        print("FAILED " + failure)
    print(", ".join(f"{count} compared {how}" for how, count in recompute.COMPARED.items())
          + f", {len(recompute.FAILURES)} differ")
    return 1 if recompute.FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
