#!/usr/bin/env python3
"""Recomputes the numbers of base/correlation with SciPy: make_correlation.py [--check] FILE

Writes a fixture of points and what SciPy makes of them; with --check compares an existing one instead (relative
1e-9). Made with SciPy 1.17.1; without it --check exits 77, which ctest counts as skipped.
"""
import itertools
import math
import sys

import make_statistics  # exits 77 without SciPy
import numpy as np
from scipy import stats

NORMAL = stats.norm.ppf(0.975)


def permutation_p(x, y):
    """Share of all orders of y whose correlation with x is at least as far from 0, and the least it can be."""
    values = np.abs([stats.pearsonr(x, order).statistic for order in itertools.permutations(y)])
    return float(np.mean(values >= abs(stats.pearsonr(x, y).statistic) - 1e-9)), float(np.mean(values >= values.max() - 1e-9))


def bonett_wright(r, n):
    half = NORMAL * math.sqrt((1 + r * r / 2) / (n - 3))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def case(x, y):
    pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
    fisher = pearson.confidence_interval(0.95)
    expected = {"pearson": pearson.statistic, "spearman": spearman.statistic,
                "pearson_interval": [fisher.low, fisher.high],
                "spearman_interval": bonett_wright(spearman.statistic, len(x))}
    if len(x) <= 6:
        expected["pearson_p"], expected["pearson_smallest_p"] = permutation_p(x, y)
        expected["spearman_p"], expected["spearman_smallest_p"] = permutation_p(stats.rankdata(x), stats.rankdata(y))
    return {"x": x.tolist(), "y": y.tolist(), "expected": expected}


def cases():
    random = np.random.default_rng(11)
    made = []
    for n in (4, 5, 6, 6, 12, 40):
        for ties in (False, True):
            x, noise = random.normal(size=n), random.normal(size=n)
            if ties:
                x, noise = x.round(0), noise.round(0)
                x[0] += 1 + x.max() - x.min()
                noise[-1] -= 2
            y = 0.5 * x + noise
            made.append(case(x.round(4), y.round(4)))
    return {"cases": made}


if __name__ == "__main__":
    sys.exit(make_statistics.write_or_check(cases))
