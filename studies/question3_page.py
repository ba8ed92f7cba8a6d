"""Writes docs/results/question3.md, and its figures beside it, from a study's result. No number of it is typed."""
import csv
import os

from figures import curves
from page_parts import commands, deviation, interval, mean, number, p_text, table, time_taken

# Metrics of a stream by their key in results, as tables head them.
METRICS = {"cl": "CL", "fg": "FG", "fg_diagonal": "FG-diag", "bwt": "BWT", "fwt": "FWT", "forgetting": "forgetting"}


class Streams:
    """Results of some arms on the orders of one length."""

    def __init__(self, result, part):
        self.found, self.texts = result[part], result["texts"]
        self.orders = list(dict.fromkeys(run["order"] for run in self.found["runs"]))

    def runs(self, name):
        return [run for run in self.found["runs"] if run["method"] == self.texts[name]]

    def mean(self, name, order, metric):
        return next((row for row in self.found["means"] if (row["method"], row["order"], row["metric"]) ==
                     (self.texts[name], order, metric)), None)

    def overall(self, name, metric):
        """Mean over orders of the means over seeds; nothing where an order has none."""
        rows = [self.mean(name, order, metric) for order in self.orders]
        return None if None in rows else mean([row["mean"] for row in rows])

    def comparison(self, a, b, metric):
        return next((row for row in self.found["comparisons"] if (row["a"], row["b"], row["metric"]) ==
                     (self.texts[a], self.texts[b], metric)), None)


def spread(row):
    if row is None:
        return "–"
    return number(row["mean"]) + ("" if row["sd"] is None else f" ± {row['sd']:.3f}")


def title(result, name):
    return f"{name} (best variant)" if name == result["best"] else name


def orders_text(result, length):
    return ", ".join(result["protocol"]["orders"][length])


# ---- what agrees ----


def over(row):
    count = {"orders and seeds": f"{row['orders']} orders × {row['seeds']} seeds", "seeds": f"{row['seeds']} seeds",
             "orders": f"{row['orders']} orders, one seed"}
    return count.get(row["over"], "one stream")


def verdicts(result):
    rows = []
    for index, part in enumerate(("short", "long")):
        streams, length = Streams(result, f"{part}_claims"), orders_text(result, part)
        for a, b, words in result["claims"]:
            row = streams.comparison(a, b, "cl")
            if row is None:
                rows.append([f"{a} > {b} ({words})", length, *["–"] * 8, "undetermined: no order and seed that both have"])
                continue
            paper = result["paper"]
            theirs = f"{(paper[a][index] - paper[b][index]) / 100:+.3f}" if a in paper and b in paper else ""
            rows.append([f"{a} > {b} ({words})", length, theirs, f"{row['difference']:+.3f}", interval(row), p_text(row["p"]),
                         p_text(row["p_adjusted"]), number(row["detectable"]), over(row), str(row["left_out"] or ""), row["verdict"]])
    return table(["claim", "orders", "in the paper", "difference", "95%", "p", "p (BH)", "detectable", "over", "streams left out",
                  "verdict"], rows)


def answer(result):
    """What the verdicts of the short orders say, in words that depend on nothing else."""
    streams, best, units, lines = Streams(result, "short_claims"), result["best"], result["best_units"], []
    trials, variants = result["protocol"]["trials"], len(result["variants"])

    def verdict(a, b):
        row = streams.comparison(a, b, "cl")
        return row["verdict"] if row else "undetermined"

    words = {"agrees": "yes", "does not": "no", "undetermined": "cannot be told at this size"}
    lines.append(f"- Does the best of our variants ({best}, of {variants} with {trials} trials each on validation rows; O-LoRA had {trials}) end above "
                 f"O-LoRA here? {words[verdict(best, 'o-lora')].capitalize()}.")
    lines.append("- Of the other variants there is one seed, on which nothing is concluded.")
    lines.append(f"- Does the best variant that answers as ncft does ({units}) end above random units, and above disjoint ones? "
                 f"{words[verdict(units, 'ncft-random')].capitalize()}; {words[verdict(units, 'ncft-disjoint')]}.")
    pair = [verdict("ncft", "ncft-random"), verdict("ncft", "ncft-disjoint")]
    matters = "agrees" in pair and "does not" not in pair
    neither = pair == ["does not", "does not"]
    lines.append("- Does detection matter, or only how few units a task may touch? "
                 + ("Detection does." if pair == ["agrees", "agrees"] else
                    "No gain from detection: neither control is below ncft." if neither else
                    "Against one of the two controls it does, against the other it cannot be told." if matters else
                    f"Not settled: against random units {words[pair[0]]}, against disjoint ones {words[pair[1]]}."))
    return lines + [""]


# ---- tables ----


