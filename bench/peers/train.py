"""Trains a set of FFN neurons alone with AdamW (weight decay 0), as PyTorch users do it. A worker
(common.serve): MODEL EXAMPLES SET [--batch N] [--lr X] [--family] [--dtype] [--threads].

A pass takes the batches in the order of EXAMPLES, --batch rows a step, and answers with the loss of
every step; weights go on from the pass before. SET is a set file at site act. Everything but its
neurons is frozen. With bfloat16 weights the optimizer works on float32 masters.

`run kind=plain`: what a first notebook does. Whole gradients masked, padded batches as they are, logits
at every position, torch.optim.AdamW on the FFN's whole matrices.

`run kind=tuned ...`: the head at answer positions alone, PyTorch's own operators, batches made before.
  update=masked        gradients of whole FFN matrices times a mask; AdamW on whole matrices
  update=selected      gradients of whole FFN matrices; AdamW on the selected rows and columns of them
  update=compact       an autograd function that forms the gradients of those alone
  optimizer=foreach|fused   of torch.optim.AdamW
  attention=eager|sdpa
  micro=N              rows of a forward pass, sorted by length within the step
  compile=no|dynamic   torch.compile of the forward pass
  fused=yes|no         PyTorch's own GELU and RMS norm where it has them
  steps=N              only so many steps, to try a variant; 0: all
"""
import json

import torch
from torch.nn import functional as F

from common import Batch, Compiled, arguments, grouped, plain_loss, prepare, serve, tuned_loss

DEFAULTS = {"kind": "tuned", "update": "masked", "optimizer": "foreach", "attention": "eager", "micro": "16",
            "compile": "no", "fused": "yes", "steps": "0"}


class Owned:
    """What a set's neurons own of one FFN matrix or bias: `index` along `axis`."""

    def __init__(self, module, name, axis, index):
        self.module, self.axis, self.index = module, axis, index
        self.weight = getattr(module, name)
        shape = [1] * self.weight.dim()
        shape[axis] = -1
        mask = torch.zeros(self.weight.size(axis))
        mask[index] = 1
        self.mask = mask.view(shape)
        self.master = None

    def selected(self, tensor):
        return tensor.index_select(self.axis, self.index)


class CompactLinear(torch.autograd.Function):
    """x W' + b whose backward forms gradients of some outputs' (axis 0) or inputs' (axis 1) weights
    alone, for float32 masters that stand beside the matrix."""

    @staticmethod
    def forward(ctx, x, master, bias_master, module, axis, index):
        ctx.module, ctx.axis, ctx.index = module, axis, index
        ctx.save_for_backward(x)
        return F.linear(x, module.weight.detach(), None if module.bias is None else module.bias.detach())

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        down = gradient @ ctx.module.weight if ctx.needs_input_grad[0] else None
        flat, x = gradient.flatten(0, -2), x.flatten(0, -2)
        if ctx.axis == 1:
            return down, (flat.t() @ x.index_select(1, ctx.index)).float(), None, None, None, None
        flat = flat.index_select(1, ctx.index)
        bias = flat.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        return down, (flat.t() @ x).float(), bias, None, None, None


def owned_parts(model, path):
    with open(path) as file:
        units = json.load(file)["sites"]["act"]
    parts = []
    for (ups, down), own in zip(model.layers(), units):
        index = torch.tensor(own, dtype=torch.long)
        conv = type(down).__name__ == "Conv1D"  # Transformers' GPT-2 stores its matrices the other way
        for up in ups:
            parts.append(Owned(up, "weight", 1 if conv else 0, index))
            if up.bias is not None:
                parts.append(Owned(up, "bias", 0, index))
        parts.append(Owned(down, "weight", 0 if conv else 1, index))
    return parts


