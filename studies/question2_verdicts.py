"""What question 2's tests come to: families of tests, the verdict on each claim, and what models of this size can carry."""
from chance import at_least_as_many
from page_parts import (NO_TEST, answer, correct_together, corrected, interval, kinds_of_metrics, metric_name, number, p_text, table, without_one,
                        worst_p)
from question2_protocol import EARLY, KIND_NAMES, KINDS, LATE, OVERLAP_ONLY

# Where the paper's Llama-2-7b has its highest specialization, tasks trained together; alone it rises all the way.
PAPER_PEAKS = {"classification": "70%", "generation": "50%"}
LEARNT_P = 0.05


def own_metric(kind):
    return "accuracy" if kind == "classification" else "rougeL"


def find(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def averages_of(found):
    """The mean over tasks, or the one task there is."""
    return found["averages"] or found["results"]


def correct(result):
    """Makes of the tests of each kind one family over all tasks, whatever their type: the types are separate commands."""
    families = {}
    for sweep in result["sweeps"].values():
        for difference in sweep["differences"]:
            family = families.setdefault((difference["trained"], difference["quantity"], difference["measure"]), [])
            family += difference["points"]
        for curve in sweep["overlap_control"]["curves"]:
            if curve["slope"]:
                families.setdefault(("slope", curve["measure"]), []).append(curve["slope"])
    others = {}
    for kind, by_type in result["kinds"]["off"].items():
        for found in by_type.values():
            for entries in ("results", "averages"):
                for entry in found[entries]:
                    for measure, contrast in entry["own_minus_random"]["matched"].items():
                        families.setdefault(("off", kind, measure, entries), []).append(contrast)
            for matrix in found.get("cross_matrices", []) if kind != "core" else []:
                for measure in ("value", "loss"):
                    others.setdefault(("specific", measure), []).append(matrix[measure + "_test"])
    for family in families.values():
        correct_together(family)
    for found in result["associated"].values():
        for score in found["scores"]:
            others.setdefault(("associated", score["name"]), []).append(score)
    others["forecast",] = result["forecast"]["found"]["scores"]
    for family in others.values():
        for test, p in zip(family, corrected([test.get("p") for test in family])):
            test["p_adjusted"] = p
    cores = [entry["own_minus_random"]["matched"] for found in result["kinds"]["off"].get("core", {}).values() for entry in found["averages"]]
    cores += [entry["own_minus_random"] for entry in result["kinds"]["trained"]["tests"].get("core", {"averages": []})["averages"]]
    for contrasts in cores:
        for contrast in contrasts.values():
            without_test(contrast)


def without_test(contrast):
    """The tasks' sets are one and the same, and what a test over tasks takes as so many draws is one."""
    contrast.update(dict.fromkeys(("p", "p_adjusted", "low", "high", "detectable")), verdict=NO_TEST)


def single_tasks(contrasts):
    """In how many of the tasks, each by itself, the corrected p is at most .05."""
    seen = sum(worst_p(one) is not None and worst_p(one) <= 0.05 for one in contrasts)
    return f"{seen} of {len(contrasts)}"


# ---- the claims ----

def peak_verdict(curve, claimed):
    """Whether a curve's best share is the claimed one: only what can be told apart counts."""
    best = curve["best"]
    if best["top"] == claimed:
        told = all(other["told_apart"] for other in best["others"])
        return "agrees" if told else "undetermined"
    other = next((o for o in best["others"] if o["top"] == claimed), None)
    return "undetermined" if other is None or not other["told_apart"] else "does not"


def peak_words(curve):
    alike = [other["top"] for other in curve["best"]["others"] if not other["told_apart"]]
    return f"best at {curve['best']['top']}" + (f", not told from {', '.join(alike)}" if alike else ", told from all others")


def from_interval(low, high):
    """The verdict on a claim that something is above 0, where nothing but its interval is known."""
    return "undetermined" if low is None or low <= 0 <= high else "agrees" if low > 0 else "does not"


def measures(kind):
    return (("value", metric_name(own_metric(kind))), ("loss", "loss"))


def share_rows(result):
    rows = []
    for kind, sweep in result["sweeps"].items():
        for measure, shown in measures(kind):
            wanted = {"metric": own_metric(kind), "measure": measure, "quantity": "specialization"}
            for trained, claimed in (("together", PAPER_PEAKS[kind]), ("alone", "100%")):
                claim = (f"trained {trained}, " + ("specialization peaks at the paper's share" if trained == "together" else
                                                   "specialization rises up to all units"))
                for curve in find(sweep["curves"], trained=trained, arm="own", **wanted):
                    # Of one training no two shares can be told apart.
                    verdict = peak_verdict(curve, claimed) if curve["seeds"] > 1 else NO_TEST
                    rows.append((claim, [claim, f"{kind} ({claimed})", shown, peak_words(curve), "", "", "", verdict]))
    return rows


def own_rows(result):
    rows = []
    for quantity in ("specialization", "generalization"):
        claim = f"trained together, own units give more {quantity} than as many random ones (not asked by the paper)"
        for kind, sweep in result["sweeps"].items():
            for measure, shown in measures(kind):
                for difference in find(sweep["differences"], trained="together", metric=own_metric(kind), measure=measure, quantity=quantity):
                    for point in difference["points"]:
                        rows.append((claim, [claim, f"{kind} at {point['top']}", shown, f"{point['difference']:+.3f} ({interval(point)})",
                                             p_text(worst_p(point)), "", "", point["verdict"]]))
    return rows


def overlap_rows(result):
    rows = []
    claim = "of equally many units, the more are the test task's own the better (per share of 1)"
    for kind, sweep in result["sweeps"].items():
        for measure, shown in measures(kind):
            for curve in find(sweep["overlap_control"]["curves"], metric=own_metric(kind), measure=measure):
                slope = curve["slope"]
                if slope:
                    rows.append((claim, [claim, f"{kind} at {curve['top']}", shown, f"{slope['difference']:+.3f} ({interval(slope)})",
                                         p_text(worst_p(slope)), "", "", slope["verdict"]]))
    return rows


def associated_rows(result):
    rows = []
    more = "models whose units are more similar to a task's do that task better"
    scores = {"masked": more, "overlap": "so do models of tasks that have more units in common with it in the base model"}
    pairs = {("masked", OVERLAP_ONLY): "similarity goes with it more than what it would be if all parameters were alike in size",
             (LATE, EARLY): "similarity in the last quarter of the layers goes with it more than in the first"}
    for name, found in result["associated"].items():
        which, y = name.split()
        of = "all models and tasks (within types)" if which == "all" else f"{which} models and tasks"
        shown = "metric" if y == "value" else "loss"
        for score in found["scores"]:
            if score["name"] in scores and score["value"] is not None:
                rows.append((scores[score["name"]], [scores[score["name"]], of, shown, f"{number(score['value'])} ({limits(score)})",
                                                     p_text(score["p_adjusted"]), "", "", from_p(score)]))
        for one in found["comparisons"]:
            claim = pairs.get((one["name"], one["against"]))
            if claim:
                rows.append((claim, [claim, of, shown, f"{number(one['difference'])} ({limits(one)})", "", "", "", from_interval(one.get("low"), one.get("high"))]))
    return sorted(rows, key=lambda row: [*scores.values(), *pairs.values()].index(row[0]))


def from_p(score):
    """The verdict on a claim that a rank correlation is above 0."""
    p = score["p_adjusted"]
    return "undetermined" if p is None or p > 0.05 else "agrees" if score["value"] > 0 else "does not"


def limits(entry):
    return f"{number(entry.get('low'))} … {number(entry.get('high'))}"


def forecast_rows(result):
    rows, found = [], result["forecast"]["found"]
    claim = "which source helps a target most can be told from the base model"
    for score in found["scores"]:
        # Ridge and the means read what was measured.
        if score["kind"] in ("predictor", "combined") and score["value"] is not None:
            by = score["name"] + (" (reads what other pairs did)" if score["name"] == "ridge" else "")
            rows.append((claim, [claim, by, "rank correlation", f"{number(score['value'])} ({limits(score)})", p_text(score["p_adjusted"]), "",
                                 "", from_p(score)]))
    for one in found["comparisons"]:
        claim = f"the {'average of forecasts' if one['name'] == 'average' else one['name']} ranks a target's sources better than"
        rows.append((claim, [claim, one["against"], "rank correlation", f"{number(one['difference'])} ({limits(one)})", "", "", "",
                             from_interval(one.get("low"), one.get("high"))]))
    return rows


def kind_name(kind):
    return KIND_NAMES.get(kind, kind)


def measure_of(measure, shown):
    return {"value": metric_name(shown), "label_loss": "loss over labels"}.get(measure, measure)


def kind_rows(result):
    rows = []
    for kind in KINDS:
        claim = f"{kind_name(kind)} units off cost more than random ones"
        for which, found in result["kinds"]["off"].get(kind, {}).items():
            for entry in averages_of(found):
                for measure, contrast in entry["own_minus_random"]["matched"].items():
                    single = [one["own_minus_random"]["matched"][measure] for one in found["results"]]
                    rows.append(contrast_row(claim, which, measure_of(measure, own_metric(which)), contrast, single))
    for kind in KINDS:
        claim = f"a task's {kind_name(kind)} units cost it more than other tasks' do"
        for which, found in result["kinds"]["off"].get(kind, {}).items():
            for matrix in found.get("cross_matrices", []) if kind != "core" else []:
                for measure, shown in measures(which):
                    test = matrix[measure + "_test"]
                    # Of a fall of the metric, or a rise of the loss: one-sided.
                    seen = test["p_adjusted"] is not None and test["p_adjusted"] <= 0.05
                    rows.append((claim, [claim, which, shown, f"{test['statistic']:+.2f} standard deviations", p_text(test["p_adjusted"]), "",
                                         "", "agrees" if seen else "undetermined"]))
    for kind in KINDS:
        claim = f"trained on one task, its {kind_name(kind)} units learn more than random ones"
        found = result["kinds"]["trained"]["tests"].get(kind)
        if not found:
            continue
        kinds = kinds_of_metrics(result, found)
        for entry in averages_of(found):
            for measure, shown in measures(kinds[entry["metric"]]):
                of_metric = [one["own_minus_random"][measure] for one in found["results"] if one["metric"] == entry["metric"]]
                rows.append(contrast_row(claim, kinds[entry["metric"]], shown, entry["own_minus_random"][measure], of_metric))
    return rows


def contrast_row(claim, which, shown, contrast, single):
    """single: the contrasts of single tasks."""
    found = f"{contrast['difference']:+.3f}" + ("" if contrast["verdict"] == NO_TEST else f" ({interval(contrast)})")
    return claim, [claim, which, shown, found, p_text(worst_p(contrast)), single_tasks(single), without_one(single), contrast["verdict"]]


def verdicts(result):
    rows = (share_rows(result) + own_rows(result) + overlap_rows(result) + associated_rows(result) + forecast_rows(result)
            + kind_rows(result))
    given = [row[-1] for _, row in rows]
    counts = ", ".join(f"{given.count(verdict)} *{verdict}*" for verdict in dict.fromkeys(given))
    return answer(rows) + [f"That is {len(given)} verdicts: {counts}. Their numbers (differences of what is "
                           "trained alone, of the mean of both, and across types stand further below; of overlap the tables say how far it is beyond chance, which "
                           "is no claim of the paper's):", ""] + table(
        ["claim", "of", "measure", "found", "p", "alone", "without one task", "verdict"], [row for _, row in rows])


# ---- what it can carry ----

def p_of_right(result, row):
    """Of so many right answers or more where the commonest label is always said; nothing for a task without labels."""
    majority = result["majority"].get(row["task"])
    return None if majority is None else at_least_as_many(round(row["value"] * row["n"]), row["n"], majority)


def learnt_rows(result):
    """Of every trained task: what training all units on it alone makes of it, and the best of all trainings, corrected for their number."""
    rows = []
    for kind, sweep in result["sweeps"].items():
        base = {row["task"]: row for row in sweep["base"]}
        for model in find(sweep["models"], trained="alone", top=sweep["tops"][-1], arm="own", seed=0):
            row = next(task for task in model["tasks"] if task["task"] == model["on"])
            found = [(p_of_right(result, task), one, task) for one in sweep["models"] for task in one["tasks"]
                     if task["task"] == row["task"] and one.get("on", row["task"]) == row["task"]]
            p = best = None
            if found[0][0] is not None:
                least, one, task = min(found, key=lambda entry: entry[0])
                p = min(1.0, least * len(found))
                best = f"{number(task['value'])} ({one['arm']}, {one['top']}, {one['trained']})"
            rows.append((row["task"], p, len(found), [row["task"], kind, str(row["n"]), number(result["majority"].get(row["task"])), number(base[row["task"]]["value"]),
                                                     number(row["value"]), best or "–", p_text(p), number(base[row["task"]]["loss"]), number(row["loss"])]))
    return rows


def carries(result):
    """Which conclusions the size of model and data can carry, from what was measured."""
    rows = learnt_rows(result)
    labelled = [(name, tried) for name, p, tried, _ in rows if p is not None]
    learnt = [name for name, p, _, _ in rows if p is not None and p < LEARNT_P]
    lines = [f"Of the {len(labelled)} classification tasks that are trained, some training or other does better than always saying the commonest label in {len(learnt)}"
             + (f" ({', '.join(learnt)})" if learnt else "") + f" (binomial test, one-sided, p < {LEARNT_P}, times the trainings of the task, of which there are "
             f"{max((tried for _, tried in labelled), default=0)}). Where none does, accuracy cannot show that the task is learnt: what is left to see there is how often "
             "the commonest label is said, and the answer's form.", ""]
    lines += table(["task", "type", "n", "commonest label", "before", "all units, alone", "best of all trainings", "p", "loss before", "loss, all units"],
                   [row for *_, row in rows])
    sizes = []
    for kind, sweep in result["sweeps"].items():
        for measure, shown in measures(kind):
            found = [point["detectable"] for difference in find(sweep["differences"], trained="together", quantity="specialization",
                                                                metric=own_metric(kind), measure=measure)
                     for point in difference["points"] if point["detectable"] is not None]
            if found:
                sizes.append(f"{number(min(found))} to {number(max(found))} in the {shown} of {kind} tasks")
    if sizes:
        lines += [f"Differences between own and random units that {result['protocol']['seeds']} trainings of each would have shown in 80% of cases: "
                  f"{', '.join(sizes)}. Smaller ones may be there unseen. Of trainings alone and under overlap control there is one of each: shares that are "
                  "trained alone cannot be told apart, and slopes under overlap control are tested over the test tasks.", ""]
    return lines
