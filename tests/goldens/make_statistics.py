#!/usr/bin/env python3
"""Recomputes the numbers of base/inference with SciPy: make_statistics.py [--check] FILE

Writes a fixture of inputs and what SciPy makes of them; with --check compares an existing one instead
(relative 1e-9). The formulas here are the textbooks', written without a look at the C++ code. Needs
NumPy and SciPy; without them --check exits 77, which ctest counts as skipped.
"""
import argparse
import json
import math
import sys

try:
    import numpy as np
    from scipy import optimize, stats
except ImportError:
    print("skipped: this Python has no SciPy, so the fixture is not recomputed")
    sys.exit(77)


def distributions():
    t = [{"t": x, "df": df, "cdf": stats.t.cdf(x, df), "two_sided": 2 * stats.t.sf(abs(x), df)}
         for x in (-40.0, -2.1, -0.3, 0.0, 0.7, 1.96, 6.0, 25.0) for df in (0.8, 1.0, 2.5, 4.0, 18.0, 149.3, 5000.0)]
    quantile = [{"p": p, "df": df, "t": stats.t.ppf(p, df)}
                for p in (1e-8, 0.025, 0.2, 0.8, 0.975, 0.9995) for df in (1.0, 2.5, 4.0, 18.0, 149.3, 5000.0)]

    def power(effect, df):
        critical = stats.t.ppf(0.975, df)
        return stats.nct.sf(critical, df, effect) + stats.nct.cdf(-critical, df, effect)

    powers = [{"effect": e, "df": df, "power": power(e, df)} for e in (0.5, 2.0, 3.0) for df in (2.0, 4.0, 18.0, 149.0)]
    detectable = [{"df": df, "effect": optimize.brentq(lambda e: power(e, df) - 0.8, 2, 4 if df > 5 else 7)} for df in (2.0, 4.0, 18.0, 149.0)]
    return {"t": t, "quantile": quantile, "power": powers, "detectable": detectable}


def two_way(scores):
    """Variance of own − mean of random sets, and its degrees of freedom, by a two-way analysis of variance."""
    own, random = np.array(scores["own"]), np.array(scores["random"])
    d = own[None, :] - random
    m, n = d.shape
    set_square = n * d.mean(axis=1).var(ddof=1)
    example_square = m * d.mean(axis=0).var(ddof=1)
    residual = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0, keepdims=True) + d.mean()
    both_square = (residual ** 2).sum() / ((m - 1) * (n - 1))
    size = max(set_square + example_square - both_square, set_square, example_square)
    parts = set_square ** 2 / (m - 1) + example_square ** 2 / (n - 1) + both_square ** 2 / ((m - 1) * (n - 1))
    return size / (m * n), max(size ** 2 / parts, min(m, n) - 1)


def own_against_random(tasks):
    differences, tests, intervals = [], [], []
    for scores in tasks:
        means = np.array(scores["random"]).mean(axis=1)
        differences.append(np.mean(scores["own"]) - means.mean())
        tests.append((means.var(ddof=1) * (1 + 1 / len(means)), len(means) - 1))
        intervals.append(two_way(scores))

    def mean_of(parts):
        value = sum(v for v, _ in parts)
        return value / len(parts) ** 2, value ** 2 / sum(v ** 2 / df for v, df in parts)

    difference = float(np.mean(differences))
    variance, df = mean_of(tests)
    t = difference / math.sqrt(variance)
    spread, interval_df = mean_of(intervals)
    low, high = stats.t.interval(0.95, interval_df, difference, math.sqrt(spread))
    result = {"difference": difference, "t": t, "df": df, "p": 2 * stats.t.sf(abs(t), df), "low": low, "high": high}
    if len(tasks) == 1:
        means = np.append(np.mean(tasks[0]["own"]), np.array(tasks[0]["random"]).mean(axis=1))
        distance = np.abs(means - means.mean())
        result["p_randomisation"] = float(np.mean(distance >= distance[0] - 1e-12))
    return result


def contrasts():
    random = np.random.default_rng(5)
    cases = []
    for tasks, m, n in ((1, 19, 30), (1, 5, 12), (1, 3, 2), (3, 19, 25)):
        scores = []
        for task in range(tasks):
            easy = random.normal(size=n)
            rows = 1 + 0.2 * random.normal(size=(m + 1, 1)) + easy + 0.5 * random.normal(size=(m + 1, n))
            rows[0] -= 0.3 * (task + 1)
            rows = rows.round(3)
            scores.append({"own": rows[0].tolist(), "random": rows[1:].tolist()})
        cases.append({"tasks": scores, "expected": own_against_random(scores)})
    return cases


def paired():
    random = np.random.default_rng(6)
    cases = []
    for n in (2, 30, 200):
        values = (0.2 + random.exponential(size=n) - 0.8).round(3)
        test = stats.ttest_1samp(values, 0)
        interval = test.confidence_interval(0.95)
        cases.append({"differences": values.tolist(),
                      "expected": {"t": test.statistic, "p": test.pvalue, "low": interval.low, "high": interval.high}})
    return cases


def families():
    p = [[0.01], [0.04, 0.001, 0.03, 0.9], [0.02, 0.02, 0.5, 0.011, 1.0, 0.3]]
    return [{"p": family, "adjusted": stats.false_discovery_control(family).tolist()} for family in p]


def same(a, b, where=""):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], f"{where}/{key}") for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y, f"{where}/{i}") for i, (x, y) in enumerate(zip(a, b)))
    if abs(a - b) <= 1e-9 * max(abs(a), abs(b)):
        return True
    print(f"{where}: SciPy says {a}, the fixture {b}")
    return False


def write_or_check(make):
    """What the command line asks for: the fixture written, or compared."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare an existing fixture instead of writing one")
    parser.add_argument("file")
    options = parser.parse_args()
    check, path = options.check, options.file
    made = json.loads(json.dumps(make(), default=float))
    if not check:
        with open(path, "w") as file:
            json.dump(made, file, indent=1)
            file.write("\n")
        return 0
    with open(path) as file:
        agrees = same(made, json.load(file))
    print("SciPy agrees with the fixture" if agrees else "SciPy and the fixture differ")
    return 0 if agrees else 1


def make_all():
    return {"distributions": distributions(), "own_against_random": contrasts(), "paired": paired(),
            "families": families()}


if __name__ == "__main__":
    sys.exit(write_or_check(make_all))
