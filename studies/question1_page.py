"""Writes the measured part of docs/results/question1.md, and its figures beside it, from a study's result."""
import os

from figures import heatmap
from inference import deviation, diagonal_test, mean, own_minus_random, paired_difference

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def p_text(p):
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def interval(low, high):
    return "undefined" if low is None else f"{low:+.3f} … {high:+.3f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def contrast(entry):
    return [f"{entry['difference']:+.3f}", interval(entry["low"], entry["high"]), p_text(entry["p"])]


def deactivation(result):
    main = result["deactivation"]["main"]
    header = ["task", "metric", "n", "original", "random off (matched)", "random off (uniform)", "own off",
              "own − random", "95%", "p"]
    rows = []
    for entry in main["results"]:
        random = {kind: [r["value"] for r in entry["random"] if r["kind"] == kind] for kind in ("matched", "uniform")}
        rows.append([entry["task"], entry["metric"], str(entry["examples"]), f"{entry['original']['value']:.3f}"]
                    + [f"{mean(v):.3f} ± {deviation(v):.3f}" for v in random.values()]
                    + [f"{entry['off'][entry['task']]['value']:.3f}"]
                    + contrast(entry["own_minus_random"]["matched"]["value"]))
    for entry in main["averages"]:
        rows.append([f"**mean of {entry['tasks']}**", entry["metric"], "", f"**{entry['original']['value']:.3f}**"]
                    + [f"**{entry['random'][kind]['value']:.3f} ± {entry['random'][kind]['value_sd']:.3f}**"
                       for kind in ("matched", "uniform")] + [f"**{entry['own']['value']:.3f}**"]
                    + contrast(entry["own_minus_random"]["matched"]["value"]))
    lines = table(header, rows)
    rows = [[f"mean of {e['tasks']}, {e['metric']}", f"{e['original']['loss']:.3f}", f"{e['random']['matched']['loss']:.3f}",
             f"{e['random']['uniform']['loss']:.3f}", f"{e['own']['loss']:.3f}"]
            + contrast(e["own_minus_random"]["matched"]["loss"]) for e in main["averages"]]
    lines += ["The same in answer loss (nats per token):", ""]
    return lines + table(["tasks", "original", "random off (matched)", "random off (uniform)", "own off", "own − random", "95%",
                          "p"], rows)


def side_effect(result):
    found = result["deactivation"]["main"].get("perplexity")
    if not found:
        return []
    entry = found[0]
    rows = [[off["task"], f"{off['own']:.1f}"] + [f"{mean(off['random'][k]):.1f} ± {deviation(off['random'][k]):.1f}"
                                                 for k in ("matched", "uniform")] for off in entry["off"]]
    return [f"### Side effect: perplexity of {entry['tokens']} tokens of WikiText-2", "",
            f"With nothing off it is {entry['original']:.1f}.", ""] \
        + table(["units off of", "own", "random (matched)", "random (uniform)"], rows)


def matrix_lines(name, names, matrix, test, title, folder, row_title, column_title, what):
    path = f"question1-{name}.svg"
    heatmap(os.path.join(folder, path), names, matrix, title, row_title, column_title)
    return [f"![{title}]({path})", "",
            f"{what}: the diagonal lies {test[0]:.2f} column standard deviations above the rest, "
            + (f"p = {p_text(test[1])}" if test[1] is not None else "too few tasks for a p")
            + f" ({test[2]:,} row orders within task types).", ""]


def deactivation_matrices(result, folder):
    found = result["deactivation"]["main"]["cross_matrices"][0]
    lines = []
    for key, title in (("value", "Change of metric"), ("loss", "Change of loss")):
        test = found[f"{key}_test"]
        lines += matrix_lines(f"off-{key}", found["tasks"], found[f"{key}_change"], (test["statistic"], test["p"], test["orders"]),
                              f"{title} when a task's units are off", folder, "units off of", "evaluated on",
                              title + (" (as a drop)" if key == "value" else ""))
    return lines


