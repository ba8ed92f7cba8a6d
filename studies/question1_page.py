"""Writes docs/results/question1.md, and its figures beside it, from a study's result. No number of it is typed."""
import math
import os
import re

from figures import heatmap
from page_parts import CONTRAST, bold, commands, contrast, deviation, mean, metric_name, number, p_text, table
from question1_protocol import COUNTS_P
from question1_verdicts import NO_ROWS, averages_of, control_kind, correct, verdicts

# ---- units off ----


def off_rows(found, measure):
    """A row per task and one for their mean, in the metric ("value") or the loss."""
    rows = []
    for entry in found["results"]:
        random = [row[measure] for row in entry["random"] if row["kind"] == "matched"]
        cells = [entry["task"], str(entry["examples"])]
        if measure == "value":
            cells.append(number(entry.get("majority")))
        cells += [number(entry["original"][measure]), f"{mean(random):.3f} ± {deviation(random):.3f}",
                  number(entry["off"][entry["task"]][measure])]
        cells.append(f"{entry['own_minus_original'][measure]['difference']:+.3f}")
        rows.append(cells + contrast(entry["own_minus_random"]["matched"][measure]))
    for entry in found["averages"]:
        random = entry["random"]["matched"]
        cells = [f"mean of {entry['tasks']}", ""] + ([""] if measure == "value" else [])
        cells += [number(entry["original"][measure]), f"{random[measure]:.3f} ± {random[measure + '_sd']:.3f}",
                  number(entry["own"][measure]), f"{entry['own_minus_original'][measure]['difference']:+.3f}"]
        rows.append(bold(cells + contrast(entry["own_minus_random"]["matched"][measure])))
    return rows


def off(result):
    lines = []
    for kind, found in result["off"]["main"].items():
        rows = result["protocol"]["test"][kind]
        lines += [f"### {kind.capitalize()}, up to {rows} test rows each", ""]
        lines += table(["task", "n", "commonest label", "original", "random off", "own off", "own − original"] + CONTRAST,
                       off_rows(found, "value"))
        lines += ["In answer loss (nats per token):", ""]
        lines += table(["task", "n", "original", "random off", "own off", "own − original"] + CONTRAST, off_rows(found, "loss"))
        if kind == "classification":
            lines += label_lines(found)
    for kind, found in result["off"]["rest"].items():
        lines += [f"### {kind.capitalize()} tasks that do not count", "", "The fine-tuned model does not do them by the rule "
                  "above; nothing can be lost that is not there.", ""]
        lines += table(["task", "n", "commonest label", "original", "random off", "own off", "own − original"] + CONTRAST,
                       off_rows(found, "value"))
    return lines


def label_lines(found):
    """Whether answers lose their form or their content."""
    rows = []
    for entry in found["results"]:
        random = [row for row in entry["random"] if row["kind"] == "matched"]
        own, original = entry["off"][entry["task"]], entry["original"]
        rows.append([entry["task"], number(original["balanced_accuracy"]),
                     number(mean([row["balanced_accuracy"] for row in random])), number(own["balanced_accuracy"]),
                     number(original["label_loss"]), number(mean([row["label_loss"] for row in random])),
                     number(own["label_loss"])] + contrast(entry["own_minus_random"]["matched"]["label_loss"]))
    for entry in found["averages"]:
        rows.append(bold([f"mean of {entry['tasks']}"] + [""] * 6 + contrast(entry["own_minus_random"]["matched"]["label_loss"])))
    return ["Balanced accuracy, and the loss over the labels alone (which does not see whether an answer still has its form):", ""] \
        + table(["task", "balanced: original", "random off", "own off", "label loss: original", "random off", "own off"]
                + CONTRAST, rows)


CONTROL_NAMES = {"uniform": "random sets drawn uniformly", "outside": "random sets outside the own one",
                 "layer": "both chosen within each layer", "mean": "ω at its mean over the task's prompts",
                 "mean-text": "ω at its mean over unrelated text", "resample": "ω of another prompt's position"}


def controls(result):
    rows = []
    for control, by_kind in [("main", result["off"]["main"])] + list(result["off"]["controls"].items()):
        for kind, found in by_kind.items():
            for entry in averages_of(found):
                sets = len({row["draw"] for row in found["results"][0]["random"]})
                for measure in ("value", "loss"):
                    against = entry["own_minus_random"][control_kind(entry)][measure]
                    rows.append([CONTROL_NAMES.get(control, "as above: ω at zero, matched"), kind,
                                 metric_name(entry["metric"]) if measure == "value" else "loss", str(sets),
                                 f"{entry['own_minus_original'][measure]['difference']:+.3f}"] + contrast(against))
    return table(["what changes", "tasks", "measure", "sets", "own − original"] + CONTRAST, rows)


