#!/usr/bin/env python3
"""Every p and interval of `ablate`, recomputed from what --predictions writes: recompute.py PROGRAM [JSON FOLDER]

Without JSON and FOLDER a small run is made first. Needs NumPy and SciPy (exit 77 without). What has no chance in
it must agree to nine digits, what is drawn within four standard errors.
"""
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/goldens"))
import make_statistics  # noqa: E402  (exits 77 without SciPy)
import numpy as np  # noqa: E402
from scipy import stats  # noqa: E402

FAILURES = []
COMPARED = {"exactly": 0, "within Monte Carlo error": 0}


def agree(what, found, expected, error=0.0):
    if found is None or expected is None:
        fits = found is expected
    else:
        fits = abs(found - expected) <= (4 * error if error else 1e-9 * max(1, abs(expected)))
    COMPARED["within Monte Carlo error" if error else "exactly"] += 1
    if not fits:
        FAILURES.append(f"{what}: ablate says {found}, this script {expected}")


def measures(row):
    values = {"value": float(row["correct"]) if "correct" in row else row["score"], "loss": row["loss"]}
    if "scores" in row:
        scores = np.array(row["scores"])
        values["label_loss"] = float(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[row["label"]])
    return values


class Rows:
    """Scores by what is off and measure, in the order of examples."""

    def __init__(self, path):
        self.found = {}
        for line in open(path):
            row = json.loads(line)
            key = tuple(row.get(name) for name in ("top", "scope", "mode", "off", "random", "draw"))
            for measure, value in measures(row).items():
                self.found.setdefault(key, {}).setdefault(measure, []).append((row["index"], value))

    def of(self, measure, *key):
        rows = sorted(self.found[key][measure])
        return [value for _, value in rows]

    def scores(self, measure, condition, task, kind):
        draws = sorted(key[5] for key in self.found if key[:3] == condition and key[4] == kind)
        return {"own": self.of(measure, *condition, task, None, None),
                "random": [self.of(measure, *condition, task, kind, draw) for draw in draws]}

    def difference(self, measure, condition, task):
        return np.array(self.of(measure, *condition, task, None, None)) - np.array(
            self.of(measure, None, None, None, None, None, None))


def exchange(tasks, draws=100000):
    """(p, its standard error) of which set is the own one, exchanged within tasks; the error is 0 for all orders."""
    deviations = []
    for scores in tasks:
        means = np.array([np.mean(scores["own"])] + [np.mean(row) for row in scores["random"]])
        deviations.append((means - means.mean()) * len(means) / (len(means) - 1))
    observed = abs(sum(d[0] for d in deviations)) - 1e-10
    orders = math.prod(map(len, deviations))
    if orders <= 10000:
        return float(np.mean([abs(sum(choice)) >= observed for choice in itertools.product(*deviations)])), 0.0
    random = np.random.default_rng(0)
    sums = sum(d[random.integers(len(d), size=draws)] for d in deviations)
    p = (1 + np.sum(np.abs(sums) >= observed)) / (draws + 1)
    return p, math.sqrt(max(p * (1 - p), 1e-4) * (1 / 10000 + 1 / draws))


def adjusted(what, contrasts):
    tested = [contrast for contrast in contrasts if contrast["p"] is not None]
    if tested:
        for contrast, p in zip(tested, stats.false_discovery_control([c["p"] for c in tested])):
            agree(f"{what}: p_adjusted", contrast["p_adjusted"], p)


def check_random(what, contrast, tasks):
    expected = make_statistics.own_against_random(tasks)
    agree(f"{what}: difference", contrast["difference"], expected["difference"])
    for name, key in (("p_t", "p"), ("t", "t"), ("df", "df"), ("low", "low"), ("high", "high")):
        agree(f"{what}: {name}", contrast[name], expected[key])
    p, error = exchange(tasks)
    agree(f"{what}: p_randomisation", contrast["p_randomisation"], p, error)


def check_paired(what, contrast, tasks):
    variances = [(d.var(ddof=1) / len(d), len(d) - 1) for d in tasks]
    total = sum(v for v, _ in variances)
    agree(f"{what}: difference", contrast["difference"], float(np.mean([d.mean() for d in tasks])))
    if total == 0:
        return agree(f"{what}: p", contrast["p"], None)
    df = total ** 2 / sum(v ** 2 / f for v, f in variances if v > 0)
    error = math.sqrt(total) / len(tasks)
    agree(f"{what}: p", contrast["p"], 2 * stats.t.sf(abs(contrast["difference"]) / error, df))
    agree(f"{what}: high", contrast["high"], contrast["difference"] + stats.t.ppf(0.975, df) * error)


