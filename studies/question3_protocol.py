"""What question 3 chose beforehand: orders, methods, what is tried of each, and every number."""
import copy
import itertools


def grid(**values):
    """All combinations, as settings of a method."""
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


# Learning rates that are tried of units, of all parameters and of adapters.
UNITS, ALL, ADAPTERS = ("3e-4", "1e-3", "3e-3"), ("1e-4", "3e-4", "1e-3"), ("1e-3", "3e-3", "1e-2")


def pairs(rates, key, values):
    """Of a rate that most do well at with either value, and of another with one of them, what is tried of methods with two settings."""
    return [{"lr": rates[0], key: values[0]}, {"lr": rates[0], key: values[1]}, {"lr": rates[1], key: values[1]}]


class Arm:
    """A method as it stands on the page. trials: the settings that are tried, as many for every arm. family: arms whose
    streams share stages where their settings agree, and so a folder. paper: mean CL of orders 1 to 3, and 4 to 6, of the paper's
    Llama-2-7b. told: what the method is told of a row that it answers; work: training of a stage beside that of its units alone.
    more: settings that are tried beyond those of the others, each with the best of the trials."""

    def __init__(self, method, trials, fixed=None, family=None, paper=None, told="nothing", work=1, more=()):
        self.method, self.trials, self.fixed, self.more = method, trials, fixed or {}, more
        self.family, self.paper, self.told, self.work = family or method, paper, told, work

    def at_edge(self, text):
        """Which numbers that were chosen are the lowest or the highest of three or more that were tried; of two each is."""
        tried = {key: sorted({float(trial[key]) for trial in self.trials}) for key in self.trials[0]}
        chosen = settings_of(text)
        return [key for key, values in tried.items() if len(values) > 2 and float(chosen[key]) in (values[0], values[-1])]

    def text(self, trial):
        settings = [f"{key}={value}" for key, value in {**self.fixed, **trial}.items()]
        return self.method + (":" + ",".join(settings) if settings else "")


def settings_of(text):
    """Settings of a method as it is written: "ncft:lr=1e-3"."""
    return dict(part.split("=") for part in text.partition(":")[2].split(",") if part)


WEIGHTED = pairs((UNITS[1], UNITS[2]), "temperature", ("1", "0.05"))
# Of what weights by the mean over a task's rows, and of what looks at each row by itself.
TOGETHER, EACH = "which rows are of one task", "nothing: each row is routed by itself"

