"""What question 3 chose beforehand: orders, methods, what is tried of each, and every number."""
import copy
import itertools


def grid(**values):
    """All combinations, as settings of a method."""
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


# Learning rates that are tried of units, of all parameters and of adapters.
UNITS, ALL, ADAPTERS = ("1e-3", "2e-3", "5e-3", "1e-2"), ("1e-4", "3e-4", "1e-3", "3e-3"), ("1e-3", "3e-3", "1e-2", "3e-2")


class Arm:
    """A method as it stands on the page. trials: the settings that are tried, as many for every arm. family: arms whose
    streams share stages where their settings agree, and so a folder. paper: mean CL of orders 1 to 3, and 4 to 6, of the paper's
    Llama-2-7b. told: what the method is told of a row that it answers; work: training of a stage beside that of its units alone."""

    def __init__(self, method, trials, fixed=None, family=None, paper=None, told="nothing", work=1):
        self.method, self.trials, self.fixed = method, trials, fixed or {}
        self.family, self.paper, self.told, self.work = family or method, paper, told, work

    def at_edge(self, text):
        """Which numbers that were chosen are the lowest or the highest of three or more that were tried; of two each is."""
        tried = {key: sorted({float(trial[key]) for trial in self.trials}) for key in self.trials[0]}
        trial = next(trial for trial in self.trials if self.text(trial) == text)
        return [key for key, values in tried.items() if len(values) > 2 and float(trial[key]) in (values[0], values[-1])]

    def text(self, trial):
        settings = [f"{key}={value}" for key, value in {**self.fixed, **trial}.items()]
        return self.method + (":" + ",".join(settings) if settings else "")


WEIGHTED = {"lr": ("2e-3", "5e-3"), "temperature": ("1", "0.05")}
# Of what weights by the mean over a task's rows, and of what looks at each row by itself.
TOGETHER, EACH = "which rows are of one task", "nothing: each row is routed by itself"

ARMS = {
    "ncft": Arm("ncft", grid(lr=UNITS), paper=(71.3, 70.0)),
    "w-ncft": Arm("w-ncft", grid(**WEIGHTED), family="ncft", paper=(73.3, 72.0), told=TOGETHER),
    "w-ncft, literal": Arm("w-ncft", grid(**WEIGHTED), {"combine": "literal"}, family="ncft", told=TOGETHER),
    "ncft-random": Arm("ncft-random", grid(lr=UNITS)),
    "ncft-disjoint": Arm("ncft-disjoint", grid(lr=UNITS)),
    "seqft": Arm("seqft", grid(lr=ALL), paper=(47.1, 34.6)),
    "seqlora": Arm("seqlora", grid(lr=ADAPTERS), paper=(53.8, 47.7)),
    "inclora": Arm("inclora", grid(lr=ADAPTERS)),
    "o-lora": Arm("o-lora", [{"lr": rate} for rate in ADAPTERS], paper=(76.1, 71.6)),
    "epi": Arm("epi", grid(lr=ADAPTERS), paper=(48.4, 42.6), told=EACH),
    "ewc": Arm("ewc", grid(lr=ALL[1:3], **{"lambda": ("100", "10000")}), work=1.3),
    "lwf": Arm("lwf", grid(lr=ALL[1:3], **{"lambda": ("0.3", "1")}), work=1.4),
    "l2": Arm("l2", grid(lr=ALL[1:3], **{"lambda": ("0.01", "1")})),
    "replay": Arm("replay", grid(lr=ALL[1:3], share=("0.05", "0.2")), work=1.2),
    "per-task": Arm("per-task", grid(lr=ALL), paper=(77.2, 84.5), told="its task (a reference)"),
    "mtl": Arm("mtl", grid(lr=ALL), told="nothing, but trains on all tasks at once (a reference)"),
}
# Beyond the paper.
VARIANTS = {
    "exclusive": Arm("ncft", grid(lr=UNITS), {"exclusive": "0"}, "exclusive"),
    "soft": Arm("ncft", grid(lr=UNITS), {"soft": "yes"}, "soft"),
    "orthogonal": Arm("ncft", grid(lr=UNITS), {"orthogonal": "yes"}, "orthogonal"),
    # Looks at validation rows at every stage, none of which its trials are scored on.
    "k by validation": Arm("ncft", grid(lr=UNITS), {"top": "3%+10%+30%"}, "k", work=4),
    "probe by change": Arm("ncft", grid(lr=UNITS), {"finder": "change"}, "change", work=1.1),
    "probe by Fisher": Arm("ncft", grid(lr=UNITS), {"finder": "fisher"}, "fisher", work=1.2),
    "exclusive, soft, orthogonal": Arm("ncft", grid(lr=UNITS), {"exclusive": "0", "soft": "yes", "orthogonal": "yes"}, "together"),
    "dynamic": Arm("w-ncft", grid(**WEIGHTED), {"dynamic": "yes"}, "dynamic", told=TOGETHER),
    "nearest": Arm("w-ncft", grid(lr=UNITS), {"route": "nearest"}, "ncft", told=EACH),
    "exclusive, nearest": Arm("w-ncft", grid(lr=UNITS), {"exclusive": "0", "route": "nearest"}, "exclusive", told=EACH),
}
# Every seed of these, on all orders; of the other arms one, on the short orders. The best variants join them.
MAIN = ("o-lora", "w-ncft", "ncft", "ncft-random", "ncft-disjoint", "seqft")
# The best variant of all, and the best of those that answer with the last stage's model as the controls do: one that
# weights or routes is no measure of which units are trained.
BEST, BEST_UNITS = "the best variant", "the best variant of ncft"
# w-ncft's temperature on ncft's own stages: the two differ in nothing but how a task is answered.
WEIGHTS_ALONE = "w-ncft at ncft's rate"
# Which ends with the higher CL: claims of the paper, and what has to hold if its account of them is right.
CLAIMS = (
    ("w-ncft", "seqft", "the paper: neuron-level training with weights ends above training everything"),
    ("ncft", "seqft", "the same without weights"),
    ("w-ncft", "ncft", "the paper: weights by similarity help"),
    (WEIGHTS_ALONE, "ncft", "the same at one rate"),
    ("o-lora", "w-ncft", "the paper's table: O-LoRA stays ahead"),
    ("ncft", "ncft-random", "which units are trained matters, not how few"),
    ("ncft", "ncft-disjoint", "the same against random units that overlap as little as can be"),
    (BEST, "o-lora", "the best of our variants beats O-LoRA"),
    (BEST_UNITS, "ncft-random", "the best variant of ncft beats random units"),
    (BEST_UNITS, "ncft-disjoint", "and disjoint ones"),
    (BEST_UNITS, "ncft", "and ncft itself"),
)


