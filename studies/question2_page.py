"""Writes docs/results/question2.md, and its figures beside it, from a study's result. No number of it is typed."""
import os

from figures import curves, heatmap, tree
from page_parts import CONTRAST, commands, contrast, mean, metric_name, number, p_text, table, time_taken
from question2_kinds_page import kinds
from question2_protocol import DEFINITIONS, SAME_TYPE, TOP
from question2_verdicts import carries, correct, find, limits, own_metric, peak_words, verdicts

QUANTITIES = ("specialization", "generalization", "mean")


def measure_name(row):
    return metric_name(row["metric"]) if row["measure"] == "value" else f"loss ({metric_name(row['metric'])} tasks)"


def with_interval(point, key="mean"):
    if point["low"] is None:
        return number(point[key])
    return f"{point[key]:.3f} ({point['low']:.3f} … {point['high']:.3f})"


# ---- the share of units ----

def share_figures(result, folder):
    lines = []
    for kind, sweep in result["sweeps"].items():
        for trained in ("together", "alone"):
            for quantity in ("specialization", "generalization"):
                found = find(sweep["curves"], trained=trained, quantity=quantity, metric=own_metric(kind), measure="value")
                if not found:
                    continue
                name = f"question2-{kind}-{trained}-{quantity}.svg"
                curves(os.path.join(folder, name), sweep["tops"],
                       [(f"{curve['arm']} units", [(p["mean"], p["low"], p["high"]) for p in curve["points"]]) for curve in found],
                       f"{quantity.capitalize()}: {kind} tasks trained {trained}", "share of units that are trained",
                       f"mean {metric_name(own_metric(kind))} of " + ("the trained tasks" if quantity == "specialization" else
                                                                      "other tasks of this type"), found[0]["base"])
                lines.append(f"![{quantity}, {kind}, {trained}]({name})")
    return lines + [""]


def floor(result, kind, curve):
    """What always saying the commonest label scores on the tasks that a curve of accuracy is the mean of; nothing for other measures."""
    if curve["measure"] != "value" or curve["metric"] != "accuracy":
        return "–"
    group = result["protocol"]["groups"][kind]
    parts = {"specialization": ("train",), "generalization": ("other", "transfer"), "mean": ("train", "other", "transfer")}[curve["quantity"]]
    return number(mean([result["majority"][name] for part in parts for name in group[part] if name in result["majority"]]))


def held(result):
    """How alike own and random units are at every share."""
    rows = [[top, f"{min(by_task.values()):.0%} to {max(by_task.values()):.0%}"] for top, by_task in result["held"].items()]
    return ["Random units have the own set's layer profile, and so hold more of it than chance over the whole model would give; the more units are trained, the "
            "less own and random ones differ, and the less a null result says:", ""] + table(["share", "own units that random ones hold"], rows)


def share_tables(result):
    lines = []
    for kind, sweep in result["sweeps"].items():
        for trained in ("together", "alone"):
            found = find(sweep["curves"], trained=trained)
            rows = []
            for curve in sorted(found, key=lambda c: (QUANTITIES.index(c["quantity"]), c["metric"], c["measure"] == "loss")):
                rows.append([curve["quantity"], measure_name(curve), curve["arm"], floor(result, kind, curve), number(curve["base"])]
                            + [with_interval(point) for point in curve["points"]] + [peak_words(curve)])
            seeds = found[0]["seeds"]
            lines += [f"### {kind.capitalize()} tasks, trained {trained}", "",
                      f"{seeds} training{'s' if seeds > 1 else ''} of each; 95% intervals over "
                      f"{'trainings and examples' if seeds > 1 else 'examples alone, so no two shares can be told apart'}.", ""]
            lines += table(["mean of", "measure", "units", "commonest label", "before"] + sweep["tops"] + ["best"], rows)
            rows = []
            for difference in find(sweep["differences"], trained=trained):
                for point in difference["points"]:
                    rows.append([difference["quantity"], measure_name(difference), point["top"]] + contrast(point) + [point["verdict"]])
            if rows:
                lines += ["Own minus random" + (" (over the models of the tasks)" if seeds == 1 else "") + ":", ""]
                lines += table(["mean of", "measure", "share"] + CONTRAST + ["own is better"], rows)
    return lines


