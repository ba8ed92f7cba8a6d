"""Writes docs/results/question3.md, and its figures beside it, from a study's result. No number of it is typed."""
import csv
import os

from figures import curves
from page_parts import commands, deviation, interval, mean, number, p_text, table, time_taken
from question3_protocol import AVERAGE, WEIGHTS_ALONE

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
    return f"{name} (chosen variant)" if name == result["best"] else name


def orders_text(result, length):
    return ", ".join(result["protocol"]["orders"][length])


# ---- what agrees ----


def over(row):
    count = {"orders and seeds": f"{row['orders']} orders × {row['seeds']} seeds", "seeds": f"{row['seeds']} seeds",
             "orders": f"{row['orders']} orders, one seed"}
    return count.get(row["over"], "one stream")


def told_more(result, a, b):
    """What the first of a claim is told of a row, and the second is not."""
    return "" if result["told"][a] == result["told"][b] else f"{a}: {result['told'][a]}; {b}: {result['told'][b]}"


def verdicts(result, metric):
    streams, rows = Streams(result, "short_claims"), []
    for a, b, words in result["claims"]:
        row, paper = streams.comparison(a, b, metric), result["paper"]
        theirs = f"{(paper[a][0] - paper[b][0]) / 100:+.3f}" if metric == "cl" and a in paper and b in paper else ""
        if row is None:
            rows.append([f"{a} > {b} ({words})", theirs, *["–"] * 6, "undetermined: no order and seed that both have", told_more(result, a, b)])
            continue
        rows.append([f"{a} > {b} ({words})", theirs, f"{row['difference']:+.3f}", interval(row), p_text(row["p"]), p_text(row["p_adjusted"]),
                     number(row["detectable"]), over(row) + (f", {row['left_out']} left out" if row["left_out"] else ""), row["verdict"],
                     told_more(result, a, b)])
    return table(["claim", "in the paper", "difference", "95%", "p", "p (BH)", "detectable", "over", "verdict", "told of a row that it answers"], rows)


def by_order(result, part, metric):
    """Differences order by order. Of the long orders there is one seed, and no test."""
    streams, rows = Streams(result, part), []
    for a, b, _ in result["claims"]:
        cells, found = [], {}
        for order in streams.orders:
            one, other = streams.mean(a, order, metric), streams.mean(b, order, metric)
            if one and other:
                found[order] = one["mean"] - other["mean"]
            cells.append(f"{found[order]:+.3f}" if order in found else "–")
        if not found:
            continue
        others = [value for order, value in found.items() if order != result["protocol"]["tuning_order"]]
        paper = result["paper"]
        theirs = [f"{(paper[a][1] - paper[b][1]) / 100:+.3f}" if a in paper and b in paper else ""] if part == "long" and metric == "cl" else []
        rows.append([f"{a} − {b}", *cells, (f"{mean(others):+.3f}" if others else "–") if part == "short" else f"{mean(list(found.values())):+.3f}", *theirs])
    last = ["mean", *(["in the paper"] if metric == "cl" else [])] if part == "long" else [f"mean without {result['protocol']['tuning_order']}"]
    return table(["difference", *streams.orders, *last], rows)


WORDS = {"agrees": "yes", "does not": "no, none of the interval is above zero", "undetermined": "cannot be told at this size"}


