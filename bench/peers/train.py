"""Trains a set of FFN neurons alone, as PyTorch users do it: gradients of the FFN matrices are
computed in full and masked before AdamW (weight decay 0) steps.

  train.py plain|tuned MODEL EXAMPLES SET [--steps N] [--batch N] [--lr X] [--threads N]

plain: what a notebook does. float32, padded batches in the order of the file, logits at every
       position, torch.optim.AdamW on the FFN's parameters.
tuned: what a skilled user makes of it. bfloat16 weights with float32 masters of the FFN, the head
       at answer positions alone, AdamW with foreach, PyTorch's own GELU. --dtype float32 for the
       same in float32.

Everything but the FFN is frozen in both. SET is a set file at site act. A step takes --batch
examples; the loss is the mean of their losses. Prints one line of JSON with the losses of the steps.
"""
import json
import time

import torch

from common import arguments, plain_loss, prepare, report, tuned_loss


def masked_parameters(model, path):
    """(parameter, mask) of everything that the set's units own: W1 columns, biases, W2 rows."""
    with open(path) as file:
        units = json.load(file)["sites"]["act"]
    model.requires_grad_(False)
    found = []
    for block, own in zip(model.blocks, units):
        up, down = ([block.c_fc], block.mlp_proj) if model.gpt2 else ([block.gate, block.up], block.down)
        for linear in up:
            mask = torch.zeros(linear.out_features)
            mask[own] = 1
            found.append((linear.weight, mask[:, None]))
            if linear.bias is not None:
                found.append((linear.bias, mask))
        mask = torch.zeros(down.in_features)
        mask[own] = 1
        found.append((down.weight, mask[None, :]))
    for parameter, _ in found:
        parameter.requires_grad_()
    return found


def plain(model, batches, masked, rate):
    optimizer = torch.optim.AdamW([p for p, _ in masked], lr=rate, weight_decay=0)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = plain_loss(model, batch) / len(batch)
        loss.backward()
        for parameter, mask in masked:
            parameter.grad *= mask
        optimizer.step()
        losses.append(loss.item())
    return losses


def tuned(model, batches, masked, rate):
    weights = [p for p, _ in masked]
    masks = [m for _, m in masked]
    masters = [p.detach().float().clone() for p in weights]
    optimizer = torch.optim.AdamW(masters, lr=rate, weight_decay=0, foreach=True)
    losses = []
    for batch in batches:
        loss = tuned_loss(model, batch) / len(batch)
        gradients = torch.autograd.grad(loss, weights)
        for master, gradient, mask in zip(masters, gradients, masks):
            master.grad = gradient.float().mul_(mask)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(weights, masters) if hasattr(torch, "_foreach_copy_") else [
                w.copy_(m) for w, m in zip(weights, masters)]
        losses.append(loss.item())
    return losses


def main():
    parser = arguments("set")
    parser.add_argument("--steps", type=int, default=0, help="default: once through the examples")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-4)
    options = parser.parse_args()
    model, examples = prepare(options)
    masked = masked_parameters(model, options.set)
    batches = [examples[i : i + options.batch] for i in range(0, len(examples), options.batch)]
    steps = options.steps or len(batches)
    batches = [batches[i % len(batches)] for i in range(steps)]
    start = time.monotonic()
    losses = (plain if options.kind == "plain" else tuned)(model, batches, masked, options.lr)
    seconds = time.monotonic() - start
    report(sum(len(e["ids"]) for batch in batches for e in batch), seconds, losses=losses)


if __name__ == "__main__":
    main()