def in_common(result):
    """Share of a task's own units that its random sets hold."""
    shares = {}
    for by_kind in [result["off"]["main"], *result["off"]["controls"].values()]:
        for entry in (entry for found in by_kind.values() for entry in found["results"]):
            for row in entry["random"]:
                kind = row["kind"] + (", within layers" if entry["scope"] == "layer" else "")
                shares.setdefault(kind, []).append(row["units_in_common"] / entry["units_off"])
    rows = [[kind, f"{min(found):.0%} to {max(found):.0%}"] for kind, found in shares.items()]
    return ["What random sets hold of the own one is off on both sides: contrasts with them are smaller by that.", ""] \
        + table(["random sets", "own units that they hold"], rows)


def side_effect(result):
    rows, ratios, original, tokens = [], [], None, None
    for found in result["off"]["main"].values():
        for entry in found.get("perplexity", []):
            original, tokens = entry["original"], entry["tokens"]
            for row in entry["off"]:
                random = row["random"]["matched"]
                ratios.append(math.log(row["own"]) - mean([math.log(one) for one in random]))
                rows.append([row["task"], f"{row['own']:.1f}", f"{mean(random):.1f} ± {deviation(random):.1f}",
                             f"{math.exp(ratios[-1]):.2f}"])
    if not rows:
        return []
    rows.append(bold([f"mean of {len(rows)}", "", "", f"{math.exp(mean(ratios)):.2f}"]))
    return ["### Side effect", "", f"Perplexity of {tokens} tokens of unrelated text; with nothing off it is {original:.1f}. The ratio is of "
            "geometric means over random sets and tasks, and is not tested. What lies above 1 is a cost of own units that has nothing to do "
            "with their task: the matrix below is what tells tasks apart.", ""] \
        + table(["units off of", "own", "random", "own / random"], rows)


def matrix_lines(name, matrix, page, titles, gain):
    """page: its path without ending, which names of figures begin with; titles: of rows and of what is shown; gain: which of the two measures' tests are of a fall."""
    lines = []
    for measure, what in (("value", "metric"), ("loss", "loss")):
        path = f"{page}-{name}-{measure}.svg"
        heatmap(path, matrix["tasks"], matrix[f"{measure}_change"], f"Change of {what} {titles[1]}",
                titles[0], "evaluated on")
        test = matrix[f"{measure}_test"]
        verdict = f"p = {p_text(test['p'])}" if test["p"] is not None else "no p, which could not be below one half"
        fall = " (as a fall)" if measure in gain else ""
        lines += [f"![Change of {what} {titles[1]}]({os.path.basename(path)})", "",
                  f"Change of {what}{fall}: the diagonal lies {test['statistic']:.2f} column standard deviations above the rest, "
                  f"{verdict} ({'all' if test['exact'] else 'random'} {test['orders']:,} row orders within task types).", ""]
    return lines


def off_matrix(result, page):
    found = result["off"]["matrix"]["cross_matrices"]
    if not found:
        return []
    return ["### Every task's units against every task", "", f"{result['protocol']['matrix']} test rows of each task.", ""] \
        + matrix_lines("off", found[0], page, ("units off of", "when a task's units are off"), ("value",))


def doses(result):
    rows = []
    for top, found in result["off"]["doses"].items():
        for a in found["averages"]:
            random = a["random"]["matched"]
            rows.append([top, a["metric"], number(a["original"]["value"]), f"{random['value']:.3f} ± {random['value_sd']:.3f}",
                         number(a["own"]["value"]), number(a["original"]["loss"]), number(random["loss"]),
                         number(a["own"]["loss"])] + contrast(a["own_minus_random"]["matched"]["loss"]))
    return table(["top", "metric", "original", "random off", "own off", "loss: original", "random off", "own off"]
                 + [f"loss: {CONTRAST[0]}"] + CONTRAST[1:], rows)


