"""What the peers have in common: batches, their losses, and the worker that runs on command."""
import argparse
import json
import os
import sys
import time

import torch
from torch.nn import functional as F


def pad(rows, multiple=1):
    longest = max(len(row) for row in rows)
    longest += -longest % multiple
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids, mask


def grouped(lengths, size, order):
    """Lists of row numbers. size: rows, or "2048t" for so many tokens with padding; order: "sorted"
    by length or "file"."""
    numbers = list(range(len(lengths)))
    if order == "sorted":
        numbers.sort(key=lambda i: lengths[i])
    tokens = int(size[:-1]) if size.endswith("t") else 0
    groups = []
    for i in numbers:
        if not groups:
            fits = False
        elif tokens:
            fits = max(lengths[i], *(lengths[k] for k in groups[-1])) * (len(groups[-1]) + 1) <= tokens
        else:
            fits = len(groups[-1]) < int(size)
        if fits:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


class Batch:
    """Examples {"ids", "answer"} as tensors, made once."""

    def __init__(self, examples, multiple=1):
        self.size, self.tokens = len(examples), sum(len(e["ids"]) for e in examples)
        self.ids, _ = pad([e["ids"][:-1] for e in examples], multiple)  # right padding: causality hides it
        self.whole_ids, self.mask = pad([e["ids"] for e in examples])
        self.labels = torch.full_like(self.whole_ids, -100)
        rows, columns, targets, weights = [], [], [], []
        for i, e in enumerate(examples):
            end = len(e["ids"])
            self.labels[i, end - e["answer"] : end] = self.whole_ids[i, end - e["answer"] : end]
            for position in range(end - e["answer"], end):
                rows.append(i)
                columns.append(position - 1)
                targets.append(e["ids"][position])
                weights.append(1 / e["answer"])
        self.rows, self.columns, self.targets = (torch.tensor(t) for t in (rows, columns, targets))
        self.weights = torch.tensor(weights)


def plain_loss(model, batch):
    """Sum over examples of the mean answer loss, with logits at every position."""
    logits = model.head(model(batch.whole_ids, batch.mask))
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch.labels[:, 1:].flatten(),
                           ignore_index=-100, reduction="none").view(batch.size, -1)
    return (loss.sum(1) / (batch.labels != -100).sum(1)).sum()


def tuned_loss(model, batch, forward=None):
    """The same with the head at answer positions alone. forward: the model's, perhaps compiled."""
    hidden = (forward or model)(batch.ids)
    logits = model.head(hidden[batch.rows, batch.columns]).float()
    return (F.cross_entropy(logits, batch.targets, reduction="none") * batch.weights).sum()


class Compiled:
    """The model's forward pass through torch.compile, one for each way of asking for it."""

    def __init__(self, model):
        self.model = model
        self.forwards = {}

    def __call__(self, how):
        """how: "no"; "dynamic" lengths; "static", where every length is compiled by itself."""
        if how == "no":
            return self.model
        key = (how, self.model.attention)
        if key not in self.forwards:
            torch._dynamo.config.cache_size_limit = 64
            self.forwards[key] = torch.compile(self.model.forward, dynamic=how == "dynamic")
        return self.forwards[key]


def shard_of(groups, shard):
    """Those of a process "I/N" of several that share the batches."""
    if not shard:
        return groups
    number, count = shard.split("/")
    return groups[int(number) :: int(count)]


def arguments(*names, **more):
    """MODEL EXAMPLES, `names`, --family, --dtype, --threads, and `more` flags with their defaults."""
    parser = argparse.ArgumentParser()
    for name in ("model", "examples", *names):
        parser.add_argument(name)
    parser.add_argument("--family", choices=["own", "transformers"], default="own")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=0)
    for name, value in more.items():
        parser.add_argument("--" + name, type=type(value), default=value)
    return parser.parse_args()


def prepare(options):
    """(model, examples) of the command line."""
    if options.threads:
        torch.set_num_threads(options.threads)
    with open(options.examples) as file:
        examples = json.load(file)
    dtype = getattr(torch, options.dtype)
    if options.family == "transformers":
        from hub_model import HubModel

        return HubModel(options.model, dtype), examples
    from models import load

    return load(options.model, dtype), examples


def serve(defaults, run, save, **about):
    """Prints that it is ready, then reads one command a line. `run KEY=VALUE ...`: one timed pass of
    that variant, run(variant) -> (tokens, more for the answer); `save PATH` writes what the last pass
    found. An error is an answer too. Between commands the process waits and takes no processor."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**values):
        print(json.dumps(values), file=answers, flush=True)

    answer(ready=True, torch=torch.__version__, threads=torch.get_num_threads(), **about)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        try:
            if command == "save":
                save(rest)
                answer(saved=True)
                continue
            variant = dict(defaults, **dict(part.split("=") for part in rest.split()))
            start = time.monotonic()
            tokens, more = run(variant)
            answer(tokens=tokens, seconds=time.monotonic() - start, **more)
        except Exception as error:  # noqa: BLE001, whatever a variant does
            text = str(error).strip().splitlines() or [""]
            answer(error=f"{type(error).__name__}: {text[0]}"[:300])


def write_floats(path, values):
    with open(path, "wb") as file:
        file.write(values.detach().float().contiguous().numpy().tobytes())