def transfer(result):
    """What training on one type does to the other."""
    rows = []
    for kind, sweep in result["sweeps"].items():
        for curve in find(sweep["curves"], trained="together", quantity="generalization"):
            if curve["metric"] != own_metric(kind):
                rows.append([kind, measure_name(curve), curve["arm"], floor(result, kind, curve), number(curve["base"])]
                            + [with_interval(point) for point in curve["points"]])
    tops = next(iter(result["sweeps"].values()))["tops"]
    return table(["trained on", "the other type", "units", "commonest label", "before"] + tops, rows)


def overlap_control(result):
    lines = []
    for kind, sweep in result["sweeps"].items():
        rows = []
        for curve in sweep["overlap_control"]["curves"]:
            if curve["slope"]:
                rows.append([curve["top"], measure_name(curve),
                             "; ".join(f"{point['share']:.2f}: {with_interval(point)}" for point in curve["points"])]
                            + contrast(curve["slope"]) + [curve["slope"]["verdict"]])
        lines += [f"{kind.capitalize()} tasks trained:", ""] + table(
            ["units", "measure", "share of the test task's own: mean", "per share of 1"] + CONTRAST[1:] + ["own is better"], rows)
    return lines


# ---- overlap ----

def task_of(path):
    return os.path.splitext(os.path.basename(path))[0]


def overlap(result, folder):
    types, pairs, lines = result["tasks"], result["overlap"]["tasks"]["pairs"], []
    rows = []
    for top in dict.fromkeys(pair["top"] for pair in pairs):
        for name, wanted in pair_kinds(types):
            chosen = [p for p in pairs if p["top"] == top and {types[task_of(p["a"])], types[task_of(p["b"])]} == wanted]
            if not chosen:
                continue
            jaccard = sum(p["jaccard"] for p in chosen) / len(chosen)
            expected = sum(p["expected"] for p in chosen) / len(chosen)
            rows.append([top, name, str(len(chosen)), number(jaccard), number(expected), f"{jaccard / expected:.2f}",
                         str(sum(p["p_adjusted"] <= 0.05 for p in chosen))])
    lines += ["Means over pairs of tasks; p, corrected over all pairs and sizes, of at least so much in common:", ""]
    lines += table(["units", "tasks", "pairs", "Jaccard", "by chance", "ratio", "pairs with p ≤ .05"], rows)
    rows = []
    for top, found in result["overlap"]["unions"].items():
        for pair in found["pairs"]:
            independent = pair.get("independent")
            rows.append([top, union_name(pair["a"]), union_name(pair["b"]), number(pair["jaccard"]), number(pair["expected"]),
                         f"{pair['ratio']:.2f}", number(independent["expected_jaccard"]) if independent else "–",
                         f"{independent['ratio']:.2f}" if independent else "–"])
    lines += ["Unions over groups (the paper's table 8), by chance with the unions' own sizes, and with every member set drawn anew:", ""]
    lines += table(["units", "union", "union", "Jaccard", "by chance", "ratio", "members drawn", "ratio"], rows)
    names, top = list(types), TOP
    value = {frozenset((task_of(p["a"]), task_of(p["b"]))): (p["jaccard"] - p["expected"]) / (1 - p["expected"])
             for p in pairs if p["top"] == top}
    matrix = [[None if a == b else value[frozenset((a, b))] for b in names] for a in names]
    heatmap(os.path.join(folder, "question2-overlap.svg"), names, matrix,
            f"Overlap beyond chance, top {top}: 0 as by chance, 1 the same units", "", "")
    lines += ["![overlap beyond chance](question2-overlap.svg)", ""]
    lines += layers_of_overlap(pairs, types) + clusters(result, folder)
    at = next(entry for entry in result["overlap"]["tasks"]["per_top"] if entry["top"] == top)
    rows = [[f"in {entry['at_least']} or more", str(entry["units"]), f"{entry['expected']:.1f}", f"{entry['ratio']:.2f}" if entry["ratio"] else "–",
             p_text(entry["p"]), " ".join(map(str, next(iter(entry["layers"].values()))))] for entry in at["core"]]
    lines += [f"Units that tasks share, top {top}, and how many are in each layer:", ""]
    lines += table(["sets", "units", "by chance", "ratio", "p", "by layer"], rows)
    rows = [[task_of(entry["set"]), str(entry["units"]), f"{entry['expected']:.1f}", f"{entry['ratio']:.2f}" if entry["ratio"] else "–",
             " ".join(map(str, next(iter(entry["layers"].values()))))] for entry in at["private"]]
    lines += ["Units of one task alone:", ""] + table(["task", "units", "by chance", "ratio", "by layer"], rows)
    return lines


