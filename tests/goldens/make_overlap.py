#!/usr/bin/env python3
"""Overlap of sets by chance and trees, recomputed with SciPy: make_overlap.py [--check] FILE

Writes a fixture of sets' sizes per layer and of what SciPy's hypergeometric distribution makes of them, and of
distances with the trees of its average linkage; with
--check compares an existing one instead (relative 1e-9). Made with SciPy 1.17.1; without it --check exits 77, which
ctest counts as skipped.
"""
import itertools
import sys

import make_statistics  # exits 77 without SciPy
import numpy as np
from scipy import stats
from scipy.cluster import hierarchy


def common(width, a, b):
    return stats.hypergeom.pmf(np.arange(min(a, b) + 1), width, a, b)


def pair(layers, observed):
    """layers: (width, units of the first set, of the second)."""
    chances = np.array([1.0])
    for width, a, b in layers:
        chances = np.convolve(chances, common(width, a, b))
    units = sum(a + b for _, a, b in layers)
    i = np.arange(len(chances))
    return {"layers": layers, "common": observed, "expected_common": float((chances * i).sum()),
            "expected_jaccard": float((chances * i / np.maximum(units - i, 1)).sum()), "p": float(chances[observed:].sum())}


def joint(layers, observed):
    """layers: (width, sizes of the sets)."""
    chances, expected_any = np.array([1.0]), 0.0
    for width, sizes in layers:
        of_layer = np.eye(sizes[0] + 1)[sizes[0]]
        for size in sizes[1:]:
            following = np.zeros(size + 1)
            for k, chance in enumerate(of_layer):
                kept = common(width, k, size)
                following[:len(kept)] += chance * kept
            of_layer = following
        chances = np.convolve(chances, of_layer)
        expected_any += width - width * np.prod([1 - size / width for size in sizes])
    return {"layers": layers, "common": observed, "expected_common": float((chances * np.arange(len(chances))).sum()),
            "expected_in_any": float(expected_any), "p": float(chances[observed:].sum())}


def union_sizes(width, sizes):
    chances = {0: 1.0}
    for size in sizes:
        following = {}
        for units, chance in chances.items():
            for shared, share in enumerate(common(width, units, size)):
                key = units + size - shared
                following[key] = following.get(key, 0.0) + chance * share
        chances = following
    return chances


def independent(layers, observed):
    """layers: (width, sizes of the first union's sets, of the second's); every outcome is gone through."""
    outcomes = {(0, 0): 1.0}  # units in both, units in any
    for width, first, second in layers:
        of_layer = {}
        for (a, p), (b, q) in itertools.product(union_sizes(width, first).items(), union_sizes(width, second).items()):
            for shared, share in enumerate(common(width, a, b)):
                key = (shared, a + b - shared)
                of_layer[key] = of_layer.get(key, 0.0) + p * q * share
        outcomes_before, outcomes = outcomes, {}
        for (x, p), (y, q) in itertools.product(outcomes_before.items(), of_layer.items()):
            key = (x[0] + y[0], x[1] + y[1])
            outcomes[key] = outcomes.get(key, 0.0) + p * q
    return {"layers": layers, "jaccard": observed,
            "expected_common": sum(p * x for (x, _), p in outcomes.items()),
            "expected_jaccard": sum(p * x / y for (x, y), p in outcomes.items()),
            "p": sum(p for (x, y), p in outcomes.items() if x / y >= observed - 1e-12)}


def small(cases, seed):
    """Pairs of sets that are small enough to differ in every way: empty, full, nothing or all in common."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(cases):
        layers = []
        for _ in range(random.integers(1, 5)):
            width = int(random.integers(1, 31))
            layers.append((width, int(random.integers(0, width + 1)), int(random.integers(0, width + 1))))
        least = sum(max(0, a + b - width) for width, a, b in layers)
        most = sum(min(a, b) for _, a, b in layers)
        rows.append(pair(layers, int(random.integers(least, most + 1))))
    return rows


def trees(cases, seed):
    """Average linkage of random distances, which have no ties."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(cases):
        items = int(random.integers(2, 16))
        distances = random.uniform(0.1, 1.1, items * (items - 1) // 2).round(6)
        merges = [[*sorted((int(a), int(b))), height, int(size)]
                  for a, b, height, size in hierarchy.linkage(distances, "average")]
        rows.append({"items": items, "distances": distances.tolist(), "merges": merges})
    return rows


def make():
    return {
        "trees": trees(40, 15),
        "small": small(1000, 14),
        "pairs": [pair([(12, 4, 5), (12, 2, 3)], 3), pair([(768, 77, 77), (768, 300, 40), (768, 0, 5)], 60),
                  pair([(768, 77, 77)] * 8, 61), pair([(100, 90, 80)], 70), pair([(768, 77, 77)], 77),
                  pair([(11008, 1101, 900)] * 3, 330),
                  *(pair([(15625, 1560, 1600)] * 32, common) for common in [4900, 5112, 5300, 5600, 6600]),
                  *(pair([(15625, 10937, 9000), (15625, 40, 15600)], common) for common in [6350, 6600, 7000])],
        "joint": [joint([(12, [4, 5, 6]), (12, [2, 3, 9])], 3), joint([(768, [77, 77, 200, 90])] * 2, 5)],
        "independent": [independent([(12, [3, 4, 0], [2, 5]), (10, [2, 2, 1], [4, 0])], 8 / 15),
                        independent([(20, [6, 6], [5, 5])], 0.5)],
    }


if __name__ == "__main__":
    sys.exit(make_statistics.write_or_check(make))
