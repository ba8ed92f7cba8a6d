"""What question 1's tests come to: families of tests, and the verdict on each claim beside the paper's own numbers."""
from page_parts import answer, correct_together, interval, kinds_of_metrics, mean, metric_name, p_text, table, without_one, worst_p

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
ZERO_SHOT_CLAIM = "training own units is better than zero-shot"


def verdict_rows(result):
    """One row per claim, kind of task and measure: (claim, row). The verdict is the program's (docs/method.md)."""
    rows = []

    def add(claim, kind, measure, entry, entries):
        rows.append((claim, [claim, kind, measure, f"{entry['difference']:+.3f}", interval(entry), p_text(worst_p(entry)),
                             without_one(entries), entry["verdict"]]))

    def name_of(measure, entry):
        return {"value": metric_name(entry["metric"]), "label_loss": "loss over labels"}.get(measure, measure)

    for control, by_kind in (("matched", result["off"]["main"]), ("uniform", result["off"]["controls"].get("uniform", {}))):
        for kind, found in by_kind.items():
            for entry in averages_of(found):
                for measure, against in entry["own_minus_random"][control].items():
                    if control == "matched" or measure != "label_loss":
                        add(OFF_CLAIM.format(control), kind, name_of(measure, entry), against,
                            [row["own_minus_random"][control][measure] for row in found["results"]])
    for control in ("matched", "uniform"):
        trained = result["trained"]["arms"].get(control, {}).get("counted", NO_ROWS)
        kinds = kinds_of_metrics(result, trained)
        for row in trained["averages"]:
            own = [one for one in trained["results"] if one["metric"] == row["metric"]]
            for measure in ("value", "loss"):
                add(TRAINED_CLAIM.format(control), kinds[row["metric"]], name_of(measure, row), row["own_minus_random"][measure],
                    [one["own_minus_random"][measure] for one in own])
                if control == "matched":
                    add(ZERO_SHOT_CLAIM, kinds[row["metric"]], name_of(measure, row), row["own_minus_original"][measure],
                        [one["own_minus_original"][measure] for one in own])
    return rows


def value_of(rows, name):
    """The mean value of a row of an average, or of the one task that there is."""
    if name == "random":
        random = rows["random"]
        return random["matched"]["value"] if isinstance(random, dict) else mean([row["value"] for row in random])
    if name == "own" and "own" not in rows:
        return rows["off"][rows["task"]]["value"]
    return rows[name]["value"]


def beside_paper(result, kind):
    """Our numbers by the paper's names."""
    ours = {}
    if kind in result["off"]["main"]:
        off = averages_of(result["off"]["main"][kind])[0]
        ours.update({"original": value_of(off, "original"), "random off": value_of(off, "random"), "own off": value_of(off, "own")})
    found = result["trained"]["arms"]["matched"].get("counted", NO_ROWS)
    kinds = kinds_of_metrics(result, found)
    for row in found["averages"]:
        if kinds[row["metric"]] == kind:
            ours.update({"zero-shot": row["original"]["value"], "random trained": mean(row["random"]["value"]),
                         "own trained": row["own"]["value"]})
    return ours


def verdicts(result):
    found = verdict_rows(result)
    lines = answer(found) + table(["claim", "tasks", "measure", "difference", "95%", "p", "without one task", "verdict"],
                                  [row for _, row in found])
    rows = []
    for kind, paper in PAPER.items():
        ours = beside_paper(result, kind)
        rows.append([kind, "paper, Llama-2-7b"] + [f"{value:.1f}" for value in paper.values()])
        rows.append(["", "here"] + [f"{100 * ours[name]:.1f}" if name in ours else "–" for name in paper])
    names = list(next(iter(PAPER.values())))
    return lines + ["Means over tasks, in percent; the paper's random units are drawn uniformly, ours with the own set's layers:", ""] + table(["tasks", "", *names], rows)