class Peer:
    def __init__(self, model, examples, neurons, batch, rate):
        self.model, self.rate = model, rate
        self.parts = owned_parts(model, neurons)
        self.steps = [examples[i : i + batch] for i in range(0, len(examples), batch)]
        self.compiled = Compiled(model)
        self.batches = {}
        self.key = None

    def prepare(self, variant):
        """Parameters and an optimizer for this way of updating."""
        key = tuple(sorted(variant.items()))
        if key == self.key:
            return
        self.key = key
        self.model.requires_grad_(False)
        compact = variant["update"] == "compact"
        for part in self.parts:
            part.module.__dict__.pop("forward", None)
            part.weight.requires_grad_(not compact)
            part.weight.grad = None
            if variant["update"] == "masked":
                part.master = part.weight if part.weight.dtype == torch.float32 else part.weight.detach().float()
            else:
                part.master = part.selected(part.weight.detach()).float()
            part.master.requires_grad_(compact or part.master is part.weight)
        if compact:
            self.replace_linears()
        options = {"foreach": True} if variant["optimizer"] == "foreach" else {"fused": True}
        if variant["kind"] == "plain":
            options = {}
        self.optimizer = torch.optim.AdamW([part.master for part in self.parts], lr=self.rate, weight_decay=0, **options)

    def replace_linears(self):
        for i, part in enumerate(self.parts):
            if part.weight.dim() == 1:
                continue
            if type(part.module).__name__ == "Conv1D":
                raise ValueError("update=compact is written for nn.Linear")
            after = self.parts[i + 1] if i + 1 < len(self.parts) else None
            bias = after.master if after is not None and after.module is part.module else None
            part.module.forward = lambda x, part=part, bias=bias: CompactLinear.apply(
                x, part.master, bias, part.module, part.axis, part.index)

    def update(self, variant):
        for part in self.parts:
            if variant["update"] == "masked":
                if part.master is part.weight:
                    part.weight.grad.mul_(part.mask)
                else:
                    part.master.grad = part.weight.grad.float().mul_(part.mask)
            elif variant["update"] == "selected":
                part.master.grad = part.selected(part.weight.grad).float()
            if part.master is not part.weight:
                part.weight.grad = None
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for part in self.parts:
                if part.master is part.weight:
                    continue
                if variant["update"] == "masked":
                    part.weight.copy_(part.master)
                else:
                    part.weight.index_copy_(part.axis, part.index, part.master.to(part.weight.dtype))

    def micro_batches(self, step, size):
        if (step, size) not in self.batches:
            rows = self.steps[step]
            groups = grouped([len(e["ids"]) for e in rows], size, "sorted" if int(size) < len(rows) else "file")
            self.batches[step, size] = [Batch([rows[i] for i in group]) for group in groups]
        return self.batches[step, size]

    def run(self, variant):
        if variant["kind"] == "plain":
            variant = dict(variant, update="masked", attention="eager", micro=str(len(self.steps[0])), fused="no")
        self.model.attention = variant["attention"]
        if hasattr(self.model, "fuse"):
            self.model.fuse(variant["fused"] == "yes")
        self.prepare(variant)
        losses, tokens = [], 0
        for step in range(int(variant["steps"]) or len(self.steps)):
            total = 0.0
            for batch in self.micro_batches(step, variant["micro"]):
                if variant["kind"] == "plain":
                    loss = plain_loss(self.model, batch)
                else:
                    loss = tuned_loss(self.model, batch, self.compiled(variant["compile"]))
                loss = loss / len(self.steps[step])
                loss.backward()
                total += loss.item()
                tokens += batch.tokens
            self.update(variant)
            losses.append(total)
        return tokens, {"losses": losses}


def main():
    options = arguments("set", batch=16, lr=1e-4)
    model, examples = prepare(options)
    peer = Peer(model, examples, options.set, options.batch, options.lr)
    serve(DEFAULTS, peer.run, lambda path: None, family=options.family,
          transformers=getattr(model, "version", ""))


if __name__ == "__main__":
    main()
