"""What question 2 chose beforehand: the paper's groups of tasks, and every number."""

# Trained tasks of each group, tasks that it is tested on, and tasks of the other type.
GROUPS = {
    "classification": {"train": ["amazonfood", "qqp", "mnli"], "other": ["sst2", "paws", "gptnli"],
                       "transfer": ["tweetqa", "commongen", "xsum"]},
    "generation": {"train": ["sciqa", "e2e", "cnn_dailymail"], "other": ["tweetqa", "commongen", "xsum"],
                   "transfer": ["sst2", "paws", "gptnli"]},
}
QUICK_GROUPS = {
    "classification": {"train": ["babi"], "other": ["scitail"], "transfer": ["commongen"]},
    "generation": {"train": ["e2e"], "other": ["commongen"], "transfer": ["scitail"]},
}
TOPS = ("10%", "30%", "50%", "70%", "100%")
OVERLAP_TOPS = ("10%", "30%", "50%", "70%")  # that overlap is taken at
TOP = "10%"
DEFINITIONS = ("masked", "mean", "ranked")
# Units of a task by what others need too; each beside random sets with its own layer profile.
KINDS = ("own", "core", "rest", "private", "contrastive")
# Of these, learning rates are chosen at their own size; the core takes those of whole sets.
TUNED_KINDS = ("own", "rest", "private", "contrastive")
KIND_NAMES = {"rest": "own − core"}  # of those whose name is not what a page calls them
# What is held against performance: each by itself, and against the last two (docs/formats/affinity.md, yardsticks).
LATE, EARLY, OVERLAP_ONLY = "masked, last layers", "masked, first layers", "masked, all norms equal"
SAME_TYPE = "of one type"  # whether model and task are


class Protocol:
    """Every number of the study that someone chose."""

    def __init__(self, quick):
        self.groups = QUICK_GROUPS if quick else GROUPS
        self.tops = TOPS
        self.seeds, self.alone_seeds = 3, 1
        self.train = {"classification": 1000, "generation": 300}
        self.epochs = {"classification": 2, "generation": 2}
        self.generate = 150       # test rows of a generation task; of classification all
        self.rates = ("1e-3", "3e-3", "1e-2")
        self.tuning = {"rows": 200, "validation": 60}
        self.detect = 300         # training rows that relevance is taken from
        self.overlap_tops, self.shares = ("10%", "30%"), ("0", "0.5", "1")
        self.model_epochs = 3     # of the model of each task, all parameters
        self.model_rates = (1e-4, 3e-4, 1e-3)
        self.model_detect = 100
        self.matrix = 200         # test rows of the matrix of trainings
        self.bands = 4            # of layers
        self.affinity = 100
        self.relabellings = 9999  # of tasks
        self.core = 0.5           # share of the tasks that a unit of the core serves
        self.off = 120            # test rows under units off, or with units of a kind trained
        self.off_sets = 19
        self.kind_sets = 3        # random sets that are trained beside every kind
        self.kind_train = {"classification": 500, "generation": 100}
        self.kind_epochs = 2
        if quick:
            self.tops = ("10%", "100%")
            self.seeds = 2
            self.train = {"classification": 16, "generation": 8}
            self.epochs = {"classification": 1, "generation": 1}
            self.generate, self.rates, self.tuning = 4, ("3e-3",), {"rows": 8, "validation": 4}
            self.detect, self.model_detect, self.matrix, self.affinity, self.off = 8, 4, 4, 4, 4
            self.overlap_tops, self.shares = ("10%",), ("0", "1")
            self.model_epochs, self.model_rates, self.bands = 1, (3e-4,), 2
            self.off_sets, self.kind_sets, self.kind_epochs, self.kind_train = 3, 2, 1, self.train
