"""What question 1 chose beforehand: numbers, arms, controls, and which tasks there are."""

TOP = "10%"
COUNTS_P = 0.01  # below which a task counts
SITES = {"act": ["act"], "paper": ["act", "out"]}
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
    """Every number of the study that someone chose, for a small model in which everything is measured."""

    name = "small"

    def __init__(self):
        self.arms, self.controls = list(ARMS), list(CONTROLS)
        self.tops = ["1%", "3%", "10%", "30%"]  # doses
        # What the paper leaves open: aggregate, scope, site.
        self.open = [(aggregate, scope, site) for aggregate in ("example", "token", "dataset") for scope in ("global", "layer")
                     for site in SITES]
        self.sets = 19           # matched random sets that are switched off
        self.control_sets = 5    # in every other condition
        self.trained_sets = {"matched": 5, "uniform": 5, "outside": 5}  # random sets that are trained, by kind
        self.seeds = 2           # trainings of each own and matched set
        self.test = {"classification": 500, "generation": 200}   # test rows
        self.train = {"classification": 1000, "generation": 300}  # rows of neuron-only training
        self.epochs = {"classification": 3, "generation": 2}
        self.original_epochs = 3
        self.detect = 300        # training rows that relevance is taken from
        # Of learning rates: training rows (None: as many rows and epochs as what is tuned will have), validation rows, and the arms
        # that have their own.
        self.tuning = {"rows": 300, "validation": 80, "like_training": False, "arms": ["own", "random"]}
        self.matrix = 100        # test rows of the matrix of trainings
        self.doses = 60
        self.table = 30
        self.text_tokens = 20000
        self.checkpoints = []    # how often a training of all parameters is kept: as the program does
        self.rates = {"full": [3e-4, 1e-3, 3e-3], "units": [1e-3, 3e-3, 1e-2]}


class Quick(Protocol):
    """A few rows of everything, to see that it runs."""

    def __init__(self):
        super().__init__()
        self.sets, self.control_sets = 2, 2
        self.trained_sets = dict.fromkeys(self.trained_sets, 2)
        self.test = {"classification": 6, "generation": 4}
        self.train = {"classification": 16, "generation": 16}
        self.epochs = {"classification": 1, "generation": 1}
        self.original_epochs, self.detect, self.matrix, self.doses, self.table = 1, 8, 4, 4, 4
        self.tuning = {**self.tuning, "rows": 8, "validation": 4}
        self.text_tokens = 400


class Pretrained(Protocol):
    """For a pretrained model, a thousand times as dear: rates are chosen by trainings as long as those that are compared, on one grid
    for all arms, more random sets are trained once each, and of what the paper leaves open the main answer stays."""

    name = "pretrained"

    def __init__(self):
        super().__init__()
        self.arms, self.controls, self.open = ["own", "matched", "uniform"], ["uniform"], []
        self.tops = ["1%", "3%", "30%"]  # 10% is the main condition
        self.trained_sets = {"matched": 10, "uniform": 5}
        self.seeds = 1
        self.test = {"classification": 250, "generation": 200}
        self.train = {"classification": 600, "generation": 200}
        self.epochs = {"classification": 2, "generation": 2}
        self.original_epochs = 1
        self.tuning = {"rows": 200, "validation": 200, "like_training": True, "arms": ["own", "random", "uniform"]}
        self.matrix = self.doses = 200
        self.text_tokens = 8000
        self.checkpoints = ["--checkpoint-seconds", 600]  # of gigabytes
        self.rates = {"full": [1e-5, 3e-5, 1e-4], "units": [3e-4, 1e-3, 3e-3]}


class QuickPretrained(Pretrained):
    """A few rows of that."""

    def __init__(self):
        super().__init__()
        small = Quick()
        for name in ("sets", "control_sets", "test", "train", "epochs", "detect", "text_tokens"):
            setattr(self, name, getattr(small, name))
        self.trained_sets = dict.fromkeys(self.trained_sets, 2)
        self.tuning = {**self.tuning, "rows": 8, "validation": 4}
        self.matrix = self.doses = 4


PROTOCOLS = {("small", False): Protocol, ("small", True): Quick, ("pretrained", False): Pretrained, ("pretrained", True): QuickPretrained}