def answer(result):
    """What the verdicts of the short orders say, question by question."""
    streams, best, units, control = Streams(result, "short_claims"), result["best"], result["best_units"], result["control"]
    roles, trials = result["roles"], result["trials"]
    weights, average = (roles[name] for name in (WEIGHTS_ALONE, AVERAGE))

    def said(a, b):
        texts = []
        for metric, name in (("cl", "CL"), ("fg", "FG")):
            row = None if a == b else streams.comparison(a, b, metric)
            texts.append(f"in {name} {WORDS[row['verdict'] if row else 'undetermined']}")
        return "; ".join(texts)

    def highest(name):
        return max(trial["cl"] or 0 for trial in trials[name])

    second = max((name for name in result["variants"] if name != best), key=highest)
    lines = [f"- The variant chosen beforehand, by validation on {result['protocol']['tuning_order']}, is *{best}* (CL {number(highest(best))} there; the next, {second}, "
             f"{number(highest(second))}). Above O-LoRA ({number(highest('o-lora'))} there)? {said(best, 'o-lora')}. Above adapters that each row is "
             f"routed to (epi)? {said(best, 'epi')}."]
    chosen = f"- Of those that answer as ncft does it is *{units}*. " if units != best else "- It answers as ncft does. "
    lines.append(f"{chosen}Above random units? {said(units, 'ncft-random')}. Above disjoint ones? {said(units, 'ncft-disjoint')}."
                 + (f" Above random units that have its options ({control})? {said(units, control)}." if control not in ("ncft-random", "ncft-disjoint") else ""))
    lines.append(f"- Does it matter which units of a layer are trained? ncft above random units: {said('ncft', 'ncft-random')}. Above disjoint ones: "
                 f"{said('ncft', 'ncft-disjoint')}. Found ones above random ones, where no unit is trained twice (exclusive against ncft-disjoint): "
                 f"{said('exclusive', 'ncft-disjoint')}.")
    lines.append(f"- Does it matter how few? Random units above all units: {said('ncft-random', 'all units')}. That it is units, and not the rest of the "
                 f"model? All units above seqft: {said('all units', 'seqft')}.")
    lines.append(f"- The paper's claims: w-ncft above seqft: {said('w-ncft', 'seqft')}. Above ncft: {said('w-ncft', 'ncft')}; at one rate: "
                 f"{said(weights, 'ncft')}. By similarity, above an even average: {said(weights, average)}. O-LoRA above w-ncft: {said('o-lora', 'w-ncft')}.")
    few = [name for name in result["variants"] if name not in result["main"]]
    if few:
        lines.append(f"- Of {', '.join(few)} there is one seed, on which nothing is concluded.")
    return lines + [""]


# ---- tables ----


def floors(result, part):
    """Of every order, what its tasks have before any training and by their commonest labels: (name, mean of each order)."""
    streams, before = Streams(result, part), {}
    for run in streams.found["runs"]:
        for task, value in zip(run["tasks"], run["zero_shot"]):
            if value is not None:
                before.setdefault(task, value)
    found = []
    for name, values in (("the commonest label of each task", result["commonest"][part]), ("before any training", before)):
        cells = []
        for order in streams.orders:
            tasks = result["streams"][order]
            cells.append(mean([values[task] for task in tasks]) if all(task in values for task in tasks) else None)
        found.append((name, cells))
    return found


def performance(result, part, names):
    streams = Streams(result, part)
    index, rows = (1 if part == "long" else 0), []
    for name, cells in floors(result, part):
        rows.append([f"*{name}*", *map(number, cells), number(mean(cells) if None not in cells else None), "", "", ""])
    for name in names:
        theirs = result["paper"].get(name)
        rows.append([title(result, name)] + [spread(streams.mean(name, order, "cl")) for order in streams.orders]
                    + [number(streams.overall(name, "cl")), f"{theirs[index] / 100:.3f}" if theirs else "", *counts(streams, name)])
    return table(["method"] + streams.orders + ["mean", "paper's mean", "streams", "diverged"], rows)


def learnt(streams, name):
    """Means over streams of what tasks have right after their own stage, and alone."""
    after, alone = [], []
    for run in streams.runs(name):
        after += [run["matrix"][i][i] for i in range(len(run["tasks"])) if run["matrix"][i][i] is not None]
        alone += [value for value in run["single"] if value is not None]
    return [number(mean(values) if values else None) for values in (after, alone)]


def single_tasks(result, part, name):
    """Of a reference, task by task beside the commonest label: which tasks the model learns at all."""
    streams, rows = Streams(result, part), []
    alone = {}
    for run in streams.runs(name):
        for i, task in enumerate(run["tasks"]):
            if run["single"][i] is not None:
                alone.setdefault(task, []).append(run["single"][i])
    for task, share in result["commonest"][part].items():
        rows.append([task, number(share), number(mean(alone[task]) if task in alone else None)])
    return table(["task", "commonest label", f"{name}: trained on it alone"], rows)


def counts(streams, name):
    """How many streams there are, and how many of them diverged and so are in no mean."""
    runs = streams.runs(name)
    return [str(len(runs)), str(sum("diverged" in run for run in runs) or "")]


def metrics(result, part, names):
    streams = Streams(result, part)
    rows = [[title(result, name), *learnt(streams, name)] + [number(streams.overall(name, key)) for key in METRICS] + counts(streams, name) for name in names]
    lines = table(["method", "after its own stage", "alone", *METRICS.values(), "streams", "diverged"], rows)
    return lines + [f"- {METRICS[key]} = {streams.found['formulas'][key]}" for key in METRICS] + [""]


