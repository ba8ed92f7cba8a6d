"""What question 1's tests come to: families of tests, and the verdict on each claim beside the paper's own numbers."""
from page_parts import answer, correct_together, interval, kinds_of_metrics, mean, metric_name, number, p_text, table, without_one, worst_p

# The paper's Llama-2-7b, tables 1 and 2: means of its tasks.
PAPER = {"classification": {"original": 87.7, "random off": 84.8, "own off": 76.0, "zero-shot": 53.3, "random trained": 54.8,
                            "own trained": 83.2},
         "generation": {"original": 45.6, "random off": 42.3, "own off": 32.0, "zero-shot": 19.8, "random trained": 22.5,
                        "own trained": 37.0}}


def control_kind(entry):
    return next(iter(entry["own_minus_random"]))


def averages_of(found):
    """The mean over tasks, or the one task there is."""
    return found["averages"] or found["results"]


def correct(result):
    """Makes of the tests of each condition one family over all tasks and one over the means, whatever their type: the types are
    separate commands where units are off, one where they are trained."""
    for by_kind in [result["off"]["main"], *result["off"]["controls"].values()]:
        for measure in ("value", "loss"):
            for entries in ("results", "averages"):
                correct_together([entry["own_minus_random"][control_kind(entry)][measure]
                                  for found in by_kind.values() for entry in found[entries]])


NO_ROWS = {"results": [], "averages": []}


OFF_CLAIM, TRAINED_CLAIM = "own units off cost more than {} random ones", "training own units is better than training {} random ones"
ZERO_SHOT_CLAIM, RANDOM_CLAIM = "training own units is better than zero-shot", "training matched random units is better than zero-shot"
LEARNED_CLAIM = "training own units is better than training matched random ones, of tasks that training changes"
SPECIFIC_CLAIM = "units off cost their own task more than other tasks (diagonal against the rest, in column standard deviations)"


def verdict_rows(result):
    """One row per claim, kind of task and measure: (claim, row). The verdict is the program's (docs/method.md)."""
    rows = []

    def add(claim, kind, measure, entry, entries):
        rows.append((claim, [claim, kind, measure, f"{entry['difference']:+.3f}", interval(entry), p_text(worst_p(entry)),
                             number(entry["detectable"]), without_one(entries), entry["verdict"]]))

    def name_of(measure, entry):
        return {"value": metric_name(entry["metric"]), "label_loss": "loss over labels"}.get(measure, measure)

    for control, by_kind in (("matched", result["off"]["main"]), ("uniform", result["off"]["controls"].get("uniform", {}))):
        for kind, found in by_kind.items():
            for entry in averages_of(found):
                for measure, against in entry["own_minus_random"][control].items():
                    if control == "matched" or measure != "label_loss":
                        add(OFF_CLAIM.format(control), kind, name_of(measure, entry), against,
                            [row["own_minus_random"][control][measure] for row in found["results"]])
    rows += specific_rows(result)

    def add_tested(claim, found, which):
        kinds = kinds_of_metrics(result, found)
        for row in averages_of(found):
            own = [one for one in found["results"] if one["metric"] == row["metric"]]
            for measure in ("value", "loss"):
                add(claim, kinds[row["metric"]], name_of(measure, row), row[which][measure], [one[which][measure] for one in own])

    trained = result["trained"]
    arms = trained["arms"]
    for control in ("matched", "uniform"):
        add_tested(TRAINED_CLAIM.format(control), arms.get(control, {}).get("counted", NO_ROWS), "own_minus_random")
    add_tested(LEARNED_CLAIM, arms["matched"].get("learned", NO_ROWS), "own_minus_random")
    add_tested(ZERO_SHOT_CLAIM, arms["matched"].get("counted", NO_ROWS), "own_minus_original")
    add_tested(RANDOM_CLAIM, trained.get("random", NO_ROWS), "own_minus_original")
    return rows


def specific_rows(result):
    """A permutation test has no interval: it agrees where p is at most .05, and decides nothing otherwise."""
    rows = []
    for matrix in result["off"]["matrix"]["cross_matrices"]:
        for measure in ("value", "loss"):
            test = matrix[f"{measure}_test"]
            verdict = "agrees" if test["p"] is not None and test["p"] <= 0.05 else "undetermined"
            rows.append((SPECIFIC_CLAIM, [SPECIFIC_CLAIM, "both", {"value": "metric"}.get(measure, measure), f"{test['statistic']:+.3f}", "–",
                                          p_text(test["p"]), "–", "–", verdict]))
    return rows


# Columns of the table beside the paper; its random units are uniform ones.
COLUMNS = ("original", "random off", "matched off", "own off", "zero-shot", "random trained", "matched trained", "own trained")


def rows_of(result, kind):
    """What single tasks of a kind that count score: {column: {task: value}}."""
    found = {}
    main, uniform = result["off"]["main"].get(kind), result["off"]["controls"].get("uniform", {}).get(kind)
    for name, source in (("matched", main), ("uniform", uniform)):
        for entry in source["results"] if source else []:
            task = entry["task"]
            random = [row["value"] for row in entry["random"] if row["kind"] == name]
            found.setdefault("matched off" if name == "matched" else "random off", {})[task] = mean(random)
            if name == "matched":
                found.setdefault("original", {})[task] = entry["original"]["value"]
                found.setdefault("own off", {})[task] = entry["off"][task]["value"]
    for arm, column in (("matched", "matched trained"), ("uniform", "random trained")):
        for row in result["trained"]["arms"].get(arm, {}).get("counted", NO_ROWS)["results"]:
            if result["tasks"][row["task"]] == kind:
                found.setdefault(column, {})[row["task"]] = mean(row["random"]["value"])
                if arm == "matched":
                    found.setdefault("zero-shot", {})[row["task"]] = row["original"]["value"]
                    found.setdefault("own trained", {})[row["task"]] = row["own"]["value"]
    return found


def beside_paper(result):
    """Rows of the paper, of this study, and of the studies beside it over the tasks that both have."""
    rows = []
    for kind, paper in PAPER.items():
        rows.append([kind, "paper, Llama-2-7b", "", *(f"{paper[name]:.1f}" if name in paper else "–" for name in COLUMNS)])
        here = rows_of(result, kind)
        names = set(here.get("original", {}))
        for title, found in [("here", here)] + [(name, rows_of(other, kind)) for name, other in result["beside"].items()]:
            means = []
            for column in COLUMNS:
                values = [value for task, value in found.get(column, {}).items() if task in names]
                means.append(f"{100 * mean(values):.1f}" if values else "–")
            common = sorted(names & set(found.get("original", {})))
            rows.append(["", title, ", ".join(common) or "none", *means])
    return rows


def verdicts(result):
    found = verdict_rows(result)
    lines = answer(found) + table(["claim", "tasks", "measure", "difference", "95%", "p", "detectable", "without one task", "verdict"],
                                  [row for _, row in found])
    return lines + ["Means over tasks, in percent, of those that count in both. The paper's are over other rows and prompts, and its random units are "
                    "drawn uniformly, as in the columns of that name; matched ones have the own set's layers:", ""] + table(
                        ["tasks", "", "which", *COLUMNS], beside_paper(result))
