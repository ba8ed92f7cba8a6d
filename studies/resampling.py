"""Paired bootstrap and permutation test of the method (base/resampling in the library has the same in C++)."""
import random

RESAMPLES = 10000


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """Sample standard deviation."""
    center = mean(values)
    return (sum((v - center) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0


def paired_bootstrap(strata, seed=0):
    """(difference, low, high, p) of the mean over tasks of the mean paired difference, 95% percentile
    interval, two-sided p; strata: one list of differences per task."""
    generator = random.Random(seed)
    means = []
    for _ in range(RESAMPLES):
        means.append(mean([sum(generator.choices(values, k=len(values))) / len(values) for values in strata]))
    means.sort()
    below, above = sum(m <= 0 for m in means), sum(m >= 0 for m in means)
    p = min(1.0, 2 * (1 + min(below, above)) / (RESAMPLES + 1))
    return (mean([mean(values) for values in strata]), means[round(0.025 * (RESAMPLES - 1))],
            means[round(0.975 * (RESAMPLES - 1))], p)


def diagonal_test(matrix, seed=0):
    """(statistic, p): mean diagonal minus mean off-diagonal of standardised columns, rows permuted."""
    n = len(matrix)
    columns = []
    for j in range(n):
        column = [row[j] for row in matrix]
        center, spread = mean(column), deviation(column)
        columns.append([(v - center) / spread if spread > 0 else 0.0 for v in column])
    total = sum(map(sum, columns))

    def dominance(order):
        diagonal = sum(columns[j][order[j]] for j in range(n))
        return diagonal / n - (total - diagonal) / (n * (n - 1))

    generator, order = random.Random(seed), list(range(n))
    observed = dominance(order)
    reached = 0
    for _ in range(RESAMPLES):
        generator.shuffle(order)
        reached += dominance(order) >= observed - 1e-9
    return observed, (reached + 1) / (RESAMPLES + 1)
