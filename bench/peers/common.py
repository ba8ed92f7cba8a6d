"""What the peers have in common: padded batches, their losses, the command line."""
import argparse
import json

import torch
from torch.nn import functional as F

from models import load


def pad(rows):
    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids, mask


def plain_loss(model, batch):
    """Sum over examples of the mean answer loss, with logits at every position."""
    ids, mask = pad([e["ids"] for e in batch])
    labels = torch.full_like(ids, -100)
    for i, e in enumerate(batch):
        end = len(e["ids"])
        labels[i, end - e["answer"] : end] = ids[i, end - e["answer"] : end]
    logits = model.head(model(ids, mask))
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(),
                           ignore_index=-100, reduction="none").view(len(batch), -1)
    return (loss.sum(1) / (labels != -100).sum(1)).sum()


def tuned_loss(model, batch):
    """The same with the head at answer positions alone."""
    ids, _ = pad([e["ids"][:-1] for e in batch])  # right padding: a causal mask hides it
    hidden = model(ids)
    rows, columns, targets, weights = [], [], [], []
    for i, e in enumerate(batch):
        for position in range(len(e["ids"]) - e["answer"], len(e["ids"])):
            rows.append(i)
            columns.append(position - 1)
            targets.append(e["ids"][position])
            weights.append(1 / e["answer"])
    logits = model.head(hidden[rows, columns]).float()
    loss = F.cross_entropy(logits, torch.tensor(targets), reduction="none")
    return (loss * torch.tensor(weights)).sum()


def arguments(*more):
    """KIND MODEL EXAMPLES, `more` names, --dtype and --threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["plain", "tuned"])
    for name in ("model", "examples", *more):
        parser.add_argument(name)
    parser.add_argument("--dtype", default="")
    parser.add_argument("--threads", type=int, default=0)
    return parser


def prepare(options):
    """(model, examples) of the command line; float32 by default when plain, bfloat16 when tuned."""
    if options.threads:
        torch.set_num_threads(options.threads)
    with open(options.examples) as file:
        examples = json.load(file)
    dtype = getattr(torch, options.dtype or ("float32" if options.kind == "plain" else "bfloat16"))
    return load(options.model, dtype, fused_gelu=options.kind == "tuned"), examples


def report(tokens, seconds, **more):
    print(json.dumps({"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds, **more}))
