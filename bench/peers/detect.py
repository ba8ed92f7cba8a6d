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
import time

import torch

from common import arguments, plain_loss, prepare, report, tuned_loss


def plain(model, examples):
    seen = []

    def keep(module, inputs, output):
        output.retain_grad()
        seen.append(output)

    for block in model.blocks:
        block.act.register_forward_hook(keep)
    relevance = None
    for begin in range(0, len(examples), 8):
        seen.clear()
        model.zero_grad(set_to_none=True)
        plain_loss(model, examples[begin : begin + 8]).backward()
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
        seen.clear()
        loss = tuned_loss(model, order[begin : begin + 16])
        gradients = torch.autograd.grad(loss, seen)
        relevance = relevance + torch.stack([
            (a.detach() * g).sum(1, dtype=torch.float32).abs().sum(0)
            for a, g in zip(seen, gradients)])
    return relevance


def main():
    options = arguments("out").parse_args()
    model, examples = prepare(options)
    start = time.monotonic()
    relevance = (plain if options.kind == "plain" else tuned)(model, examples)
    seconds = time.monotonic() - start
    with open(options.out, "wb") as file:
        file.write(relevance.detach().float().contiguous().numpy().tobytes())
    report(sum(len(e["ids"]) for e in examples), seconds)


if __name__ == "__main__":
    main()
