"""What question 1 chose beforehand: numbers, arms, controls, and which tasks there are."""
import math

TOP = "10%"
COUNTS_P = 0.01  # below which a task counts
DOSES = ("1%", "3%", "10%", "30%")
SITES = {"act": ["act"], "paper": ["act", "out"]}
# What the paper leaves open: aggregate, scope, site.
TABLE = [(aggregate, scope, site) for aggregate in ("example", "token", "dataset") for scope in ("global", "layer")
         for site in SITES]
# How units are trained: which are chosen, and what stands beside them. Arms with a counterpart "own".
ARMS = {
    "own": {"scope": "global"},
    "matched": {"scope": "global", "kind": "matched", "own": "own"},
    "uniform": {"scope": "global", "kind": "uniform", "own": "own"},
    "outside": {"scope": "global", "kind": "outside", "own": "own"},
    "own-layer": {"scope": "layer"},
    "matched-layer": {"scope": "layer", "kind": "matched", "own": "own-layer"},
}
# Conditions of `ablate` beside the main one.
CONTROLS = {
    "uniform": ["--random-kind", "uniform"],
    "outside": ["--random-kind", "outside"],
    "layer": ["--scope", "layer"],
    "mean": ["--mode", "mean"],
    "mean-text": ["--mode", "mean-text"],
    "resample": ["--mode", "resample"],
}


class Protocol:
    """Every number of the study that someone chose."""

    def __init__(self, quick):
        self.sets = 19           # matched random sets that are switched off
        self.control_sets = 5    # in every other condition
        self.trained_sets = 5    # random sets that are trained, of each kind
        self.seeds = 2           # trainings of each set
        self.test = {"classification": 500, "generation": 200}   # test rows
        self.train = {"classification": 1000, "generation": 300}  # rows of neuron-only training
        self.epochs = {"classification": 3, "generation": 2}
        self.original_epochs = 3
        self.detect = 300        # training rows that relevance is taken from
        self.tuning = {"rows": 300, "validation": 80}
        self.matrix = 100        # test rows of the matrix of trainings
        self.doses = 60
        self.table = 30
        self.text_tokens = 20000
        self.rates = {"full": [3e-4, 1e-3, 3e-3], "units": [1e-3, 3e-3, 1e-2]}
        if quick:
            self.sets, self.control_sets, self.trained_sets = 2, 2, 2
            self.test = {"classification": 6, "generation": 4}
            self.train = {"classification": 16, "generation": 16}
            self.epochs = {"classification": 1, "generation": 1}
            self.original_epochs, self.detect, self.matrix, self.doses, self.table = 1, 8, 4, 4, 4
            self.tuning = {"rows": 8, "validation": 4}
            self.text_tokens = 400


def at_least_as_many(right, trials, share):
    """Probability of so many successes or more in so many trials."""
    return sum(math.comb(trials, k) * share ** k * (1 - share) ** (trials - k) for k in range(right, trials + 1))