def settings_table(result):
    rows = []
    for name, found in result["off"]["table"].items():
        for a in found["averages"]:
            random = a["random"]["matched"]
            rows.append(name.split() + [a["metric"], f"{random['value']:.3f} ± {random['value_sd']:.3f}",
                                        number(a["own"]["value"])] + contrast(a["own_minus_random"]["matched"]["loss"]))
    return table(["aggregate", "scope", "site", "metric", "random off", "own off", f"loss: {CONTRAST[0]}"] + CONTRAST[1:], rows)


# ---- units trained ----

ARM_NAMES = {"matched": "matched random sets", "uniform": "random sets drawn uniformly",
             "outside": "random sets outside the own one", "matched-layer": "both chosen within each layer"}


def trained_rows(rows, measure, commonest):
    """commonest: what saying the commonest label scores, by task; empty where nothing is said of it."""
    lines = []
    for row in rows:
        random = row["random"][measure]
        of_label = commonest.get(row.get("task"), mean(list(commonest.values())) if commonest else None)
        cells = [row.get("task", f"mean of {row['tasks']}")] + ([number(of_label)] if commonest else []) + [
                 number(row["original"][measure]),
                 f"{mean(random):.3f} ± {deviation(random):.3f}", number(row["own"][measure]),
                 f"{row['own_minus_original'][measure]['difference']:+.3f}"] + contrast(row["own_minus_random"][measure])
        lines.append(cells if "task" in row else bold(cells))
    return lines


def learned(result):
    found = result["trained"]["p_learned"]
    said = ", ".join(f"{name} ({p_text(p)})" for name, p in found.items())
    no = [name for name, p in found.items() if not p < COUNTS_P]
    return ["A task is one that training changes if own and matched trainings, taken together, score above the base model (one-sided, over rows, "
            f"p < {COUNTS_P}), a rule that cannot tell own from random units: {said or 'none counts'}. "
            + (f"Not so: {', '.join(no)}." if no else "So are all that count."), ""]


def trained(result):
    lines = []
    header = ["task", "zero-shot", "random trained", "own trained", "own − zero-shot"] + CONTRAST
    for group, title in (("counted", "Tasks that count"), ("learned", "Tasks that count and that training changes"),
                         ("rest", "Tasks that do not")):
        found = result["trained"]["arms"]["matched"].get(group)
        if not found:
            continue
        for metric in sorted({row["metric"] for row in found["results"]}):
            rows = [row for row in found["results"] + found["averages"] if row["metric"] == metric]
            commonest = {row["task"]: result["eligible"][row["task"]]["baseline"] for row in rows
                         if result["tasks"].get(row.get("task")) == "classification"}
            lines += [f"### {title}: {metric_name(metric)}", ""] + table(
                header[:1] + (["commonest label"] if commonest else []) + header[1:], trained_rows(rows, "value", commonest))
            lines += ["In answer loss (nats per token):", ""] + table(header, trained_rows(rows, "loss", {}))
    lines += ["### Other random sets, and choosing within layers", ""]
    rows = []
    for arm, by_group in result["trained"]["arms"].items():
        for row in by_group.get("counted", NO_ROWS)["averages"]:
            for measure in ("value", "loss"):
                rows.append([ARM_NAMES[arm], metric_name(row["metric"]), measure.replace("value", "metric"),
                             number(mean(row["random"][measure])), number(row["own"][measure])]
                            + contrast(row["own_minus_random"][measure]))
    return lines + table(["what changes", "tasks", "measure", "random trained", "own trained"] + CONTRAST, rows)


def trained_matrix(result, page):
    found = result["trained"]["matrix"]
    if not found:
        return []
    return ["### Every training against every task", ""] + matrix_lines(
        "trained", found, page, ("trained on", "when a task's own units are trained on it"), ("loss",))


# ---- tasks and settings ----


def eligible(result):
    rows = []
    for name, found in result["eligible"].items():
        kind = result["tasks"][name]
        what = "commonest label" if kind == "classification" else "base model"
        rows.append([name, kind, number(found["chance"]), number(found["zero"]), p_text(found["base_p"]), number(found["value"]),
                     f"{what}: {found['baseline']:.3f}", p_text(found["p"]), "yes" if found["counts"] else "no"])
    below = [name for name, found in result["eligible"].items() if not found["base_p"] < COUNTS_P]
    said = (f"The base model is not above chance, with p < {COUNTS_P}, on {', '.join(below)}." if below
            else f"The base model is above chance on every task, with p < {COUNTS_P}.")
    return table(["task", "type", "chance", "base model", "p", "fine-tuned on all", "to be beaten", "p", "counts"], rows) + [
        "Chance: always the commonest label; of generation, the right answer of another row. " + said, ""]


