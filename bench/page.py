"""Writes the measured part of docs/performance.md from a report (results.json): one section per system,
between marks, so that measuring on one leaves the other's as it was."""
import os


def rate(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def mebibytes(value):
    return f"{value / 2**20:.0f} MiB"


def ratio_text(ratio):
    between = f" ({ratio['low']:.2f} to {ratio['high']:.2f})" if "low" in ratio else ""
    return f"**{ratio['value']:.2f}**{between}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def between(text, begin, end, lines):
    """The text with these lines between two marks that it has."""
    before, rest = text.split(begin)
    return before + begin + lines + end + rest.split(end, 1)[1]


def replace(path, text):
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)


def summary_table(entries):
    """One line for each case in which PyTorch takes part."""
    lines = ["| case | taskneuron, tokens/s | best PyTorch, tokens/s | ratio | wanted | of the products alone | wanted |",
             "|---|---:|---:|---:|---|---:|---|"]
    for entry in entries:
        if "best_peer" not in entry or "taskneuron" not in entry["runs"]:
            continue
        ratios = {ratio["name"]: ratio for ratio in entry["ratios"]}
        peer, products = ratios["times the best peer"], ratios.get("share of the products alone")
        lines.append(f"| {entry['case']} | {rate(entry['runs']['taskneuron']['tokens_per_second'])} "
                     f"| {rate(entry['runs'][entry['best_peer']]['tokens_per_second'])} "
                     f"| {ratio_text(peer)} | {peer['wanted'] or ''} "
                     f"| {ratio_text(products) if products else ''} | {(products or {}).get('wanted') or ''} |")
    return lines + [""] if len(lines) > 2 else []


def run_table(entry):
    lines = ["| | tokens/s | range | memory beyond mapped weights |", "|---|---:|---|---:|"]
    for name, run in entry["runs"].items():
        mark = " (the best peer)" if name == entry.get("best_peer") else ""
        lines.append(f"| {name}{mark} | {rate(run['tokens_per_second'])} | {rate(run['low'])} to {rate(run['high'])} "
                     f"| {mebibytes(run['peak_anonymous_bytes'])} |")
    return lines + [""]


def cold_line(cold):
    return [f"Cold, once, start and loading included: `{cold['command']}` took {cold['seconds']:.1f} s, "
            f"{rate(cold['tokens_per_second'])} tokens/s, {mebibytes(cold['peak_anonymous_bytes'])}.", ""]


def command_list(entry):
    lines = ["<details><summary>Commands</summary>", ""]
    for run in entry["runs"].values():
        then = f", then `{run['pass']}` on its standard input for every pass" if "pass" in run else ""
        lines.append(f"- `{run['command']}`{then}")
    return lines + ["", "</details>", ""]


def scan_table(entry):
    """Every way that was tried, once, to find those that the rounds are with."""
    lines = ["<details><summary>Every variant of the peers that was tried: one pass over a part of the rows after one "
             "that does not count</summary>", "", "| variant | tokens/s |", "|---|---:|"]
    for row in sorted(entry["scan"], key=lambda r: -r["tokens_per_second"]):
        found = rate(row["tokens_per_second"])
        if row["failure"]:
            found = row["failure"] if row["failure"].startswith("left out") else f"does not work: {row['failure']}"
        lines.append(f"| {row['name']} | {found.replace('|', '/')} |")
    return lines + ["", "</details>", ""]


def growth_table(rows):
    lines = ["| trained | values | tokens/s | gradient and optimizer | of the whole FFN's | peak |",
             "|---|---:|---:|---:|---:|---:|"]
    lines += [f"| {r['what']} | {r['trained_values']} | {r['tokens_per_second']:.0f} | {mebibytes(r['bytes'])} | "
              f"{r['share']:.3f} | {mebibytes(r['peak'])} |" for r in rows]
    return lines + [""]


def kernel_table(rows):
    lines = ["`BUILD/bench/bench_kernels`; loops:0 is LibTorch's operations for the same.", "",
             "| kernel | ms | GFLOP/s |", "|---|---:|---:|"]
    lines += [f"| {r['name']} | {r['milliseconds']:.2f} | {format(r['gflops'], '.0f') if r['gflops'] else ''} |"
              for r in rows]
    return lines + [""]


def memory_table(rows):
    lines = ["| flags | tokens a batch | layers | predicted | measured | tokens/s |", "|---|---:|---|---:|---:|---:|"]
    lines += [f"| {r['flags']} | {r['batch_tokens']} | {'run twice' if r['recomputed'] else 'run once'} | "
              f"{mebibytes(r['predicted'])} | {mebibytes(r['measured'])} | {r['tokens_per_second']:.0f} |" for r in rows]
    return lines + [""]


def notes(entry):
    lines = []
    for ratio in entry.get("ratios", []):
        lines.append(f"- {ratio['name']}: {ratio_text(ratio)}" + (f" (wanted: {ratio['wanted']})" if ratio["wanted"] else ""))
    for scores in entry.get("agreement", []):
        common = (f", {100 * scores['top_tenth']:.1f}% of the top tenth in common" if "top_tenth" in scores else "")
        lines.append(f"- {scores.get('what', 'scores')} against {scores['with']}: relative distance "
                     f"{scores['distance']:.1e}{common}")
    if "inspect_seconds" in entry:
        lines.append(f"- `inspect`: {entry['inspect_seconds']:.2f} s")
    return lines + [""] if lines else []


def case_lines(entry):
    lines = [f"#### {entry['case']}", ""]
    if "runs" in entry:
        lines += run_table(entry)
    elif "growth" in entry:
        lines += growth_table(entry["growth"])
    elif entry["case"] == "kernels":
        lines += kernel_table(entry["rows"])
    elif "rows" in entry:
        lines += memory_table(entry["rows"])
    elif "command" in entry:
        lines += [f"`{entry['command']}`", ""]
    lines += notes(entry)
    if entry.get("cold"):
        lines += cold_line(entry["cold"])
    if "runs" in entry:
        lines += command_list(entry)
    if entry.get("scan"):
        lines += scan_table(entry)
    return lines


def rounds_text(report):
    """Cases may have been measured in runs of their own."""
    counts = sorted({entry.get("rounds", report["rounds"]) for entry in report["results"]})
    return f"{counts[0]} rounds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} rounds"


def section(report):
    pythons = "; ".join(f"{p['path']}: PyTorch {p['torch']}" + (f", Transformers {p['transformers']}" if p["transformers"]
                                                                else "") for p in report["pythons"])
    lines = [f"### {report['system']}", "",
             f"{report['machine']}, {report['threads']} threads, {rounds_text(report)}. Peers: {pythons or 'none'}. "
             "DATA is where the random checkpoints are, BUILD the build.", ""]
    lines += summary_table(report["results"])
    for entry in report["results"]:
        lines += case_lines(entry)
    return "\n".join(lines)


def write(report, page_path):
    with open(page_path) as file:
        page = file.read()
    begin, end = (f"<!-- measured on {report['system']}: {what} -->\n" for what in ("begin", "end"))
    if begin not in page:  # a system's first section stands before the mark of the end
        last = "<!-- measured: end -->\n"
        page = page.replace(last, begin + end + "\n" + last)
    replace(page_path, between(page, begin, end, section(report)))