def layers_of_overlap(pairs, types):
    """Where in the model tasks overlap: means over pairs, layer by layer."""
    rows = []
    for name, wanted in pair_kinds(types):
        chosen = [p for p in pairs if p["top"] == TOP and {types[task_of(p["a"])], types[task_of(p["b"])]} == wanted]
        by_layer = zip(*(pair["layers"] for pair in chosen))
        cells = [f"{mean([one['jaccard'] for one in layer]):.2f} ({mean([one['expected'] for one in layer]):.2f})" for layer in by_layer]
        if cells:
            rows.append([name] + cells)
    if not rows:
        return []
    return [f"The same layer by layer, top {TOP}: Jaccard, and in brackets by chance:", ""] + table(
        ["tasks"] + [f"layer {l}" for l in range(len(rows[0]) - 1)], rows)


def clusters(result, folder):
    """Tasks by overlap: those whose units are most alike meet first."""
    at = next(entry for entry in result["overlap"]["tasks"]["per_top"] if entry["top"] == TOP)
    found = next(one for one in at["clusters"] if one["distance"] == "jaccard")
    tree(os.path.join(folder, "question2-clusters.svg"), [task_of(path) for path in found["sets"]], found["merges"],
         f"Tasks by the overlap of their top {TOP}", "mean of 1 − Jaccard between the two sides")
    return ["![tasks by overlap](question2-clusters.svg)", ""]


def pair_kinds(types):
    return (("classification", {"classification"}), ("generation", {"generation"}), ("one of each", set(types.values())))


def union_name(argument):
    return " + ".join(task_of(part).removeprefix("base-").rsplit("-", 1)[0] for part in argument.split("+"))


# ---- similarity and correlation ----

def similarity(result, folder):
    rows = []
    for trained in ("all", "classification", "generation"):
        for group in result["correlations"][f"{trained} value"]["groups"]:
            columns = {column["column"]: column for column in group["columns"]}
            there = [columns[name] for name in (*DEFINITIONS, "overlap_only", "overlap")]
            rows.append([trained, group["group"], str(max(column["spearman"]["points"] for column in there))]
                        + [number(column["x_mean"]) for column in there])
    lines = table(["models trained on", "test task", "models", *DEFINITIONS, "masked, all norms equal", "Jaccard in the base model"], rows)
    drawn = []
    for trained in ("classification", "generation"):
        for tested in ("classification", "generation"):
            chosen = [row["layers"] for row in result["pairs"] if (row["trained"], row["type"]) == (trained, tested)]
            by_layer = [[value for value in layer if value is not None] for layer in zip(*chosen)]
            if by_layer and all(by_layer):
                drawn.append((f"{trained[:5]}. → {tested[:5]}.", [(mean(layer), None, None) for layer in by_layer]))
    if drawn:
        curves(os.path.join(folder, "question2-similarity.svg"), [str(l) for l in range(len(drawn[0][1]))], drawn,
               "Similarity of parameters by layer: trained on → set of", "layer", "mean of the masked similarity over models and tasks")
        lines += ["![similarity by layer](question2-similarity.svg)", ""]
    return lines


def correlation_rows(found, kind):
    rows = []
    for group in found["groups"]:
        for column in group["columns"]:
            entry = column[kind]
            rows.append([group["group"], column["column"], str(entry["points"]), number(entry["value"]),
                         "–" if entry.get("low") is None else f"{entry['low']:+.2f} … {entry['high']:+.2f}", p_text(entry.get("p")),
                         p_text(entry.get("smallest_p")), p_text(entry.get("p_adjusted")), entry.get("reason", "")])
        late = group.get("late_minus_early", {}).get(kind)
        if late:
            rows.append([group["group"], "last band − first band", str(late["points"]), number(late["value"]),
                         "–" if late.get("low") is None else f"{late['low']:+.2f} … {late['high']:+.2f}", "", "", "", late.get("reason", "")])
    return rows


def left_out(by_name):
    """Which targets no source tells apart."""
    names = dict.fromkeys(task for found in by_name.values() for task in found["constant_targets"])
    return f"Left out as a target where all models do it alike: {', '.join(names)}." if names else ""