def losses(tried):
    return ", ".join(f"{rate}: {loss:.3f}" for rate, loss in tried["losses"].items())


def prompt_line(result):
    chosen = f"- Prompts: the template `{result['template']}`"
    if not result["prompts"]:
        return chosen + "."
    return (f"{chosen}, with which the base model has the highest mean metric over tasks on {result['protocol']['tuning']['validation']} "
            "validation rows of each; chosen before anything else.")


def prompts_table(result):
    """What the base model scores with each template."""
    if not result["prompts"]:
        return []
    rows = [[template] + [number(found[name]) for name in result["tasks"]] + [number(mean(list(found.values())))]
            for template, found in result["prompts"].items()]
    return table(["template"] + list(result["tasks"]) + ["mean"], rows)


def epochs_text(count):
    return f"{count} epoch{'s' if count != 1 else ''}"


def rates_lines(protocol):
    tuning = protocol["tuning"]
    apart = "- Learning rates are chosen task by task, for own units and for random ones apart (by a random set that is not among those compared)"
    if tuning["like_training"]:
        return [f"{apart}, by the loss on {tuning['validation']} validation rows after a training as long as those that are compared; "
                "one grid for all kinds of sets, which grows, by three rates at most, until the best of each lies inside. Own units are tuned on the very set that is compared, which favours them a little."]
    return [f"{apart}, by the loss on {tuning['validation']} validation rows after one epoch on {tuning['rows']} rows; a grid grows, by three rates at most, until its best "
            "rate lies inside. Other kinds of random sets take the rate of matched ones, own units within layers that of own ones. That is shorter "
            "than the trainings that are compared, and where losses hardly differ a rate is a guess: differences of trained units on a single "
            "task are of rates too."]


def settings(result):
    protocol, chosen, run = result["protocol"], result["settings"], result["original_settings"]
    test, train, epochs = protocol["test"], protocol["train"], protocol["epochs"]
    lines = [prompt_line(result),
        f"- \"Original\": the model fine-tuned on all {len(result['tasks'])} tasks, all parameters, all their training rows, "
        f"{epochs_text(protocol['original_epochs'])}, {run['schedule']} schedule, {run['warmup_steps']} steps of warm-up, AdamW, "
        f"batches of {run['batch']}, learning rate "
        f"{chosen['full']['rate']:g} ({losses(chosen['full'])}: mean validation loss over tasks after one epoch on "
        f"{protocol['tuning']['rows']} rows of each).",
        f"- Relevance: {protocol['detect']} training rows of each task; own sets are the top {result['top']} of `act` units.",
        f"- Units off: {protocol['sets']} matched random sets, {protocol['control_sets']} of each other kind; up to "
        f"{test['classification']} test rows of a classification task, {test['generation']} of a generation task.",
        f"- Units trained, from the base model: up to {train['classification']} training rows for "
        f"{epochs_text(epochs['classification'])} (classification), {train['generation']} for {epochs['generation']} (generation); random "
        f"sets: {', '.join(f'{count} {kind}' for kind, count in protocol['trained_sets'].items())}; own and matched sets from {protocol['seeds']} training "
        f"seed{'s' if protocol['seeds'] != 1 else ''}, the other kinds from one.",
        *rates_lines(protocol),
        f"- Estimated before: {result['estimated_minutes']:.0f} minutes. Measured: the times of all stages add up to "
        f"{result['seconds'] / 60:.0f} minutes, of which many ran side by side on {result['cores']} cores.", ""]
    arms = protocol["tuning"]["arms"]
    rows = [[name, *(part for arm in arms for part in (f"{found[arm]['rate']:g}", losses(found[arm])))] for name, found in chosen["units"].items()]
    header = ["task", *(part for arm in arms for part in (f"rate, {arm}", "validation losses"))]
    return lines + prompts_table(result) + table(header, rows)


