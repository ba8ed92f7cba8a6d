"""Inference of the method (docs/method.md) for what a study trains; base/inference in the library has the same in
C++ for what `ablate` switches off. No packages needed.
"""
import itertools
import math
import random

DRAWS = 10000
ROUNDING = 1e-9


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """Sample standard deviation."""
    center = mean(values)
    return (sum((v - center) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0


# ---- Student's t ----

def _beta_fraction(a, b, x):
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or 1e-300)
    result = d
    for m in range(1, 100000):
        for numerator in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                          -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1 / (1 + numerator * d or 1e-300)
            c = 1 + numerator / c or 1e-300
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def t_two_sided(t, df):
    """Probability of a value at least as far from 0 as t."""
    x, y = df / (df + t * t), t * t / (df + t * t)
    if x <= 0 or y <= 0:
        return float(y <= 0)
    a, b = df / 2, 0.5
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, y) / b


def t_quantile(df, tails=0.05):
    low, high = 0.0, 1.0
    while t_two_sided(high, df) > tails:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided(middle, df) > tails else (low, middle)
    return high


# ---- own against random ----

def _sum_variance(parts):
    total = sum(v for v, _ in parts)
    return total, (total ** 2 / sum(v ** 2 / df for v, df in parts if v > 0) if total > 0 else 0)


def _crossed_variance(own, sets):
    """Variance of own − mean of random sets with examples and sets both drawn, and its degrees of freedom."""
    m, n = len(sets), len(own)
    d = [[o - r for o, r in zip(own, row)] for row in sets]
    by_set = [mean(row) for row in d]
    by_example = [mean(column) for column in zip(*d)]
    center = mean(by_set)
    set_square = n * sum((v - center) ** 2 for v in by_set) / (m - 1)
    example_square = m * sum((v - center) ** 2 for v in by_example) / (n - 1)
    both_square = sum((d[k][e] - by_set[k] - by_example[e] + center) ** 2
                      for k in range(m) for e in range(n)) / ((m - 1) * (n - 1))
    size = max(set_square + example_square - both_square, set_square, example_square)
    if size / (m * n) <= (ROUNDING * max(abs(v) for row in d for v in row)) ** 2:
        return 0.0, 0.0
    parts = set_square ** 2 / (m - 1) + example_square ** 2 / (n - 1) + both_square ** 2 / ((m - 1) * (n - 1))
    return size / (m * n), max(size ** 2 / parts, min(m, n) - 1)


def _result(difference, test, spread):
    """{difference, low, high, p}: p and the interval are None where nothing is known of the spread."""
    result = {"difference": difference, "low": None, "high": None, "p": None}
    if test and test[0] > 0:
        result["p"] = t_two_sided(difference / test[0] ** 0.5, test[1])
    if spread and spread[0] > 0:
        reach = t_quantile(spread[1]) * spread[0] ** 0.5
        result["low"], result["high"] = difference - reach, difference + reach
    return result


def _mean_variance(parts):
    value, df = _sum_variance(parts)
    return value / len(parts) ** 2, df


def over_seeds(own, random_sets):
    """A task for own_minus_random from several trainings of every set: own[seed][example],
    random_sets[set][seed][example], as many seeds of each. Scores become means over seeds."""
    average = lambda by_seed: [mean(column) for column in zip(*by_seed)]
    variance_of = lambda by_seed: deviation([mean(row) for row in by_seed]) ** 2 / len(by_seed)
    of_own, pooled = variance_of(own), mean([variance_of(by_seed) for by_seed in [own, *random_sets]])
    seeds, sets = len(own), len(random_sets) + 1
    variance = (of_own, seeds - 1) if of_own > pooled else (pooled, sets * (seeds - 1))
    return average(own), [average(by_seed) for by_seed in random_sets], variance


def own_minus_random(tasks, seed=0):
    """tasks: (scores with the own set, [scores with each random set]) by example, or of over_seeds. Of one task p is that of a t test of
    the own set as one more draw; of several, that of exchanging which set is the own one within each task."""
    differences, tests, spreads, deviations = [], [], [], []
    for own, sets, *own_training in tasks:
        means = [mean(row) for row in sets]
        differences.append(mean(own) - mean(means))
        spread = deviation(means)
        spread = spread if spread > ROUNDING * max(map(abs, means + [mean(own)])) else 0.0
        tests.append((spread ** 2 * (1 + 1 / len(means)), len(means) - 1))
        if len(means) > 1 and len(own) > 1:
            spreads.append(_sum_variance([_crossed_variance(own, sets), *own_training]))
        everything = [mean(own)] + means
        deviations.append([(v - mean(everything)) * len(everything) / len(means) for v in everything])
    difference = mean(differences)
    spread = _mean_variance(spreads) if len(spreads) == len(tasks) else None
    result = _result(difference, _mean_variance(tests) if all(df > 0 for _, df in tests) else None, spread)
    if len(tasks) > 1:
        result["p"] = _exchange(deviations, seed)
    return result


def _exchange(deviations, seed):
    observed = abs(sum(d[0] for d in deviations)) - 1e-10
    orders = math.prod(map(len, deviations))
    if orders <= 2:
        return None
    if orders <= DRAWS:
        return sum(abs(sum(choice)) >= observed for choice in itertools.product(*deviations)) / orders
    generator = random.Random(seed)
    reached = sum(abs(sum(map(generator.choice, deviations))) >= observed for _ in range(DRAWS))
    return (reached + 1) / (DRAWS + 1)


def paired_difference(tasks):
    """tasks: paired differences by example. Mean over tasks of the mean, t test and interval over examples."""
    parts = []
    for differences in tasks:
        spread = deviation(differences)
        spread = spread if spread > ROUNDING * max(map(abs, differences)) else 0.0
        parts.append((spread ** 2 / len(differences), len(differences) - 1))
    variance = _mean_variance(parts) if all(df > 0 for _, df in parts) else None
    return _result(mean([mean(differences) for differences in tasks]), variance, variance)


# ---- cross matrix ----

def diagonal_test(matrix, types, seed=0):
    """(statistic, p, orders): mean diagonal minus mean off-diagonal of standardised columns, rows permuted within task
    type; p is None where it could not be below 1/2."""
    n = len(matrix)
    columns = []
    for j in range(n):
        column = [row[j] for row in matrix]
        center, spread = mean(column), deviation(column)
        flat = spread <= ROUNDING * max(map(abs, column))
        columns.append([0.0 if flat else (v - center) / spread for v in column])
    total = sum(map(sum, columns))

    def dominance(order):
        diagonal = sum(columns[j][order[j]] for j in range(n))
        return diagonal / n - (total - diagonal) / (n * (n - 1))

    groups = [[i for i in range(n) if types[i] == kind] for kind in sorted(set(types))]
    observed = dominance(range(n))
    orders = math.prod(math.factorial(len(group)) for group in groups)
    if orders <= 2:
        return observed, None, orders

    def order_of(choices):
        order = [0] * n
        for group, rows in zip(groups, choices):
            for place, row in zip(group, rows):
                order[place] = row
        return order

    if orders <= DRAWS:
        every = itertools.product(*(itertools.permutations(group) for group in groups))
        return observed, sum(dominance(order_of(c)) >= observed - 1e-9 for c in every) / orders, orders
    generator = random.Random(seed)
    reached = sum(dominance(order_of([generator.sample(group, len(group)) for group in groups])) >= observed - 1e-9
                  for _ in range(DRAWS))
    return observed, (reached + 1) / (DRAWS + 1), DRAWS
