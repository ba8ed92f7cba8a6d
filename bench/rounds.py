"""Rounds in which warm workers take turns: A B C A B C, one running while the others wait."""
import statistics

import measure


def summary(rates):
    return {"tokens_per_second": statistics.median(rates), "low": min(rates), "high": max(rates), "all": rates}


def interleaved(workers, rounds, lines):
    """workers: name -> Worker; lines: name -> the command of a pass. One pass of each to warm up, then
    the rounds. Returns name -> its summary, peak and the answer of its first pass; a worker that fails
    is told of and left out."""
    first, rates, failures = {}, {name: [] for name in workers}, {}
    for turn in range(rounds + 1):
        for name, worker in workers.items():
            if name in failures:
                continue
            try:
                answer = worker.ask(lines[name])
            except (measure.Failed, OSError) as error:
                failures[name] = str(error)
                print(f"  {name}: failed: {error}", flush=True)
                continue
            if turn == 0:
                first[name] = answer
            else:
                rates[name].append(answer["tokens"] / answer["seconds"])
    runs = {}
    for name, worker in workers.items():
        if name in failures:
            continue
        runs[name] = dict(summary(rates[name]), peak_anonymous_bytes=worker.peak, first=first[name],
                          tokens=first[name]["tokens"])
        print(f"  {runs[name]['tokens_per_second']:9.1f} tokens/s ({runs[name]['low']:.0f} to {runs[name]['high']:.0f})"
              f"  {worker.peak / 2**20:6.0f} MiB  {name}", flush=True)
    return runs


def ratio(runs, ours, other):
    """The ratio of medians, and the least and the largest of a round."""
    by_round = [a / b for a, b in zip(runs[ours]["all"], runs[other]["all"])]
    return {"value": runs[ours]["tokens_per_second"] / runs[other]["tokens_per_second"],
            "low": min(by_round), "high": max(by_round)}
