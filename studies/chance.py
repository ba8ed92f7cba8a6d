"""Tests of one task's rows: is what it scores beyond chance?"""
import math


def at_least_as_many(right, trials, share):
    """Probability of so many successes or more in so many trials."""
    return math.fsum(math.comb(trials, k) * share ** k * (1 - share) ** (trials - k) for k in range(right, trials + 1))


def larger_on_average(differences):
    """One-sided p of a mean difference above zero, by the normal distribution: of as many rows as are tested here."""
    n = len(differences)
    center = sum(differences) / n
    spread = (sum((one - center) ** 2 for one in differences) / (n - 1)) ** 0.5 if n > 1 else 0.0
    if spread == 0:
        return 1.0 if center <= 0 else 0.0
    return math.erfc(center / spread * n ** 0.5 / 2 ** 0.5) / 2
