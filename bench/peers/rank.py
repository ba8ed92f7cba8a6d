"""Log-probabilities of every label of every example, as PyTorch users compute them. A worker
(common.serve): MODEL EXAMPLES [--family] [--dtype] [--threads].

  `run way=whole`   every label with its whole prompt, as evaluation harnesses do; batches sorted by length
  `run way=shared`  each prompt once, then its labels as a batch behind the prompt's keys and values
  attention=eager|sdpa, batch=N (rows, way=whole)

EXAMPLES: token ids from `bench_examples --labels`. Tokens are those of the prompts, once. `save PATH`:
the log-probabilities, float32, example by example. No gradients, the head at label positions alone.
"""
import torch

from common import Batch, arguments, grouped, pad, prepare, serve, write_floats

DEFAULTS = {"way": "whole", "attention": "eager", "batch": "32", "fused": "yes"}


class Ranker:
    def __init__(self, model, examples):
        self.model, self.examples = model, examples
        self.texts = [{"ids": e["trunk"] + label["ids"], "answer": label["scored"]}
                      for e in examples for label in e["labels"]]
        self.tokens = sum(len(e["trunk"]) for e in examples)
        self.batches = {}
        self.result = None

    def run(self, variant):
        self.model.attention = variant["attention"]
        with torch.no_grad():
            self.result = self.shared() if variant["way"] == "shared" else self.whole(variant["batch"])
        return self.tokens, {}

    def whole(self, size):
        if size not in self.batches:
            groups = grouped([len(t["ids"]) for t in self.texts], size, "sorted")
            self.batches[size] = [(torch.tensor(group), Batch([self.texts[i] for i in group])) for group in groups]
        result = torch.zeros(len(self.texts))
        for numbers, batch in self.batches[size]:
            hidden = self.model(batch.ids)
            logits = self.model.head(hidden[batch.rows, batch.columns]).float()
            chances = torch.log_softmax(logits, dim=-1).gather(1, batch.targets[:, None])[:, 0]
            result.index_add_(0, numbers[batch.rows], chances)
        return result

    def shared(self):
        if "shared" not in self.batches:
            self.batches["shared"] = [self.branches(e) for e in self.examples]
        result = []
        for trunk, ids, rows, columns, targets in self.batches["shared"]:
            hidden = self.model.behind(trunk, ids)
            logits = self.model.head(hidden[rows, columns]).float()
            chances = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
            result.append(torch.zeros(len(ids)).index_add_(0, rows, chances))
        return torch.cat(result)

    @staticmethod
    def branches(example):
        """The prompt without its last token, which starts every label's row."""
        trunk = torch.tensor([example["trunk"][:-1]])
        texts = [example["trunk"][-1:] + label["ids"] for label in example["labels"]]
        ids, _ = pad([t[:-1] for t in texts])
        rows, columns, targets = [], [], []
        for row, (text, label) in enumerate(zip(texts, example["labels"])):
            for position in range(len(text) - label["scored"], len(text)):
                rows.append(row)
                columns.append(position - 1)
                targets.append(text[position])
        return trunk, ids, torch.tensor(rows), torch.tensor(columns), torch.tensor(targets)


def main():
    options = arguments()
    model, examples = prepare(options)
    ranker = Ranker(model, examples)
    serve(DEFAULTS, ranker.run, lambda path: write_floats(path, ranker.result), family=options.family,
          transformers=getattr(model, "version", ""))


if __name__ == "__main__":
    main()