class Protocol:
    """Every number of the study that someone chose."""

    def __init__(self, quick):
        self.arms, self.variants, self.main = copy.deepcopy(ARMS), copy.deepcopy(VARIANTS), MAIN
        self.orders = {"short": ("order1", "order2", "order3"), "long": ("order4", "order5", "order6")}
        self.tuning_order = "order1"
        self.seeds = {"short": 3, "long": 1}
        self.train, self.epochs, self.batch = {"short": 1000, "long": 500}, 3, 16
        self.test = {"short": 0, "long": 200}  # rows of every task; 0: all
        self.detect = 300
        self.tuning = {"rows": 200, "validation": 60, "seed": 1000}
        self.quick_orders = {}
        if quick:
            keep = ("ncft", "w-ncft", "ncft-random", "ncft-disjoint", "seqft", "o-lora", "per-task", "mtl")
            self.arms = {name: self.arms[name] for name in keep}
            self.variants = {name: self.variants[name] for name in ("exclusive", "nearest")}
            for arm in (*self.arms.values(), *self.variants.values()):
                arm.trials = arm.trials[1:3]
            self.quick_orders = {"quick1": ["babi", "scitail", "gptnli"], "quick2": ["gptnli", "scitail", "babi"]}
            self.orders, self.tuning_order = {"short": ("quick1", "quick2"), "long": ("quick2",)}, "quick1"
            self.seeds = {"short": 2, "long": 1}
            self.train, self.epochs, self.batch = {"short": 16, "long": 8}, 1, 8
            self.test, self.detect = {"short": 6, "long": 4}, 8
            self.tuning = {"rows": 8, "validation": 4, "seed": 1000}

        counts = {len(arm.trials) for arm in self.all().values()}
        assert len(counts) == 1, "every arm has as many trials as any other"
        self.trials = counts.pop()

    def all(self):
        return {**self.arms, **self.variants}

    def numbers(self):
        """What of it is no method."""
        return {key: value for key, value in vars(self).items() if key not in ("arms", "variants", "quick_orders")}