def correlations(result):
    rows = []
    for name, found in result["associated"].items():
        for score in found["scores"]:
            known = score["name"] != SAME_TYPE or score["value"] is not None
            if score["name"] not in ("source mean", "target mean") and known:
                rows.append([*name.split(), score["name"], str(score["entries"]), number(score["value"]), limits(score), p_text(score.get("p")),
                             p_text(score["p_adjusted"])])
    lines = ["Rank correlation with performance (\"loss\": minus the loss), both standardised within a test task, over all pairs of a model and another "
             "task. p relabels the tasks, those of each type among themselves: what a model or a task is like everywhere counts for nothing, nor does being of one type, "
             f"which stands beside as a column of its own ({SAME_TYPE}). Intervals leave out a task at a time, and know nothing of types; p (BH) is corrected over "
             "the lines with one name in the third column. masked, mean, ranked: the three definitions of similarity (docs/method.md). "
             + left_out(result["associated"]), ""]
    lines += table(["models and tasks", "performance", "column", "pairs", "rank correlation", "95%", "p", "p (BH)"], rows)
    rows = [[*name.split(), one["name"], one["against"], number(one["difference"]), limits(one)]
            for name, found in result["associated"].items() for one in found["comparisons"]]
    lines += ["One column minus another:", ""] + table(["models and tasks", "performance", "column", "minus", "difference", "95%"], rows)
    lines += ["Task by task, all models, minus the loss; p over all orders of the models, or over drawn ones where there are more than nine, BH over tasks:", ""]
    lines += table(["test task", "column", "models", "rank correlation", "95%", "p", "smallest p", "p (BH)", ""],
                   correlation_rows(result["correlations"]["all loss"], "spearman"))
    return lines


# ---- forecast ----

def forecast(result, folder):
    names, found = list(result["tasks"]), result["forecast"]["found"]
    heatmap(os.path.join(folder, "question2-matrix.svg"), names, result["forecast"]["matrix"], "What training on one task does to the others",
            "trained on", "fall of the loss, nats")
    rows = [[score["name"], score["kind"], number(score["value"]), "–" if score.get("low") is None else f"{score['low']:+.2f} … {score['high']:+.2f}",
             p_text(score.get("p")), p_text(score.get("smallest_p")), number(score["pooled"])] for score in found["scores"]]
    lines = ["![what training on one task does to the others](question2-matrix.svg)", ""]
    lines += table(["forecast by", "kind", "rank correlation", "95%", "p", "smallest p", "pooled"], rows)
    rows = [[one["name"], one["against"], number(one["difference"]), "–" if one.get("low") is None else f"{one['low']:+.2f} … {one['high']:+.2f}"]
            for one in found["comparisons"]]
    return lines + table(["forecast by", "minus", "difference", "95%"], rows)


# ---- settings ----

def settings(result):
    protocol, lines = result["protocol"], []
    for kind, group in protocol["groups"].items():
        lines.append(f"- {kind.capitalize()}: trained {', '.join(group['train'])}; others {', '.join(group['other'])}; of the other type "
                     f"{', '.join(group['transfer'])}.")
    lines += [
        f"- Relevance: {protocol['detect']} training rows of each task in the base model.",
        f"- Shares: {protocol['seeds']} trainings together, {protocol['alone_seeds']} alone; up to {protocol['train']['classification']} training rows "
        f"for {protocol['epochs']['classification']} epochs (classification), {protocol['train']['generation']} for "
        f"{protocol['epochs']['generation']} (generation); all test rows of classification tasks, {protocol['generate']} of generation tasks.",
        f"- Learning rates, for own and random units, every share and way of training apart: from {', '.join(protocol['rates'])}, growing, by "
        f"validation loss after one epoch on {protocol['tuning']['rows']} rows of each task.",
        f"- The model of each task: all parameters, {protocol['model_epochs']} epochs, rate by validation; relevance in it from "
        f"{protocol['model_detect']} rows; {protocol['matrix']} test rows of every task.",
        f"- Core: units in the sets of at least {protocol['core']:.0%} of the tasks; private: in one set alone; contrastive: relevance minus the mean of the "
        f"other tasks'. Off: {protocol['off_sets']} matched random sets, {protocol['off']} test rows; trained: {protocol['kind_sets']}, one training each, on up to {protocol['kind_train']['classification']} rows "
        f"(classification) or {protocol['kind_train']['generation']} (generation), {protocol['kind_epochs']} epochs, {protocol['off']} test rows.",
        f"- Overlap control: sets of {' and '.join(protocol['overlap_tops'])}, of which {', '.join(f'{float(share):.0%}' for share in protocol['shares'])} are own, one training each. "
        f"Forecasts and associations: {protocol['affinity']} rows for gradients, {protocol['relabellings']} relabellings; similarity by quarters of the layers.",
        f"- The model in which units are switched off: trained on all tasks, all parameters, up to {max(protocol['train'].values())} rows of each, {protocol['model_epochs']} "
        "epochs. Perplexity of unrelated text was not measured here: that own units cost their tasks more than random ones does not tell a task's units from "
        "units that everything needs; the tests of what is specific do.",
        f"- {time_taken(result)}", ""]
    rows = []
    for kind, sweep in result["sweeps"].items():
        for rate in sweep["rates"]:
            rows.append([kind, rate["trained"] + (f" on {rate['on']}" if "on" in rate else ""), rate["arm"], rate["top"], f"{rate['rate']:g}",
                         ", ".join(f"{tried['rate']:g}: {number(tried['loss'])}" for tried in rate["tried"]), "yes" if rate["at_edge"] else ""])
    return lines + (table(["group", "trained", "units", "share", "rate", "validation losses", "best at the grid's end"], rows) if rows else [])


