"""How the PyTorch peers may be run, and a short trial of each way."""
import os
from dataclasses import dataclass, field

import measure

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
# malloc keeps what was freed instead of giving it back after every batch, as tuning guides advise.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(64 << 20)}


@dataclass(frozen=True)
class Python:
    """An interpreter that has PyTorch."""
    path: str
    torch: str
    transformers: str  # version, or empty

    @property
    def label(self):
        return f"PyTorch {self.torch}"


@dataclass
class Variant:
    python: Python
    family: str
    dtype: str
    settings: dict  # what differs from the program's defaults
    kept_memory: bool = False
    processes: int = 1  # that share the rows and the threads
    tokens_per_second: float = 0
    failure: str = ""
    tokens: int = field(default=0, repr=False)

    @property
    def line(self):
        return " ".join(f"{name}={value}" for name, value in self.settings.items())

    @property
    def name(self):
        model = f"Transformers {self.python.transformers}" if self.family == "transformers" else "own model"
        kept = ", malloc keeps memory" if self.kept_memory else ""
        shared = f", {self.processes} processes that share the rows" if self.processes > 1 else ""
        return f"{self.python.label}, {model}, {self.dtype}: {self.line}{kept}{shared}"


@dataclass
class Job:
    """One thing that peers compute: a program of bench/peers, its arguments, and ways to run it."""
    program: str
    arguments: list
    dtypes: list
    grid: list  # settings that are all tried
    more: list = field(default_factory=list)  # further settings, tried on top of the best of the grid
    plain: dict = None  # a first notebook's way, in float32
    trial: dict = field(default_factory=dict)  # settings that make a trial short
    transformers: bool = True
    shards: bool = False  # whether processes can share the rows

    def start(self, variant, threads):
        """The worker, or the team of workers, that runs a variant."""
        command = [variant.python.path, os.path.join(PEERS, self.program), *self.arguments, "--family", variant.family,
                   "--dtype", variant.dtype]
        each = max(threads // variant.processes, 1)
        env = measure.environment(each, KEPT_MEMORY if variant.kept_memory else None)
        if variant.processes == 1:
            return measure.Worker([*command, "--threads", str(each)], env)
        return measure.Team([measure.Worker([*command, "--threads", str(each), "--shard", f"{i}/{variant.processes}"], env)
                             for i in range(variant.processes)])


def find_python(path):
    """What it has, or None without PyTorch."""
    code = ("import torch\nversion = ''\ntry:\n import transformers; version = transformers.__version__\n"
            "except Exception: pass\nprint(torch.__version__, version)")
    found = measure.subprocess.run([path, "-c", code], capture_output=True, text=True)
    if found.returncode != 0:
        return None
    torch, _, transformers = found.stdout.strip().partition(" ")
    return Python(path, torch.split("+")[0].replace("a0", ""), transformers)


def one_line(error):
    return str(error).strip().splitlines()[0][:200]


def attempt(worker, variant, trial):
    """One pass to warm up, one that counts."""
    line = "run " + " ".join(f"{name}={value}" for name, value in dict(variant.settings, **trial).items())
    try:
        worker.ask(line, limit=300)
        answer = worker.ask(line, limit=300)
        variant.tokens = answer["tokens"]
        variant.tokens_per_second = answer["tokens"] / answer["seconds"]
        print(f"    {variant.tokens_per_second:9.1f} tokens/s  {variant.name}", flush=True)
    except (measure.Failed, OSError) as error:
        variant.failure = one_line(error)
        print(f"    does not work: {variant.name}: {variant.failure}", flush=True)
    return variant


def best_of(variants):
    working = [v for v in variants if not v.failure and v.settings.get("kind") != "plain"]
    return max(working, key=lambda v: v.tokens_per_second, default=None)


def try_all(job, python, family, dtype, threads, settings, **how):
    """Every one of these settings in one process, or in a new one after a failure that ended it."""
    tried, worker = [], None
    for one in settings:
        variant = Variant(python, family, dtype, one, **how)
        tried.append(variant)
        try:
            if worker is None or not worker.alive():
                worker = job.start(variant, threads)
        except measure.Failed as error:
            variant.failure = one_line(error)
            print(f"    does not work: {variant.name}: {variant.failure}", flush=True)
            continue
        attempt(worker, variant, job.trial)
    if worker:
        worker.close()
    return tried


def left_out(variant):
    variant.failure = "left out of this run (--without)"
    return variant


def scan(job, python, dtype, threads, without=()):
    """Trials of every variant for this Python: the grid, then what may be added to the best of it."""
    tried = try_all(job, python, "own", dtype, threads, job.grid)
    best = best_of(tried)
    if best is None:
        return tried
    on_top = [dict(best.settings, **more) for more in job.more]
    tried += [left_out(Variant(python, "own", dtype, one)) for one in on_top if set(one) & set(without)]
    tried += try_all(job, python, "own", dtype, threads, [one for one in on_top if not set(one) & set(without)])
    if job.plain and dtype == "float32":
        tried += try_all(job, python, "own", dtype, threads, [job.plain])
    if job.transformers and python.transformers:
        both = [dict(best.settings, attention=attention) for attention in ("eager", "sdpa")]
        tried += try_all(job, python, "transformers", dtype, threads, both)
    best = best_of(tried)
    tried += try_all(job, python, best.family, dtype, threads, [best.settings], kept_memory=True)
    if job.shards and threads > 1:
        smaller = [best.settings] + [dict(best.settings, batch=batch) for batch in ("8", "16")
                                     if batch != best.settings["batch"]]
        tried += try_all(job, python, best.family, dtype, threads, smaller, processes=threads,
                         kept_memory=best_of(tried).kept_memory)
    return tried


def finalists(tried, count):
    """The best of each Python."""
    working = [v for v in tried if not v.failure and v.settings.get("kind") != "plain"]
    return sorted(working, key=lambda v: -v.tokens_per_second)[:count]