def performance(result, part, names):
    streams = Streams(result, part)
    index, rows = (1 if part == "long" else 0), []
    for name in names:
        theirs = result["paper"].get(name)
        rows.append([title(result, name)] + [spread(streams.mean(name, order, "cl")) for order in streams.orders]
                    + [number(streams.overall(name, "cl")), f"{theirs[index] / 100:.3f}" if theirs else "", *counts(streams, name)])
    return table(["method"] + streams.orders + ["mean", "paper's mean", "streams", "diverged"], rows)


def counts(streams, name):
    """How many streams there are, and how many of them diverged and so are in no mean."""
    runs = streams.runs(name)
    return [str(len(runs)), str(sum("diverged" in run for run in runs) or "")]


def metrics(result, part, names):
    streams = Streams(result, part)
    rows = [[title(result, name)] + [number(streams.overall(name, key)) for key in METRICS] + counts(streams, name) for name in names]
    lines = table(["method", *METRICS.values(), "streams", "diverged"], rows)
    return lines + [f"- {METRICS[key]} = {streams.found['formulas'][key]}" for key in METRICS] + [""]


def retention(result, part, folder):
    """Figure 4 of the paper: FG of every stage; as a figure, a table, and rows of a file."""
    streams, lines, drawn = Streams(result, part), [], []
    stages = max(len(run["fg"]) for run in streams.found["runs"])
    rows = []
    for name in result["main"]:
        runs, points, cells = streams.runs(name), [], []
        for stage in range(1, stages):
            values = [run["fg"][stage] for run in runs if stage < len(run["fg"]) and run["fg"][stage] is not None]
            points.append((mean(values), None, None) if values else None)
            cells.append(f"{mean(values):.3f} ± {deviation(values):.3f}" if len(values) > 1 else number(values[0] if values else None))
        rows.append([title(result, name), *cells])
        if None not in points:
            drawn.append((name, points))
    places = [f"after {stage + 1}" for stage in range(1, stages)]
    name = f"question3-retention-{part}.svg"
    if drawn:
        curves(os.path.join(folder, name), places, drawn, "What is kept of earlier tasks", "tasks trained",
               "FG: accuracy over that of the task trained alone, mean over orders and seeds")
        lines += [f"![retention]({name})", ""]
    return lines + table(["FG (± sd over streams)", *places], rows)