def training(result):
    examples, matrix = result["training"]["examples"], result["training"]["matrix"]
    zero = result["training"]["zero"]
    header = ["task", "metric", "zero-shot", "random trained", "own trained", "own − random", "95%", "p", "own − zero", "p"]
    rows, groups = [], {}
    for name in result["names"]:
        parts = {"zero": examples["zero"][name], "task": examples["task"][name]}
        random = examples["random"][name]
        at_random = [mean(seed["scores"]) for seed in random]
        against = (parts["task"]["scores"], [seed["scores"] for seed in random])
        against_zero = [t - z for t, z in zip(parts["task"]["scores"], parts["zero"]["scores"])]
        found, over_zero = own_minus_random([against]), paired_difference([against_zero])
        rows.append([name, zero[name]["metric"], f"{zero[name]['value']:.3f}",
                     f"{mean(at_random):.3f} ± {deviation(at_random):.3f}", f"{matrix[name][name]['value']:.3f}"]
                    + contrast(found) + [f"{over_zero['difference']:+.3f}", p_text(over_zero["p"])])
        group = groups.setdefault(zero[name]["metric"], {"zero": [], "random": [], "task": [], "against": [], "over": [],
                                                         "loss": [], "losses": []})
        group["zero"].append(zero[name]["value"])
        group["random"].append(at_random)
        group["task"].append(matrix[name][name]["value"])
        group["against"].append(against)
        group["over"].append(against_zero)
        group["loss"].append((parts["task"]["losses"], [seed["losses"] for seed in random]))
        group["losses"].append([mean(parts["zero"]["losses"]), mean([mean(s["losses"]) for s in random]),
                                mean(parts["task"]["losses"])])
    losses = []
    for metric, group in groups.items():
        by_seed = [mean(column) for column in zip(*group["random"])]
        found, over_zero = own_minus_random(group["against"]), paired_difference(group["over"])
        rows.append([f"**mean of {len(group['zero'])}**", metric, f"**{mean(group['zero']):.3f}**",
                     f"**{mean(by_seed):.3f} ± {deviation(by_seed):.3f}**", f"**{mean(group['task']):.3f}**"]
                    + contrast(found) + [f"{over_zero['difference']:+.3f}", p_text(over_zero["p"])])
        losses.append([f"mean of {len(group['zero'])}, {metric}"]
                      + [f"{mean(column):.3f}" for column in zip(*group["losses"])]
                      + contrast(own_minus_random(group["loss"])))
    return table(header, rows) + ["The same in answer loss (nats per token):", ""] \
        + table(["tasks", "zero-shot", "random trained", "own trained", "own − random", "95%", "p"], losses)


def training_matrices(result, folder):
    names, zero, trained = result["names"], result["training"]["zero"], result["training"]["matrix"]
    types = [result["types"][name] for name in names]
    value = [[trained[i][j]["value"] - zero[j]["value"] for j in names] for i in names]
    loss = [[trained[i][j]["loss"] - zero[j]["loss"] for j in names] for i in names]
    lines = []
    for key, title, matrix, gain in (("value", "Change of metric", value, value),
                                     ("loss", "Change of loss", loss, [[-v for v in row] for row in loss])):
        lines += matrix_lines(f"trained-{key}", names, matrix, diagonal_test(gain, types),
                              f"{title} when a task's units are trained on it", folder, "trained on", "evaluated on",
                              title + (" (as a fall)" if key == "loss" else ""))
    return lines


def doses(result):
    rows = []
    for a in result["deactivation"]["doses"]["averages"]:
        random = a["random"]["matched"]
        rows.append([a["top"], a["metric"], f"{a['original']['value']:.3f}", f"{random['value']:.3f} ± {random['value_sd']:.3f}",
                     f"{a['own']['value']:.3f}", f"{a['original']['loss']:.3f}", f"{random['loss']:.3f}",
                     f"{a['own']['loss']:.3f}"] + contrast(a["own_minus_random"]["matched"]["value"])[2:])
    return table(["top", "metric", "original", "random off", "own off", "loss: original", "random off", "own off", "p"], rows)