def check_condition(result, rows, entries, condition):
    where = " ".join(condition)
    for measure in ("value", "loss", "label_loss"):
        ranked = [e for e in entries if measure in e["own_minus_original"]]
        for entry in ranked:
            what = f"{where} {entry['task']} {measure}"
            for kind, contrasts in entry["own_minus_random"].items():
                check_random(f"{what} {kind}", contrasts[measure],
                             [rows[entry["task"]].scores(measure, condition, entry["task"], kind)])
            check_paired(what, entry["own_minus_original"][measure],
                         [rows[entry["task"]].difference(measure, condition, entry["task"])])
        for kind in entries[0]["own_minus_random"]:
            adjusted(f"{where} {measure} {kind}", [e["own_minus_random"][kind][measure] for e in ranked])
        adjusted(f"{where} {measure} original", [e["own_minus_original"][measure] for e in ranked])
    check_averages(result, rows, entries, condition)


def check_averages(result, rows, entries, condition):
    where = " ".join(condition)
    averages = [a for a in result["averages"] if (a["top"], a["scope"], a["mode"]) == condition]
    for measure in ("value", "loss", "label_loss"):
        ranked = [a for a in averages if measure in a["own_minus_original"]]
        adjusted(f"{where} means, {measure}", [c[measure] for a in ranked for c in a["own_minus_random"].values()])
        adjusted(f"{where} means, {measure}, original", [a["own_minus_original"][measure] for a in ranked])
    for average in averages:
        members = [e["task"] for e in entries if e["metric"] == average["metric"]]
        for kind, contrasts in average["own_minus_random"].items():
            for measure, contrast in contrasts.items():
                check_random(f"{where} mean of {members} {measure} {kind}", contrast,
                             [rows[task].scores(measure, condition, task, kind) for task in members])
        for measure, contrast in average["own_minus_original"].items():
            check_paired(f"{where} mean of {members} {measure}", contrast,
                         [rows[task].difference(measure, condition, task) for task in members])


def check_matrix(found, types):
    """Row permutations within task type, over all orders."""
    for key, sign in (("value", -1), ("loss", 1)):
        matrix = sign * np.array(found[f"{key}_change"])
        spread = matrix.std(axis=0, ddof=1)
        matrix = np.where(spread > 1e-12, (matrix - matrix.mean(axis=0)) / np.where(spread > 1e-12, spread, 1), 0)
        groups = [[i for i, t in enumerate(types) if t == kind] for kind in sorted(set(types))]
        diagonals = []
        for orders in itertools.product(*(itertools.permutations(group) for group in groups)):
            order = np.empty(len(types), int)
            for group, rows in zip(groups, orders):
                order[group] = rows
            diagonals.append(matrix[order, np.arange(len(types))].sum())
        test = found[f"{key}_test"]
        p = float(np.mean(np.array(diagonals) >= np.trace(matrix) - 1e-9)) if len(diagonals) > 2 else None
        agree(f"cross matrix, {key}", test["p"], p)


def check(result, folder):
    tasks = {entry["task"] for entry in result["results"]}
    rows = {task: Rows(pathlib.Path(folder) / f"{task}.jsonl") for task in tasks}
    conditions = sorted({(e["top"], e["scope"], e["mode"]) for e in result["results"]})
    for condition in conditions:
        entries = [e for e in result["results"] if (e["top"], e["scope"], e["mode"]) == condition]
        check_condition(result, rows, entries, condition)
    types = {entry["task"]: entry["type"] for entry in result["results"]}
    for matrix in result["cross_matrices"]:
        if len(matrix["tasks"]) <= 6:
            check_matrix(matrix, [types[task] for task in matrix["tasks"]])


def small_run(program, folder):
    tasks = [str(ROOT / "examples/tasks" / name) for name in ("babi", "scitail", "gptnli", "amazonfood", "commongen")]
    model = str(ROOT / "examples/models/mini")
    subprocess.run([program, "detect", model, "--task", *tasks, "--limit", "4", "--quiet", "--out", f"{folder}/scores"],
                   check=True, stdout=subprocess.DEVNULL)
    scores = [f"{folder}/scores/{pathlib.Path(task).name}.safetensors" for task in tasks]
    run = subprocess.run([program, "ablate", model, "--task", *tasks, "--scores", *scores, "--limit", "6", "--top", "5%",
                          "--random-seeds", "19", "--random-kind", "matched", "uniform", "--json", "--quiet", "--predictions", f"{folder}/rows"],
                         check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout), f"{folder}/rows"


def main():
    if len(sys.argv) == 4:
        with open(sys.argv[2]) as file:
            check(json.load(file), sys.argv[3])
    else:
        with tempfile.TemporaryDirectory(prefix="taskneuron_recompute_") as folder:
            check(*small_run(sys.argv[1], folder))
    for failure in FAILURES:
        print("FAILED " + failure)
    print(", ".join(f"{count} compared {how}" for how, count in COMPARED.items()) + f", {len(FAILURES)} differ")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
