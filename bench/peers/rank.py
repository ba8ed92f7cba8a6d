"""Log-probabilities of every label of every example, each label with its whole prompt.

  rank.py plain|tuned MODEL EXAMPLES OUT

plain: float32, padded batches of 8 in the order of the file, logits at every position.
tuned: bfloat16, batches of 32 of similar length, no gradients, the head at label positions alone.

EXAMPLES: token ids from `bench_examples --labels`. OUT receives the log-probabilities, float32,
example by example. Prints one line of JSON; tokens are those of the prompts, once.
"""
import time

import torch

from common import arguments, pad, prepare, report


def plain(model, texts):
    result = []
    for begin in range(0, len(texts), 8):
        batch = texts[begin : begin + 8]
        ids, mask = pad([t["ids"] for t in batch])
        chances = torch.log_softmax(model.head(model(ids, mask)), dim=-1)
        for i, t in enumerate(batch):
            end = len(t["ids"])
            result.append(sum(chances[i, p - 1, t["ids"][p]] for p in range(end - t["scored"], end)).item())
    return result


def tuned(model, texts):
    result = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]["ids"]))
    for begin in range(0, len(order), 32):
        batch = [(i, texts[i]) for i in order[begin : begin + 32]]
        ids, _ = pad([t["ids"][:-1] for _, t in batch])
        hidden = model(ids)
        rows, columns, targets = [], [], []
        for row, (_, t) in enumerate(batch):
            for p in range(len(t["ids"]) - t["scored"], len(t["ids"])):
                rows.append(row)
                columns.append(p - 1)
                targets.append(t["ids"][p])
        logits = model.head(hidden[rows, columns]).float()
        chances = torch.log_softmax(logits, dim=-1)[torch.arange(len(targets)), targets]
        for value, row in zip(chances.tolist(), rows):
            result[batch[row][0]] += value
    return result


def main():
    options = arguments("out").parse_args()
    model, examples = prepare(options)
    texts = [{"ids": e["trunk"] + label["ids"], "scored": label["scored"]}
             for e in examples for label in e["labels"]]
    start = time.monotonic()
    with torch.no_grad():
        result = (plain if options.kind == "plain" else tuned)(model, texts)
    seconds = time.monotonic() - start
    with open(options.out, "wb") as file:
        file.write(torch.tensor(result).numpy().tobytes())
    report(sum(len(e["trunk"]) for e in examples), seconds)


if __name__ == "__main__":
    main()
