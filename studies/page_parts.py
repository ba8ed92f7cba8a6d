"""Pieces of a study's page: numbers as they are written, rows, tables in Markdown."""

# What people call a metric, where that is not its name in results; "score": of files that name none.
METRIC_NAMES = {"rougeL": "ROUGE-L", "score": "ROUGE-L"}


def metric_name(metric):
    return METRIC_NAMES.get(metric, metric)


def kinds_of_metrics(result, found):
    """The kind of task that each metric is of, from a result's rows of single tasks."""
    return {row["metric"]: result["tasks"][row["task"]] for row in found["results"]}


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """Sample standard deviation."""
    center = mean(values)
    return (sum((v - center) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0


def p_text(p):
    if p is None:
        return "–"
    if p < 1e-300:  # beyond what is computed
        return "< 1e-300"
    return f"{p:.3f}" if p >= 0.0995 else f"{p:.2g}" if p >= 0.001 else f"{p:.1e}"


def corrected(ps):
    """Benjamini-Hochberg over those that are there."""
    order = sorted((i for i, p in enumerate(ps) if p is not None), key=lambda i: -ps[i])
    found, least = list(ps), 1.0
    for rank, i in zip(range(len(order), 0, -1), order):
        least = found[i] = min(least, ps[i] * len(order) / rank)
    return found


def correct_together(contrasts):
    """Makes one family of contrasts that several commands have tested: their corrected p, and the verdicts that a larger family
    no longer supports. (What a command prints is corrected within that command.)"""
    for entry, p in zip(contrasts, corrected([entry["p"] for entry in contrasts])):
        entry["p_adjusted"] = p
        if entry["verdict"] == "agrees" and p > 0.05:
            entry["verdict"] = "undetermined"


def number(value, digits=3):
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus zero


def interval(entry):
    return "undefined" if entry["low"] is None else f"{entry['low']:+.3f} … {entry['high']:+.3f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def worst_p(entry):
    return entry["p_adjusted"] if entry["p_adjusted"] is not None else entry["p"]


def without_one(entries):
    """The lowest and the highest mean difference of the tasks with one of them left out."""
    differences = [entry["difference"] for entry in entries]
    if len(differences) < 2:
        return "–"
    means = [(sum(differences) - one) / (len(differences) - 1) for one in differences]
    return f"{min(means):+.3f} … {max(means):+.3f}"


# What stands in the place of a verdict where no test is valid.
NO_TEST = "no test"


def answer(rows):
    """What verdicts say together, claim by claim. rows: (claim, cells), the second of which are kinds of tasks, the third measures,
    and the last verdicts."""
    lines = []
    for claim in dict.fromkeys(claim for claim, _ in rows):
        by_verdict = {}
        for of, row in rows:
            if of == claim:
                what, _, at = row[1].partition(" at ")
                by_verdict.setdefault(row[-1], {}).setdefault((what, row[2]), []).append(at)
        said = "; ".join(f"*{verdict}*: " + ", ".join(what + (f" at {' and '.join(at)}" if at[0] else "") + f" in {measure}"
                                                      for (what, measure), at in by_verdict[verdict].items())
                         for verdict in ("agrees", "does not", "undetermined", NO_TEST) if verdict in by_verdict)
        lines.append(f"- {claim[0].upper()}{claim[1:]} – {said}.")
    return lines + [""]


CONTRAST = ["own − random", "95%", "p", "p (BH)", "detectable"]


def contrast(entry):
    """Cells under CONTRAST; the smallest difference that could have been seen stands beside what was not."""
    last = entry["p"] if entry["p_adjusted"] is None else entry["p_adjusted"]
    seen = last is not None and last <= 0.05
    return [f"{entry['difference']:+.3f}", interval(entry), p_text(entry["p"]), p_text(entry["p_adjusted"]),
            "" if seen or entry["detectable"] is None else number(entry["detectable"])]


def time_taken(result):
    """What a study says of its time: estimated before, and by the clock."""
    starts = result["starts"]
    minutes = sum(start["until"] - start["began"] for start in starts) / 60
    cores = " and ".join(map(str, sorted({start["cores"] for start in starts})))
    return (f"Time: estimated {result['estimated_minutes']:.0f} minutes on {result['cores']} cores, from nothing. Measured: {minutes:.0f} minutes by the "
            f"clock, in {len(starts)} start{'s' if len(starts) != 1 else ''} on {cores} cores, whatever else ran on them; what records hold without "
            "a time is not in it.")


def bold(cells):
    return [f"**{cell}**" if cell else "" for cell in cells]


def commands(result):
    """One command of each kind, as it was run: the first by the name of its stage, for those that run side by side have no order."""
    first = {}
    for stage, command in result["commands"]:
        parts = command.split()
        kind = (stage.split("/")[0], parts[1], "--random" in parts)
        if not stage.startswith("estimate"):
            first[kind] = min(first.get(kind, (stage, command)), (stage, command))
    return ["```sh", *(line for stage, command in first.values() for line in (f"# {stage}", command)), "```", ""]