def measured(result, page):
    return "\n".join(
        ["## What agrees with the paper", "", "The verdict is that of `taskneuron` (docs/method.md): *agrees* needs a corrected p "
         "of at most .05 and the whole interval on the claimed side; *does not*: the interval leaves out every difference on "
         "the claimed side; everything else is *undetermined*. p: corrected over the kinds of task. Intervals and p are of these tasks "
         "and sets; detectable: the difference that the t test over sets would have found in 80% of cases, uncorrected, for means a guide; without one task: the lowest and highest mean when any one of the tasks is left out. The permutation tests of the matrix have a p alone: "
         "*agrees* is p of at most .05, uncorrected. The paper's random units are "
         "the uniform ones; matched ones have as many units in every layer as the own set. The loss over labels cannot see whether an "
         "answer still has its form, the others can.", ""] + verdicts(result)
        + ["## Which tasks count", "", "Decided by a rule that looks at neither own nor random units: a classification task counts if the "
           "fine-tuned model beats always saying the commonest label (binomial test, one-sided), a generation task if its ROUGE-L "
           f"beats the base model's (paired t test, upwards), each with p < {COUNTS_P}.", ""] + eligible(result)
        + ["## Settings", ""] + settings(result)
        + ["## Units off, in the fine-tuned model", "", "± is the standard deviation over random sets; p asks whether the own set "
           "is one more random one: by the t over sets for a task, by exchanging sets within tasks for a mean. p (BH): corrected over "
           "all tasks that count, and means over the two types, in one measure. Where that is above .05, detectable says which "
           "difference the t test would have found in 80% of cases; for means, whose p is not the t test's, it is a guide.", ""]
        + off(result)
        + ["### Does the answer depend on how units are switched off, or on the control?", ""] + controls(result) + in_common(result)
        + side_effect(result) + off_matrix(result, page)
        + ["### Dose", "", f"{result['protocol']['doses']} test rows of each task, {result['protocol']['control_sets']} random sets; p (BH): corrected over the "
           "kinds of task of one dose, and no further.", ""] + doses(result)
        + (["### What the paper leaves open: aggregate, scope, site", "",
            f"Top {result['top']}, `act` alone or `act` and `out` ranked together (`paper`), {result['protocol']['table']} test "
            "rows of each task.", ""] + settings_table(result) if result["off"]["table"] else [])
        + ["## Units trained, from the base model", "", "Own sets are of the base model's relevance here, and of the fine-tuned "
           "model's above: they are not the same sets.", ""] + learned(result) + trained(result) + trained_matrix(result, page)
        + ["## Commands", "", "The first of each kind of stage; WORK/result.json has all. TEXT is the unrelated text.", ""] + commands(result))


def other_pages(path):
    """Links to pages of the same study with other tasks or another model, which lie beside this one."""
    here = os.path.basename(path)
    found = sorted(name for name in os.listdir(os.path.dirname(path) or ".")
                   if name.startswith("question1") and name.endswith(".md") and name != here)
    if not found:
        return ""
    links = []
    for name in found:
        with open(os.path.join(os.path.dirname(path), name)) as file:
            tasks = re.search(r"TASKS are .*?\(here \d+: (.*?)\)", file.read())
        links.append(f"[{name}]({name})" + (f" ({tasks.group(1)})" if tasks else ""))
    return f"\nThe same study elsewhere: {'; '.join(links)}.\n"


# What a page can and cannot say, and what is measured, by protocol.
WORDS = {
    "small": {
        "scope": "A model of this size supports no claim about large language models: it was made for tests and knows little. What this page\n"
                 "shows is that the instrument works: the whole of question 1 of [the method](../method.md), with the controls that the paper\n"
                 "lacks,",
        "random": "are drawn uniformly, outside the own set, or against sets chosen within layers",
        "seeds": ", and trainings over several seeds",
        "off": ", and also to their mean and to their values elsewhere",
        "protocol": ""},
    "pretrained": {
        "scope": "A pretrained model, not one that was tuned to follow instructions; larger ones may answer otherwise. This is question 1 of\n"
                 "[the method](../method.md), with the controls that the paper lacks,",
        "random": "are drawn uniformly",
        "seeds": "",
        "off": "",
        "protocol": " --protocol pretrained"},
}


def write(result, path):
    correct(result)
    path = os.path.abspath(path)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "question1_introduction.md")) as file:
        introduction = file.read().format(
            parameters=result["model"]["parameters"] / 1e6, tasks=len(result["tasks"]), cores=result["cores"],
            **WORDS[result["protocol"]["name"]], about=result["about"] or "a Hugging Face folder", text=result["text"] or "none here",
            names=", ".join(result["tasks"]), page=os.path.basename(path), others=other_pages(path))
    with open(path + ".part", "w") as file:
        file.write(introduction + "\n" + measured(result, os.path.splitext(path)[0]))
    os.rename(path + ".part", path)
