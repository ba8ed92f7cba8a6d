"""Question 2's page: core and private units, switched off, specific, and trained."""
from page_parts import CONTRAST, NO_TEST, contrast, mean, metric_name, number, p_text, table
from question2_protocol import KINDS, TUNED_KINDS
from question2_verdicts import averages_of, kind_name, measure_of, own_metric, single_tasks


def kinds(result):
    lines, rows = [], []
    for where, title in (("off_units", "in the model trained on all tasks"), ("trained_units", "in the base model")):
        for kind in KINDS:
            sizes = list(result["kinds"][where][kind].values())
            least, most = min(sizes), max(sizes)
            rows.append([title, kind_name(kind), str(least) if least == most else f"{least} to {most}"])
    lines += table(["sets", "kind", "units of a task"], rows)
    lines += ["The core is one set for all tasks, so a test over tasks would count one draw as many, and there is none. Sets of the other kinds overlap too, and the "
              "tests over tasks take them as drawn apart: the more they overlap, the more too small are those p. In how many tasks the corrected p is at most .05, "
              "each task by itself, stands under \"alone\".", ""]
    rows = []
    for kind, by_type in result["kinds"]["off"].items():
        for which, found in by_type.items():
            for entry in averages_of(found):
                for measure, against in entry["own_minus_random"]["matched"].items():
                    original, off = (entry[part].get(measure) if part in entry else None for part in ("original", "own"))
                    commonest = [one["majority"] for one in found["results"] if one.get("majority") is not None]
                    floor = number(mean(commonest)) if measure == "value" and commonest else "–"
                    rows.append([kind_name(kind), which, measure_of(measure, own_metric(which)), floor, number(original), number(off)]
                                + kind_contrast(against, [one["own_minus_random"]["matched"][measure] for one in found["results"]]))
    lines += ["### Switched off: are they needed?", "", "In the model trained on all tasks. Before: as it is; off: with the units of the kind off; own − random: "
              "that against random sets of as many units in every layer. Loss over labels: of the right label among the task's labels, whatever else the model would say.", ""]
    lines += table(["kind", "tasks", "measure", "commonest label", "before", "off"] + KIND_CONTRAST + ["the kind is worse"], rows)
    rows = []
    for kind, by_type in result["kinds"]["off"].items():
        for which, found in by_type.items():
            for matrix in found.get("cross_matrices", []) if kind != "core" else []:
                for measure in ("value_test", "loss_test"):
                    test = matrix[measure]
                    rows.append([kind_name(kind), which, measure.removesuffix("_test"), number(test["statistic"]), p_text(test["p"]),
                                 p_text(test["smallest_p"]), p_text(test["p_adjusted"])])
    lines += ["### Are they specific?", "", "A task's own set of this kind against the other tasks': how much more of the metric is lost, or loss is added, on the diagonal of the cross "
              "matrix than off it, in standard deviations of what each task loses (p is one-sided; p (BH) over kinds and types). The core is the same for all: nothing in it can be specific. That one kind is "
              "significant and another is not says nothing of the difference between them.", ""]
    lines += table(["kind", "tasks", "measure", "diagonal − rest", "p", "smallest p", "p (BH)"], rows)
    rows = []
    for kind, found in result["kinds"]["trained"]["tests"].items():
        for entry in averages_of(found):
            for measure in ("value", "loss"):
                against, random = entry["own_minus_random"][measure], entry["random"][measure]
                single = [one["own_minus_random"][measure] for one in found["results"] if one["metric"] == entry["metric"]]
                rows.append([kind_name(kind), metric_name(entry["metric"]) if measure == "value" else f"loss ({metric_name(entry['metric'])} tasks)",
                             str(entry["tasks"]), number(entry["own"][measure]), number(sum(random) / len(random))] + kind_contrast(against, single))
    lines += ["### Trained: do they learn more?", "", "Tested on the task that they were trained on. For the units of every kind and for as many random ones the learning "
              f"rate is chosen apart, by the loss on {result['protocol']['tuning']['validation']} validation rows after an epoch on {result['protocol']['tuning']['rows']} rows; the core "
              f"takes those of whole sets. With {result['protocol']['kind_sets']} random sets a task by itself shows only what is large.", ""]
    lines += table(["kind", "measure", "tasks", "the kind", "random"] + KIND_CONTRAST + ["the kind is better"], rows)
    rows = [[kind_name(kind)] + [" / ".join(f"{rates[name][arm]:g}" for arm in ("own", "random")) if name in rates else "–" for name in result["tasks"]]
            for kind, rates in ((kind, result["kinds"]["trained"]["rates"][kind]) for kind in TUNED_KINDS)]
    return lines + ["Learning rates, of the kind / of random units:", ""] + table(["kind", *result["tasks"]], rows)


KIND_CONTRAST = CONTRAST + ["alone"]


def kind_contrast(against, single):
    """Cells under KIND_CONTRAST and a verdict."""
    if against["verdict"] == NO_TEST:
        return [f"{against['difference']:+.3f}", "–", "–", "–", "", single_tasks(single), against["verdict"]]
    return contrast(against) + [single_tasks(single), against["verdict"]]
