"""Relevance of every FFN neuron, sum over examples of |sum over tokens of gradient * activation|,
as PyTorch users compute it.

  detect.py plain|tuned MODEL EXAMPLES OUT [--threads N]

plain: what a notebook does. float32, hooks with retain_grad, padded batches of 8 in the order of
       the file, logits at every position, every parameter asks for a gradient.
tuned: what a skilled user makes of it. bfloat16, frozen parameters, the head at answer positions
       alone, batches of 16 of similar length, PyTorch's own GELU. --dtype float32 for the same in
       float32.

EXAMPLES holds the token ids (bench_examples writes it), so tokenizing costs the peers nothing.
OUT receives the relevance [layers, width] in float32, little-endian. Prints one line of JSON; the
seconds are those of the scoring loop, without loading the model.
"""
import argparse
import json
import time

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


def plain(model, examples):
    seen = []

    def keep(module, inputs, output):
        output.retain_grad()
        seen.append(output)

    for block in model.blocks:
        block.act.register_forward_hook(keep)
    relevance = None
    for begin in range(0, len(examples), 8):
        batch = examples[begin : begin + 8]
        ids, mask = pad([e["ids"] for e in batch])
        labels = torch.full_like(ids, -100)
        for i, e in enumerate(batch):
            end = len(e["ids"])
            labels[i, end - e["answer"] : end] = ids[i, end - e["answer"] : end]
        seen.clear()
        model.zero_grad(set_to_none=True)
        logits = model.head(model(ids, mask))
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(),
                               ignore_index=-100, reduction="none").view(len(batch), -1)
        (loss.sum(1) / (labels != -100).sum(1)).sum().backward()
        scores = torch.stack([(a * a.grad).sum(1).abs().sum(0) for a in seen])
        relevance = scores if relevance is None else relevance + scores
    return relevance


def tuned(model, examples):
    model.requires_grad_(False)
    seen = []

    def keep(module, inputs, output):
        if not output.requires_grad:
            output.requires_grad_()  # nothing below the first FFN needs a gradient
        seen.append(output)

    for block in model.blocks:
        block.act.register_forward_hook(keep)
    relevance = 0
    order = sorted(examples, key=lambda e: len(e["ids"]))
    for begin in range(0, len(order), 16):
        batch = order[begin : begin + 16]
        ids, _ = pad([e["ids"][:-1] for e in batch])  # right padding: a causal mask hides it
        seen.clear()
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
        gradients = torch.autograd.grad((loss * torch.tensor(weights)).sum(), seen)
        relevance = relevance + torch.stack([
            (a.detach() * g).sum(1, dtype=torch.float32).abs().sum(0)
            for a, g in zip(seen, gradients)])
    return relevance


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["plain", "tuned"])
    parser.add_argument("model")
    parser.add_argument("examples")
    parser.add_argument("out")
    parser.add_argument("--dtype", default="")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with open(options.examples) as file:
        examples = json.load(file)
    dtype = getattr(torch, options.dtype or ("float32" if options.kind == "plain" else "bfloat16"))
    model = load(options.model, dtype, fused_gelu=options.kind == "tuned")
    start = time.monotonic()
    relevance = (plain if options.kind == "plain" else tuned)(model, examples)
    seconds = time.monotonic() - start
    with open(options.out, "wb") as file:
        file.write(relevance.detach().float().contiguous().numpy().tobytes())
    tokens = sum(len(e["ids"]) for e in examples)
    print(json.dumps({"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds}))


if __name__ == "__main__":
    main()