def retention(result, part, folder):
    """Figure 4 of the paper: FG of every stage; as a figure, a table, and rows of a file."""
    streams, lines, drawn = Streams(result, part), [], []
    stages = max(len(run["fg"]) for run in streams.found["runs"])
    rows = []
    for name in result["main" if part == "short" else "beside"]:
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
        for part, names in (("short", result["arms"] + result["variants"]), ("long", result["beside"])):
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

    more = [name for name, tried in result["trials"].items() if len(tried) > protocol["trials"]]
    lines = [f"- Chosen on {protocol['tuning_order']} alone: {protocol['tuning']['rows']} train rows of each task, CL on "
             f"{protocol['tuning']['validation']} validation rows of each, a seed of its own.",
             f"- {orders_text(result, 'short')}: {sizes('short')}. {orders_text(result, 'long')}: {sizes('long')}. {protocol['epochs']} "
             f"epochs, batches of {protocol['batch']}; units are found on at most {protocol['detect']} of the rows that train.",
             f"- Seeds: {protocol['seeds']['short']} of the main methods on {orders_text(result, 'short')}, {protocol['seeds']['long']} on "
             f"{orders_text(result, 'long')}; one of the rest.",
             f"- One variant chooses its k by validation, on rows that its trials are not scored on; it trains every share, and so more often than the "
             "others, on more labelled rows.",
             f"- Trials are equal in number ({protocol['trials']}; of {', '.join(more) or 'none'} there are more, to its favour), not in what they try: methods "
             "with two settings try two values of each, though not every pair, and so whichever was chosen is at an end of what was tried. Of the others one at the end of its grid is named below; no "
             "grid was widened. CL of a trial is over few rows, and the luck in it is in no interval.",
             f"- {time_taken(result)}", ""]
    return lines + table(["method", "as it ran", "at the grid's end", "validation CL of every trial", "every setting"], rows)


def measured(result, folder):
    everything = result["arms"] + result["variants"]
    write_curves(result, folder)
    short, long = orders_text(result, "short"), orders_text(result, "long")
    return "\n".join(
        ["## What agrees with the paper", ""] + answer(result)
        + ["A claim is that the first method has the higher value: CL, what all tasks have at the end; FG, what earlier tasks have at the end over what "
           "they have alone. It *agrees* if the corrected p is at most .05 and the whole interval is above zero, *does not* if none of the interval is, at 95% "
           "and without a correction (which could only make it rarer); everything else is *undetermined*. p (BH) holds for the claims of one "
           "table, which were written before any stream was trained. Intervals are over orders and seeds. All streams are tested on the same rows: which "
           f"rows those are is in no interval. The orders are of the same tasks, two of them begin alike, and settings were chosen on {result['protocol']['tuning_order']}: "
           "what agrees does so for these tasks.", ""]
        + [f"### Performance at the end: CL on {short}", ""] + verdicts(result, "cl")
        + [f"### What is kept: FG on {short}", "", "A method that learns little alone has little to lose: FG stands beside what each learns, further down.", ""]
        + verdicts(result, "fg")
        + ["### Order by order", "", "Differences of CL, means over seeds.", ""] + by_order(result, "short", "cl")
        + [f"{long}: one seed, and so no test.", ""] + by_order(result, "long", "cl")
        + ["## Performance after the last task", "", "CL, mean ± standard deviation over seeds; the paper's are of Llama-2-7b. A task's labels are "
           "ranked among themselves: taking one task for another costs nothing here.", "",
           f"### {short}", ""] + performance(result, "short", everything)
        + [f"### {long}", ""] + performance(result, "long", result["beside"])
        + ["### Every task alone", ""] + single_tasks(result, "long", "per-task")
        + ["## Forgetting and transfer", "", f"Means over {short} and seeds.", ""] + metrics(result, "short", everything)
        + [f"{long}:", ""] + metrics(result, "long", result["beside"])
        + ["## Retention after every stage", "", "The paper's figure 4; every stream is in [question3-curves.csv](question3-curves.csv).", ""]
        + retention(result, "short", folder) + [f"{long}:", ""] + retention(result, "long", folder)
        + ["## Every pair of the main methods", "", f"{short}, over orders and seeds.", ""] + pairs(result)
        + ["## What it costs", "", f"Means over the stages of {short}, on one thread, {result['cores']} streams side by side "
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
