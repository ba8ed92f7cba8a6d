"""Relevance of every FFN neuron, sum over examples of |sum over tokens of gradient * activation|, as
PyTorch users compute it. A worker (common.serve): MODEL EXAMPLES [--family] [--dtype] [--threads] [--shard
I/N]: the I-th of N processes that share the batches.

`run kind=plain`: what a first notebook does. Hooks with retain_grad, padded batches of 8 in the order
of the file, logits at every position, every parameter asks for a gradient.

`run kind=tuned ...`, what a skilled user makes of it: frozen parameters, no gradient below the first
FFN, the head at answer positions alone, PyTorch's own operators, batches made before the clock runs.
  attention=eager|sdpa
  batch=N|Nt           rows, or tokens with padding
  order=sorted|file    by length or as the file has them
  collect=hooks|tap    gradients of all activations at once, or relevance taken on the way back
  compile=no|dynamic|static   torch.compile (with collect=tap); static pads lengths to multiples of 32
  fused=yes|no         PyTorch's own GELU and RMS norm where it has them
  every=N              only each N-th batch, to try a variant

EXAMPLES holds token ids (bench_examples writes them). `save PATH`: relevance [layers, width], float32.
"""
import torch

from common import Batch, Compiled, arguments, grouped, plain_loss, prepare, serve, shard_of, tuned_loss, write_floats

DEFAULTS = {"kind": "tuned", "attention": "eager", "batch": "16", "order": "sorted", "collect": "hooks",
            "compile": "no", "fused": "yes", "every": "1"}


class Detector:
    def __init__(self, model, examples, shard):
        self.model, self.examples, self.shard = model, examples, shard
        self.compiled = Compiled(model)
        self.batches = {}
        self.relevance = None
        self.hooks = []
        self.seen = []
        self.carriers = []

    def chosen(self, variant):
        """The variant's batches, from the second time on without any work."""
        key = tuple(variant[name] for name in ("batch", "order", "compile", "every"))
        if key not in self.batches:
            groups = grouped([len(e["ids"]) for e in self.examples], variant["batch"], variant["order"])
            every = min(int(variant["every"]), len(groups))
            multiple = 32 if variant["compile"] == "static" else 1
            self.batches[key] = [Batch([self.examples[i] for i in group], multiple)
                                 for group in shard_of(groups[every // 2 :: every], self.shard)]
        return self.batches[key]

    def set_hooks(self, keep):
        """keep(activation) at every layer, which may return what the model goes on with."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = [] if keep is None else [
            down.register_forward_pre_hook(lambda module, inputs: keep(inputs[0])) for _, down in self.model.layers()]

    def carry(self, taps):
        if taps and not self.carriers:
            self.carriers = [torch.zeros(down.in_features, requires_grad=True) for _, down in self.model.layers()]
        for i, block in enumerate(self.model.blocks):
            block.carrier = self.carriers[i] if taps else None
        for carrier in self.carriers:
            carrier.grad = None

    def keep_plain(self, activation):
        activation.retain_grad()
        self.seen.append(activation)

    def keep_tuned(self, activation):
        if not activation.requires_grad:
            activation.requires_grad_()  # nothing below the first FFN needs a gradient
        self.seen.append(activation)

    def run(self, variant):
        plain = variant["kind"] == "plain"
        if plain:
            variant = dict(variant, attention="eager", batch="8", order="file", fused="no", compile="no")
        batches = self.chosen(variant)
        self.model.requires_grad_(plain)
        self.model.attention = variant["attention"]
        if hasattr(self.model, "fuse"):
            self.model.fuse(variant["fused"] == "yes")
        taps = variant["collect"] == "tap"
        self.carry(taps)
        self.set_hooks(None if taps else self.keep_plain if plain else self.keep_tuned)
        self.relevance = (self.plain if plain else self.tapped if taps else self.tuned)(batches, variant)
        return sum(batch.tokens for batch in batches), {}

    def plain(self, batches, variant):
        relevance = torch.zeros(())
        for batch in batches:
            self.seen.clear()
            self.model.zero_grad(set_to_none=True)
            plain_loss(self.model, batch).backward()
            relevance = relevance + torch.stack([(a.detach() * a.grad).sum(1).abs().sum(0) for a in self.seen])
        self.model.zero_grad(set_to_none=True)
        return relevance

    def tuned(self, batches, variant):
        relevance = torch.zeros(())
        for batch in batches:
            self.seen.clear()
            gradients = torch.autograd.grad(tuned_loss(self.model, batch), self.seen)
            relevance = relevance + torch.stack([(a.detach() * g).sum(1, dtype=torch.float32).abs().sum(0)
                                                 for a, g in zip(self.seen, gradients)])
        return relevance

    def tapped(self, batches, variant):
        for batch in batches:
            tuned_loss(self.model, batch, self.compiled(variant["compile"])).backward()
        return torch.stack([carrier.grad for carrier in self.carriers])


def main():
    options = arguments(shard="")
    model, examples = prepare(options)
    detector = Detector(model, examples, options.shard)
    serve(DEFAULTS, detector.run, lambda path: write_floats(path, detector.relevance),
          family=options.family, transformers=getattr(model, "version", ""))


if __name__ == "__main__":
    main()