def settings_table(result):
    rows = []
    for name, found in result["deactivation"]["table"].items():
        for a in found["averages"]:
            random = a["random"]["matched"]
            rows.append(name.split() + [a["metric"], f"{random['value']:.3f} ± {random['value_sd']:.3f}",
                                        f"{a['own']['value']:.3f}"]
                        + contrast(a["own_minus_random"]["matched"]["value"])
                        + [f"{a['own_minus_random']['matched']['loss']['difference']:+.3f}"])
    return table(["aggregate", "scope", "site", "metric", "random off", "own off", "own − random", "95%", "p", "loss"], rows)


def settings(result):
    chosen = result["settings"]
    losses = lambda trial: ", ".join(f"{rate}: {loss:.3f}" for rate, loss in trial.items())
    rows = result["rows"]
    return [
        f"- Learning rate of the multi-task fine-tune: **{chosen['full']}**, by mean validation loss over the twelve tasks "
        f"after one epoch on 200 rows of each ({losses(chosen['full_losses'])}).",
        f"- Learning rate of neuron-only training: **{chosen['units']}**, by mean validation loss of three tasks "
        f"({losses(chosen['units_losses'])}).",
        f"- \"Original\": all parameters, {result['epochs']['original']} epochs over all training rows of all tasks, "
        "linear schedule, 50 steps of warm-up, AdamW, batches of 16.",
        f"- Neuron-only training: {result['epochs']['units']} epochs over {rows['units']} rows of the task, top "
        f"{result['top']} of `act` units detected on the base model; {result['trained_seeds']} layer-matched random sets.",
        f"- Relevance: {rows['detect']} training rows of each task, `--site paper` (the tables say which part they use).",
        f"- Tests: the first {rows['test']} test rows of each task ({rows['doses']} for the doses, {rows['table']} for the table "
        f"of settings); {result['seeds']} random sets of each kind, seeds 0-{result['seeds'] - 1}.",
        f"- The times of all stages add up to {result['seconds'] / 60:.0f} minutes on {result['threads']} cores.", ""]


def commands(result):
    """One command of each kind, as it was run."""
    seen, lines = set(), []
    for stage, command in result["commands"]:
        kind = stage.split("/")[0] + (" random" if "random" in stage else "")
        if kind in seen or stage == "estimate":
            continue
        seen.add(kind)
        lines.append(f"# {stage}")
        lines.append(command)
    return ["```sh", *lines, "```", ""]


def measured(result, folder):
    return "\n".join(
        ["## Settings", ""] + settings(result)
        + ["## Units off, in the fine-tuned model", ""] + deactivation(result)
        + ["± is the standard deviation over random sets; p asks whether the own set is one more random one, the interval is of "
           "its difference from the mean of random sets (docs/method.md).", ""]
        + side_effect(result)
        + ["### Every task's units against every task", ""] + deactivation_matrices(result, folder)
        + ["### Dose", ""] + doses(result)
        + ["### What the paper leaves open: aggregate, scope, site", "",
           f"Top {result['top']}, `act` alone or `act` and `out` ranked together (`paper`); the last column is own − random "
           "in loss.", ""] + settings_table(result)
        + ["## Units trained, from the base model", ""] + training(result)
        + ["### Every training against every task", ""] + training_matrices(result, folder)
        + ["## Commands", "", "One of each kind; TEXT is the unrelated text.", ""]
        + commands(result))


def write(result, path):
    with open(path) as file:
        page = file.read()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with open(path + ".part", "w") as file:
        file.write(before + BEGIN + measured(result, os.path.dirname(path)) + END + after)
    os.rename(path + ".part", path)