def measured(result, folder):
    return "\n".join(
        ["## What agrees with the paper", "", "Verdicts are *agrees*, *does not*, *undetermined* (it was not seen) and *no test* (one training, or one set for all tasks):", "",
         "- A peak *agrees* if the share that the paper names is best and told from all others; *does not*: another is best, and told from it.",
         "- Own minus random, by `taskneuron` itself (docs/method.md): *agrees* needs a corrected p of at most .05 and the whole interval on the claimed side; *does "
         "not* an interval that leaves out every difference on that side, and no more: it is the weaker of the two.",
         "- Rank correlations, and what is specific: *agrees* is a corrected p of at most .05 in the claimed direction. Where there is an interval alone, it is one above 0.",
         "- p is corrected (Benjamini-Hochberg) over both types of task, and, of what is specific, over kinds of units, or over what is held against performance or "
         "forecasts it. Intervals are not corrected, nor is anything for there being many claims.",
         "- Alone: in how many tasks, each by itself, the corrected p is at most .05. Tests over tasks take the tasks' sets as drawn apart, though they overlap (see \"Core "
         "and private units\"), so that their p are too small by an unknown amount.",
         "- Without one task: the lowest and the highest mean when any one of them is left out.", ""]
        + verdicts(result)
        + ["## What this size can carry", ""] + carries(result)
        + ["## The share of units that are trained", "", "Specialization: mean over the trained tasks; generalization: over others; bars are 95% "
           "intervals. Commonest label: what always saying it scores on those tasks; what lies at or below it has not been learnt. Every share, and own and random units "
           "apart, train at a rate chosen by validation from a grid that may have grown to other rates for one than for another (Settings): shares differ in "
           "rates too, and what random units show as well is no property of own ones.", ""] + share_figures(result, folder) + held(result) + share_tables(result)
        + ["### Across types", "", "Trained together, tested on tasks of the other type:", ""] + transfer(result)
        + ["## Trained overlap", "", "As many units as the test task's own set, of which a share are its own; the rest are drawn from the others in the same "
           "layers. Where a layer has too few others the least share is above 0. The learning rate is that of random units, which if anything favours the smaller shares.", ""] + overlap_control(result)
        + ["## Overlap of tasks", ""] + overlap(result, folder)
        + ["## Similarity of parameters", "", "In the model of each task: its units against those of every other task, means over layers, and over models.", ""]
        + similarity(result, folder)
        + ["## Does it go with performance?", ""] + correlations(result)
        + ["## Forecast", "", "Predictors and their average: from the base model, before any training; ridge and the means read what other pairs did. Measured: one "
           "training on each task. Rank correlation with the changes off the diagonal, both standardised within each target (pooled: as they are); p relabels the tasks, "
           "those of each type among themselves, intervals leave out a task at a time.", ""] + forecast(result, folder)
        + ["## Core and private units", ""] + kinds(result)
        + ["## Settings", ""] + settings(result)
        + ["## Commands", "", "One of each kind.", ""] + commands(result))


def write(result, path):
    correct(result)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "question2_introduction.md")) as file:
        introduction = file.read().format(parameters=result["model"]["parameters"] / 1e6, cores=result["cores"])
    with open(path + ".part", "w") as file:
        file.write(introduction + "\n" + measured(result, os.path.dirname(os.path.abspath(path))))
    os.rename(path + ".part", path)