ARMS = {
    "ncft": Arm("ncft", grid(lr=UNITS), paper=(71.3, 70.0)),
    "w-ncft": Arm("w-ncft", WEIGHTED, family="ncft", paper=(73.3, 72.0), told=TOGETHER),
    "w-ncft, literal": Arm("w-ncft", WEIGHTED, {"combine": "literal"}, family="ncft", told=TOGETHER),
    "ncft-random": Arm("ncft-random", grid(lr=UNITS)),
    "ncft-disjoint": Arm("ncft-disjoint", grid(lr=UNITS)),
    # Every unit of every layer: what ncft is without a choice, and seqft without the rest of the model.
    "all units": Arm("ncft-random", grid(lr=UNITS), {"top": "100%"}, "all-units"),
    "seqft": Arm("seqft", grid(lr=ALL), paper=(47.1, 34.6)),
    "seqlora": Arm("seqlora", grid(lr=ADAPTERS), paper=(53.8, 47.7)),
    "inclora": Arm("inclora", grid(lr=ADAPTERS)),
    "o-lora": Arm("o-lora", grid(lr=ADAPTERS), paper=(76.1, 71.6), more=({"lambda": "0.05"}, {"lambda": "5"})),
    "epi": Arm("epi", grid(lr=ADAPTERS), paper=(48.4, 42.6), told=EACH),
    "ewc": Arm("ewc", pairs((ALL[1], ALL[2]), "lambda", ("100", "10000")), work=1.3),
    "lwf": Arm("lwf", pairs((ALL[1], ALL[2]), "lambda", ("0.3", "1")), work=1.4),
    "l2": Arm("l2", pairs((ALL[1], ALL[2]), "lambda", ("0.01", "1"))),
    "replay": Arm("replay", pairs((ALL[1], ALL[0]), "share", ("0.05", "0.2")), work=1.2),
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
    "dynamic": Arm("w-ncft", WEIGHTED, {"dynamic": "yes"}, "dynamic", told=TOGETHER),
    "nearest": Arm("w-ncft", grid(lr=UNITS), {"route": "nearest"}, "ncft", told=EACH),
    "exclusive, nearest": Arm("w-ncft", grid(lr=UNITS), {"exclusive": "0", "route": "nearest"}, "exclusive", told=EACH),
}
# Every seed of these on the short orders; of the other arms one. What is chosen and its controls join them.
MAIN = ("o-lora", "epi", "w-ncft", "ncft", "exclusive", "ncft-random", "ncft-disjoint", "all units", "seqft")
# What goes through the long orders too, with what is chosen and its controls; the last two are what could be had without any forgetting.
LONG = ("o-lora", "w-ncft", "ncft", "ncft-random", "ncft-disjoint", "all units", "seqft", "per-task", "mtl")
# The variant with the best trial, and the best of those that answer with the last stage's model as the controls do: one that
# weights or routes is no measure of which units are trained. Its control has its options, on random units.
BEST, BEST_UNITS, SAME_OPTIONS = "the chosen variant", "the chosen variant of ncft", "random units with its options"
# w-ncft's temperature on ncft's own stages: the two differ in nothing but how a task is answered. And a temperature at which every
# stage weighs the same: an average needs no similarity.
WEIGHTS_ALONE, AVERAGE, AVERAGE_TEMPERATURE = "w-ncft at ncft's rate", "w-ncft at ncft's rate, an average", "1000"
# Which ends with the higher CL, and which keeps more (FG): claims of the paper, and what has to hold if its account of them is right.
CLAIMS = (
    ("w-ncft", "seqft", "the paper: neuron-level training with weights against training everything"),
    ("ncft", "seqft", "the same without weights"),
    ("w-ncft", "ncft", "the paper: weights by similarity help"),
    (WEIGHTS_ALONE, "ncft", "the same at one rate"),
    (WEIGHTS_ALONE, AVERAGE, "by their similarity, and not by being an average"),
    ("o-lora", "w-ncft", "the paper's table: O-LoRA stays ahead"),
    ("ncft", "ncft-random", "which units of a layer are trained matters"),
    ("ncft", "ncft-disjoint", "the same against random units that overlap as little as can be"),
    ("exclusive", "ncft-disjoint", "the same, where neither side trains a unit twice"),
    ("exclusive", "ncft", "not training a unit twice helps"),
    ("ncft-random", "all units", "how few units a task may touch matters"),
    ("all units", "seqft", "training units alone matters, whichever"),
    (BEST, "o-lora", "the variant chosen beforehand against O-LoRA"),
    (BEST, "epi", "and against adapters that each row is routed to"),
    (BEST_UNITS, "ncft-random", "the variant of ncft chosen beforehand against random units"),
    (BEST_UNITS, "ncft-disjoint", "and disjoint ones"),
    (BEST_UNITS, SAME_OPTIONS, "and random units that have its options"),
    (BEST_UNITS, "ncft", "and ncft itself"),
)


def with_same_options(arm):
    """(name, arm) of the control of a variant of ncft: random units, with the variant's options."""
    options = {key: value for key, value in arm.fixed.items() if key not in ("exclusive", "finder")}
    method = "ncft-disjoint" if "exclusive" in arm.fixed else "ncft-random"
    if not options:
        return method, None
    return SAME_OPTIONS, Arm(method, arm.trials, options, "same-options", work=arm.work)


class Protocol:
    """Every number of the study that someone chose."""

    def __init__(self, quick):
        self.arms, self.variants, self.main, self.long = copy.deepcopy(ARMS), copy.deepcopy(VARIANTS), MAIN, LONG
        self.orders = {"short": ("order1", "order2", "order3"), "long": ("order4", "order5", "order6")}
        self.tuning_order = "order1"
        self.seeds = {"short": 3, "long": 1}
        # Trials train on as many rows as the short orders, and so for as many steps.
        self.train, self.epochs, self.batch = {"short": 500, "long": 300}, 3, 8
        self.test = {"short": 200, "long": 100}  # rows of every task
        self.detect = 200
        self.tuning = {"rows": self.train["short"], "validation": 60, "seed": 1000}
        self.quick_orders = {}
        if quick:
            keep = ("ncft", "w-ncft", "ncft-random", "ncft-disjoint", "all units", "seqft", "o-lora", "epi", "per-task", "mtl")
            self.arms = {name: self.arms[name] for name in keep}
            self.variants = {name: self.variants[name] for name in ("exclusive", "soft", "nearest")}
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