def write_curves(result, folder):
    with open(os.path.join(folder, "question3-curves.csv"), "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["method", "settings", "order", "seed", "stage", "fg", "fg_diagonal"])
        for part, names in (("short", result["arms"] + result["variants"]), ("long", result["main"])):
            streams = Streams(result, part)
            for name in names:
                for run in streams.runs(name):
                    for stage, (fg, diagonal) in enumerate(zip(run["fg"], run["fg_diagonal"])):
                        rows.writerow([name, run["method"], run["order"], run["seed"], stage + 1, fg, diagonal])


def matrices(result):
    """Of one stream of every main arm: what is behind the means."""
    streams, lines = Streams(result, "short"), []
    for name in result["main"]:
        run = streams.runs(name)[0]
        rows = [[task, number(run["zero_shot"][i])] + [number(value) for value in run["matrix"][i]] + [number(run["single"][i])]
                for i, task in enumerate(run["tasks"])]
        lines += [f"{title(result, name)}, {run['order']}, seed {run['seed']}:", ""]
        lines += table(["task", "before", *(f"after {task}" for task in run["tasks"]), "alone"], rows)
    return lines


def pairs(result):
    streams, rows = Streams(result, "short_main"), []
    for row in streams.found["comparisons"]:
        if row["metric"] not in ("cl", "forgetting"):
            continue
        names = {text: name for name, text in result["texts"].items() if name in result["main"]}
        rows.append([METRICS[row["metric"]], names[row["a"]], names[row["b"]], f"{row['difference']:+.3f}", interval(row), p_text(row["p"]),
                     p_text(row["p_adjusted"]), number(row["detectable"]), row["verdict"]])
    return table(["metric", "a", "b", "a − b", "95%", "p", "p (BH)", "detectable", "a is better"], rows)


def costs(result):
    streams, rows = Streams(result, "short"), []
    for name in result["arms"] + result["variants"]:
        stages = [stage for run in streams.runs(name) for stage in run["stages"]]
        if not stages:
            continue
        rows.append([title(result, name), result["told"][name], f"{mean([stage['trained_values'] for stage in stages]):,.0f}",
                     f"{mean([stage['stored_bytes'] for stage in stages]) / 1e6:.2f} MB",
                     f"{max(stage['shared_bytes'] for stage in stages) / 1e6:.2f} MB", claimed(stages),
                     f"{mean([stage['training_seconds'] for stage in stages]):.0f} s",
                     f"{1e6 * sum(stage['training_seconds'] for stage in stages) / sum(stage['tokens'] for stage in stages):.0f} µs",
                     f"{mean([stage['detection_seconds'] + stage['memory_seconds'] for stage in stages]):.1f} s",
                     f"{max(stage['peak_memory_bytes'] for stage in stages) / 1e6:.0f} MB"])
    return table(["method", "told of a row that it answers", "trained values", "kept per task", "kept once", "of the units, trained before", "training of a stage", "per token", "finding and remembering",
                  "peak memory"], rows)


def claimed(stages):
    """Share of the units of later stages that an earlier one had trained."""
    units = sum(stage["units"] for stage in stages)
    return f"{sum(stage['claimed_units'] for stage in stages) / units:.0%}" if units else ""


def settings(result):
    rows = []
    streams = Streams(result, "short")
    for name in result["arms"] + result["variants"]:
        every = next((run["settings"] for run in streams.runs(name)), {})
        rows.append([title(result, name), f"`{result['texts'][name]}`", ", ".join(result["edges"].get(name, ())),
                     "; ".join(f"{trial['text'].partition(':')[2]}: {number(trial['cl'])}" for trial in result["trials"].get(name, ())),
                     ", ".join(f"{key} {value}" for key, value in every.items())])
    protocol = result["protocol"]
    def sizes(length):
        tested = f"{protocol['test'][length]} test rows" if protocol["test"][length] else "all test rows"
        return f"up to {protocol['train'][length]} train rows of each task, {tested}"

    lines = [f"- Chosen on {protocol['tuning_order']} alone: {protocol['tuning']['rows']} train rows of each task, CL on "
             f"{protocol['tuning']['validation']} validation rows, a seed of its own. The streams train on more rows, and so for more steps: the "
             "best rate there may be a lower one.",
             f"- {orders_text(result, 'short')}: {sizes('short')}. {orders_text(result, 'long')}: {sizes('long')}. {protocol['epochs']} "
             f"epochs, batches of {protocol['batch']}; units are found on at most {protocol['detect']} of the rows that train.",
             f"- Seeds: {protocol['seeds']['short']} of the main methods on {orders_text(result, 'short')}, {protocol['seeds']['long']} on "
             f"{orders_text(result, 'long')}; one of the rest.",
             f"- The best variant has the highest validation CL in its trials: {result['best']}; of those that answer as ncft does, "
             f"{result['best_units']}. One that chooses its k by validation does so on rows that its trials are not scored on; it trains every share, and so "
             "more often than the others, on more labelled rows.",
             "- Trials are equal in number, not in what they try: methods with two settings try two values of each, and a value at the end of three or "
             "more that were tried is named below; no grid was widened. CL of a trial is over few rows, and the luck in it is in no interval.",
             f"- {time_taken(result)}", ""]
    return lines + table(["method", "as it ran", "at the grid's end", "validation CL of every trial", "every setting"], rows)


def measured(result, folder):
    everything = result["arms"] + result["variants"]
    write_curves(result, folder)
    return "\n".join(
        ["## What agrees with the paper", ""] + answer(result)
        + ["A claim is that the first method has the higher CL. It *agrees* if the corrected p is at most .05 and the whole interval is above "
           "zero, *does not* if none of the interval is (which no correction makes stricter); everything else is *undetermined*, as is all "
           "that one seed says. p (BH) holds for these claims, which were written beforehand; below, every pair of the main methods. Intervals are over orders and seeds; all streams are tested on "
           "the same rows, so that which rows those are is in no interval.", ""]
        + verdicts(result)
        + ["## Performance after the last task", "", "CL, mean ± standard deviation over seeds; the paper's are of Llama-2-7b.", "",
           f"### {orders_text(result, 'short')}", ""] + performance(result, "short", everything)
        + [f"### {orders_text(result, 'long')}", ""] + performance(result, "long", result["main"])
        + ["## Forgetting and transfer", "", f"Means over {orders_text(result, 'short')} and seeds.", ""] + metrics(result, "short", everything)
        + [f"{orders_text(result, 'long')}:", ""] + metrics(result, "long", result["main"])
        + ["## Retention after every stage", "", "The paper's figure 4; every stream is in [question3-curves.csv](question3-curves.csv).", ""]
        + retention(result, "short", folder) + [f"{orders_text(result, 'long')}:", ""] + retention(result, "long", folder)
        + ["## Every pair of the main methods", "", f"{orders_text(result, 'short')}, over orders and seeds.", ""] + pairs(result)
        + ["## What it costs", "", f"Means over the stages of {orders_text(result, 'short')}, on one thread, {result['cores']} streams side by side "
           "(peak memory and what is kept once: the largest).", ""] + costs(result)
        + ["## One stream of each", ""] + matrices(result)
        + ["## Settings", ""] + settings(result)
        + ["## Commands", "", "One of each kind.", ""] + commands(result))


def write(result, path):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "question3_introduction.md")) as file:
        introduction = file.read().format(parameters=result["model"]["parameters"] / 1e6, cores=result["cores"],
                                          train=result["protocol"]["train"]["short"], epochs=result["protocol"]["epochs"],
                                          trials=result["protocol"]["trials"])
    with open(path + ".part", "w") as file:
        file.write(introduction + "\n" + measured(result, os.path.dirname(os.path.abspath(path))))
    os.rename(path + ".part", path)
