#!/usr/bin/env python3
"""Measures taskneuron on this machine, PyTorch peers beside it in the same run.

  run.py BUILD_FOLDER [--quick] [--rounds N] [--only NAME ...] [--docs]

Makes random checkpoints of named shapes (under BUILD_FOLDER/bench/data; the largest has 13 GB),
runs every case, prints a table and writes BUILD_FOLDER/bench/results.json. --docs also writes the
measured part of docs/performance.md. Every round runs the programs that are compared one after the
other; what is reported are medians over rounds and ratios of medians.
"""
import argparse
import array
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

import measure
import shapes

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(ROOT, "examples")


def find_torch():
    """The Python that has PyTorch, or None."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            return python
    return None


def read_scores(path):
    """The sums of |relevance| by example at site act, from a score file."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        info = header["example_abs_sum.act"]
        begin, end = info["data_offsets"]
        file.seek(8 + size + begin)
        return array.array("d", file.read(end - begin))


def read_floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def agreement(ours, theirs):
    """(relative distance, share of the top tenth in common) of two score vectors."""
    distance = sum((a - b) ** 2 for a, b in zip(ours, theirs)) ** 0.5
    norm = sum(b * b for b in theirs) ** 0.5
    count = len(ours) // 10
    top = [set(sorted(range(len(v)), key=lambda i: -v[i])[:count]) for v in (ours, theirs)]
    return distance / norm, len(top[0] & top[1]) / max(count, 1)


class Bench:
    def __init__(self, build, rounds, quick):
        self.build = os.path.abspath(build)
        self.rounds = rounds
        self.quick = quick
        self.data = os.path.join(self.build, "bench", "data")
        os.makedirs(self.data, exist_ok=True)
        self.python = find_torch()
        self.program = os.path.join(self.build, "taskneuron")
        self.results = []

    def tool(self, name):
        return os.path.join(self.build, "bench", "bench_" + name)

    def model(self, shape):
        folder = os.path.join(self.data, shape)
        shapes.write_model(shape, folder)
        return folder

    def task(self, name, *size, **more):
        folder = os.path.join(self.data, name)
        shapes.write_task(folder, *size, **more)
        return folder

    def temporary(self, name):
        return os.path.join(self.data, name)

    def detect(self, model, task, *flags):
        return [self.program, "detect", model, "--task", task, "--out", self.temporary("ours.safetensors"),
                "--force", "--json", "--quiet", *flags]

    def peer(self, kind, model, ids, *flags, program="detect"):
        return [self.python, os.path.join(ROOT, f"bench/peers/{program}.py"), kind, model, ids,
                self.temporary(kind + ".raw"), *flags]

    def ids(self, model, task, limit, *flags):
        path = self.temporary("ids.json")
        with open(path, "w") as file:
            subprocess.run([self.tool("examples"), model, task, str(limit), *flags], stdout=file, check=True)
        return path

    def shown(self, command):
        return " ".join(self.short(part) for part in command)

    def short(self, part):
        for folder, name in ((self.data, "DATA"), (os.path.join(self.build, "bench"), "BUILD/bench"),
                             (self.build, "BUILD"), (ROOT + "/", "")):
            part = part.replace(folder, name)
        return os.path.basename(part) if part == self.python else part

    def run(self, command):
        """Measures it; the folder that the last training run made must be gone."""
        shutil.rmtree(self.temporary("trained"), ignore_errors=True)
        return measure.run(command)

    def side_by_side(self, case, commands):
        """commands: name -> command. Adds one result with medians over rounds."""
        print(f"\n{case}", flush=True)
        rates, peaks = {name: [] for name in commands}, {name: [] for name in commands}
        outputs = {}
        for _ in range(self.rounds):
            for name, command in commands.items():
                output, peak, _ = self.run(command)
                rates[name].append(output["tokens_per_second"])
                outputs[name] = output
                peaks[name].append(peak)
        entry = {"case": case, "rounds": self.rounds, "runs": {}, "outputs": outputs}
        for name, command in commands.items():
            entry["runs"][name] = {"tokens_per_second": statistics.median(rates[name]),
                                   "all": rates[name], "peak_anonymous_bytes": max(peaks[name]),
                                   "command": self.shown(command)}
            print(f"  {name:<22} {statistics.median(rates[name]):9.1f} tokens/s   "
                  f"{max(peaks[name]) / 2**20:7.0f} MiB   ({', '.join(f'{r:.0f}' for r in rates[name])})",
                  flush=True)
        self.results.append(entry)
        return entry

    def ratio(self, entry, name, ours, other, wanted=None):
        """The ratio of medians, noted in the result; `wanted` is what the project asks of itself."""
        if ours not in entry["runs"] or other not in entry["runs"]:
            return
        runs = entry["runs"]
        value = runs[ours]["tokens_per_second"] / runs[other]["tokens_per_second"]
        entry.setdefault("ratios", []).append({"name": name, "value": value, "wanted": wanted})
        print(f"  {name}: {value:.2f}" + (f" (wanted: {wanted})" if wanted else ""), flush=True)

    def compare_scores(self, entry, name, kind):
        theirs = read_floats(self.temporary(kind + ".raw"))
        distance, common = agreement(read_scores(self.temporary("ours.safetensors")), theirs)
        entry.setdefault("agreement", []).append({"with": name, "distance": distance, "top_tenth": common})
        print(f"  scores against {name}: relative distance {distance:.1e}, "
              f"{100 * common:.1f}% of the top tenth in common", flush=True)

    def detect_case(self, name, model, task, limits, ratios):
        """limits: dtype -> (examples, examples for the peers); ratios: dtype -> {against: wanted}.

        Peers may run fewer examples, the first ones, so that a round takes minutes and not an hour:
        what is compared are tokens per second. Scores are compared on those."""
        for dtype, (limit, few) in limits.items():
            ids = self.ids(model, task, few)
            ours = self.detect(model, task, "--dtype", dtype, "--limit", str(limit))
            commands = {"taskneuron": ours,
                        "products alone": [self.tool("gemm_bound"), model, task, dtype, str(limit)]}
            if self.python:
                commands[f"PyTorch plain, {few} texts"] = self.peer("plain", model, ids)
                commands[f"PyTorch tuned, {few} texts"] = self.peer("tuned", model, ids, "--dtype", dtype)
            entry = self.side_by_side(f"{name}, {dtype}", commands)
            wanted = ratios.get(dtype, {})
            for kind in ("plain", "tuned"):
                self.ratio(entry, f"times {kind}", "taskneuron", f"PyTorch {kind}, {few} texts", wanted.get(kind))
            self.ratio(entry, "share of the products alone", "taskneuron", "products alone", wanted.get("bound"))
            if self.python:
                measure.run(self.detect(model, task, "--dtype", dtype, "--limit", str(few)))
                self.compare_scores(entry, f"tuned ({dtype})", "tuned")
                self.compare_scores(entry, "plain (float32)", "plain")

    # ---- cases ----

    def gpt2(self):
        task = self.task("gpt2-task", 256, 96, 160, 8)
        self.detect_case("detect, gpt2-124M shape, texts of 96-160 tokens, answers of 8",
                         self.model("gpt2-124M"), task,
                         {"bfloat16": (32, 16) if self.quick else (256, 24),
                          "float32": (16, 16) if self.quick else (24, 24)},
                         {"bfloat16": {"plain": "at least 4", "tuned": "at least 1.25", "bound": "at least 0.80"},
                          "float32": {"plain": "at least 2.5"}})

    def mini(self):
        self.detect_case("detect, examples/models/mini on amazonfood", os.path.join(EXAMPLES, "models/mini"),
                         os.path.join(EXAMPLES, "tasks/amazonfood"),
                         {"bfloat16": (60, 20) if self.quick else (300, 40),
                          "float32": (60, 20) if self.quick else (300, 40)},
                         {"bfloat16": {"tuned": "at least 2"}})

    def ranking(self):
        labels = [a + b for a in "abcdefg" for b in ("lpha", "eta")]
        task = self.task("ranking-task", 16, 126, 126, 6)
        shapes.add_labels(task, labels)
        model, count = self.model("gpt2-124M"), "4" if self.quick else "16"
        ours = self.temporary("ranking.raw")
        commands = {"taskneuron": [self.tool("ranking"), model, task, count, ours]}
        if self.python:
            ids = self.ids(model, task, count, "--labels")
            for kind in ("plain", "tuned"):
                commands[f"PyTorch {kind}"] = self.peer(kind, model, ids, program="rank")
        rounds, self.rounds = self.rounds, 1  # the program itself takes medians
        entry = self.side_by_side("ranking 14 labels, gpt2-124M shape, prompts of 120 tokens", commands)
        self.rounds = rounds
        output = entry["outputs"]["taskneuron"]
        entry["ratios"] = [{"name": "times every label with its whole prompt, our own engine both times",
                            "value": output["ratio"], "wanted": "at least 5"}]
        print(f"  {output['ratio']:.2f} times as fast as every label with its whole prompt (wanted: at least 5); "
              f"log-probabilities differ by {output['largest_difference']:.1e} at most", flush=True)
        for kind in ("plain", "tuned"):
            self.ratio(entry, f"times {kind}", "taskneuron", f"PyTorch {kind}")
            if self.python:
                distance, _ = agreement(read_floats(ours), read_floats(self.temporary(kind + ".raw")))
                entry.setdefault("agreement", []).append({"with": kind, "distance": distance})
                print(f"  log-probabilities against {kind}: relative distance {distance:.1e}", flush=True)

    def sharing(self):
        task = self.task("shared-task", 256, 128, 128, 8, instruction=64)
        model = self.model("gpt2-124M")
        limit = ["--limit", "32" if self.quick else "96"]
        entry = self.side_by_side("an instruction of half the prompt, gpt2-124M shape", {
            "not shared": self.detect(model, task, *limit),
            "--aggregate dataset": self.detect(model, task, "--aggregate", "dataset", *limit),
            "--positions own": self.detect(model, task, "--positions", "own", *limit)})
        self.ratio(entry, "dataset against not shared", "--aggregate dataset", "not shared", "at least 1.4")
        self.ratio(entry, "own positions against not shared", "--positions own", "not shared", "at least 1.4")

    def memory(self):
        model, task = self.model("gpt2-124M"), self.task("gpt2-task", 256, 96, 160, 8)
        entry = {"case": "memory of detect, gpt2-124M shape, bfloat16", "rows": []}
        print(f"\n{entry['case']}", flush=True)
        for flags in ([], ["--batch-tokens", "512"], ["--memory", "700M"], ["--memory", "600M"]):
            output, peak, _ = measure.run(self.detect(model, task, "--limit", "64", *flags))
            row = {"flags": " ".join(flags) or "(none)", "batch_tokens": output["batch_tokens"],
                   "recomputed": output["recomputed"], "predicted": output["predicted_memory_bytes"],
                   "measured": peak, "tokens_per_second": output["tokens_per_second"]}
            entry["rows"].append(row)
            print(f"  {row['flags']:<20} {row['batch_tokens']:5d} tokens a batch, "
                  f"{'recomputed' if row['recomputed'] else 'kept':<10}  predicted {row['predicted'] / 2**20:6.0f} MiB, "
                  f"measured {peak / 2**20:6.0f} MiB, {row['tokens_per_second']:.0f} tokens/s", flush=True)
        self.results.append(entry)

    def llama(self):
        for shape, wanted in (("llama-1.1B", None), ("llama-7B", "at least 8 tokens/s, at most 6 GiB")):
            free = shutil.disk_usage(self.data).free
            if shape == "llama-7B" and (self.quick or free < 20e9):
                print(f"\n{shape}: skipped" + ("" if self.quick else ", it needs 14 GB of disk"))
                continue
            model, task = self.model(shape), self.task("llama-task", 8, 128, 128, 8)
            commands = {"taskneuron": self.detect(model, task)}
            if self.python and shape == "llama-1.1B":  # a copy of 7B does not fit beside its pages
                commands["PyTorch tuned"] = self.peer("tuned", model, self.ids(model, task, 8))
            rounds, self.rounds = self.rounds, 1
            entry = self.side_by_side(f"detect, {shape} shape, 8 texts of 128 tokens, bfloat16"
                                      + (f" (wanted: {wanted})" if wanted else ""), commands)
            self.rounds = rounds
            self.ratio(entry, "times tuned", "taskneuron", "PyTorch tuned")
            _, _, seconds = measure.run([self.program, "inspect", model, "--json", "--quiet"])
            entry["inspect_seconds"] = seconds
            print(f"  inspect: {seconds:.2f} s" + (" (wanted: under 1)" if wanted else ""), flush=True)

    def train(self):
        """Neurons alone, against PyTorch that masks whole gradients; how cost grows with their share."""
        model, task = self.model("gpt2-124M"), self.task("gpt2-task", 256, 96, 160, 8)
        sets = self.neuron_sets(model, task, ("1%", "10%", "30%", "50%", "100%"))
        few, many = (16, 32) if self.quick else (16, 64)
        ids = self.ids(model, task, few)
        for dtype, wanted in (("bfloat16", {"plain": "at least 2.5", "tuned": "at least 1.5"}), ("float32", {})):
            limit = many if dtype == "bfloat16" else few
            commands = {"taskneuron": self.trained(model, task, limit, "--set", sets["10%"], "--dtype", dtype)}
            if self.python:
                commands[f"PyTorch plain, {few} texts"] = self.train_peer("plain", model, ids, sets["10%"])
                commands[f"PyTorch tuned, {few} texts"] = self.train_peer("tuned", model, ids, sets["10%"],
                                                                          "--dtype", dtype)
            entry = self.side_by_side(f"train the top 10% of neurons, gpt2-124M shape, {dtype}", commands)
            for kind in ("plain", "tuned"):
                self.ratio(entry, f"times {kind}", "taskneuron", f"PyTorch {kind}, {few} texts", wanted.get(kind))
        self.train_agreement(entry, model, task, sets["10%"])
        self.train_growth(model, task, sets, many)
        self.train_llama()

    def neuron_sets(self, model, task, tops):
        """The top shares of a detection on a few texts, as set files."""
        measure.run(self.detect(model, task, "--limit", "8"))
        sets = {}
        for top in tops:
            sets[top] = self.temporary(f"{os.path.basename(model)}-{top[:-1]}.json")
            subprocess.run([self.program, "select", self.temporary("ours.safetensors"), "--top", top, "--out", sets[top],
                            "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        return sets

    def trained(self, model, task, limit, *flags, batch=16, epochs=1):
        return [self.program, "train", model, "--task", task, "--limit", str(limit), "--batch", str(batch),
                "--epochs", str(epochs), "--schedule", "constant", "--lr", "1e-4", "--clip", "0", "--weight-decay", "0",
                "--evaluate", "none", "--save", "delta", "--out", self.temporary("trained"), "--json", "--quiet", *flags]

    def train_peer(self, kind, model, ids, neurons, *flags):
        return [self.python, os.path.join(ROOT, "bench/peers/train.py"), kind, model, ids, neurons, *flags]

    def train_agreement(self, entry, model, task, neurons):
        """The losses of three steps, each over all of 16 texts, in float32."""
        if not self.python:
            return
        self.run(self.trained(model, task, 16, "--set", neurons, "--dtype", "float32", epochs=3))
        with open(os.path.join(self.temporary("trained"), "train.jsonl")) as file:
            ours = [json.loads(line)["loss"] for line in file]
        theirs, _, _ = measure.run(self.train_peer("plain", model, self.ids(model, task, 16), neurons, "--steps", "3"))
        distance = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs["losses"]))
        entry.setdefault("agreement", []).append({"with": "plain (float32), losses of three steps", "distance": distance})
        print(f"  losses of three steps against plain: relative distance {distance:.1e}", flush=True)

    def train_growth(self, model, task, sets, limit):
        runs = {f"top {top}": ["--set", path] for top, path in sets.items()}
        runs["the whole FFN"] = ["--ffn"]
        entry = {"case": "training more and more neurons, gpt2-124M shape, bfloat16", "growth": []}
        print(f"\n{entry['case']}", flush=True)
        rates, outputs, peaks = {name: [] for name in runs}, {}, {}
        for _ in range(self.rounds):
            for name, flags in runs.items():
                outputs[name], peaks[name], _ = self.run(self.trained(model, task, limit, *flags))
                rates[name].append(outputs[name]["tokens_per_second"])
        whole = outputs["the whole FFN"]["gradient_and_optimizer_bytes"]
        for name in runs:
            row = {"what": name, "trained_values": outputs[name]["trained_values"],
                   "tokens_per_second": statistics.median(rates[name]),
                   "bytes": outputs[name]["gradient_and_optimizer_bytes"], "peak": peaks[name]}
            row["share"] = row["bytes"] / whole
            entry["growth"].append(row)
            print(f"  {name:<14} {row['tokens_per_second']:7.0f} tokens/s   gradient and optimizer "
                  f"{row['bytes'] / 2**20:6.0f} MiB = {row['share']:.3f} of the whole FFN's   peak {row['peak'] / 2**20:.0f} MiB",
                  flush=True)
        for top in ("1%", "10%", "30%", "50%"):
            share = next(row["share"] for row in entry["growth"] if row["what"] == f"top {top}")
            entry.setdefault("ratios", []).append(
                {"name": f"gradient and optimizer memory at {top}, in parts of that share of the whole FFN's",
                 "value": share / (float(top[:-1]) / 100), "wanted": "at most 1.1"})
        self.results.append(entry)

    def train_llama(self):
        if self.quick:
            return
        model, task = self.model("llama-1.1B"), self.task("llama-task", 8, 128, 128, 8)
        neurons = self.neuron_sets(model, task, ("10%",))["10%"]
        rounds, self.rounds = self.rounds, 1
        self.side_by_side("one training step, llama-1.1B shape, top 10%, 8 texts of 128 tokens, bfloat16 "
                          "(wanted: at most 8 GiB beyond the mapped weights)",
                          {"taskneuron": self.trained(model, task, 8, "--set", neurons, batch=8)})
        self.rounds = rounds

    def generation(self):
        command = [self.tool("generation"), os.path.join(EXAMPLES, "models/mini"), os.path.join(EXAMPLES, "tasks/e2e")]
        output, _, _ = measure.run(command)
        print(f"\ngeneration, mini, {output['prompts']} prompts: {output['batched_tokens_per_second']:.0f} tokens/s "
              f"side by side, {output['ratio']:.2f} times one by one", flush=True)
        self.results.append({"case": "generation, mini, 64 prompts side by side", "output": output,
                             "command": self.shown(command),
                             "ratios": [{"name": "times one by one", "value": output["ratio"], "wanted": None}]})

    def tokenizer(self):
        text = self.temporary("text.jsonl")
        with open(text, "wb") as out:
            for name in sorted(os.listdir(os.path.join(EXAMPLES, "tasks"))):
                path = os.path.join(EXAMPLES, "tasks", name, "train.jsonl")
                if os.path.exists(path):
                    with open(path, "rb") as file:
                        out.write(file.read())
        print("\ntokenizers, one core", flush=True)
        subprocess.run([self.tool("tokenizer"), text, os.path.join(EXAMPLES, "models/mini")], check=True)
        shared = os.path.join(os.path.dirname(ROOT), "shared")
        if not os.path.isdir(os.path.join(shared, "tokenizers")):
            print("  others: skipped, no shared data beside the clone", flush=True)
            return
        folders = sorted(entry.path for entry in os.scandir(os.path.join(shared, "tokenizers")) if entry.is_dir())
        subprocess.run([self.tool("tokenizer"), os.path.join(shared, "data/plain/sherlock_holmes.txt"), *folders],
                       check=True)

    def kernels(self):
        if not os.path.exists(self.tool("kernels")):
            print("\nkernels: SKIPPED, Google Benchmark is missing (apt-get install libbenchmark-dev)")
            return
        out = self.temporary("kernels.json")
        subprocess.run([self.tool("kernels"), "--benchmark_out=" + out, "--benchmark_out_format=json",
                        "--benchmark_min_time=" + ("0.1" if self.quick else "0.5")], check=True)
        with open(out) as file:
            rows = [{"name": b["name"], "milliseconds": b["real_time"], "gflops": b.get("GFLOP/s")}
                    for b in json.load(file)["benchmarks"]]
        self.results.append({"case": "kernels", "rows": rows})


CASES = ["gpt2", "mini", "ranking", "sharing", "memory", "llama", "train", "generation", "tokenizer", "kernels"]


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            lines = info.read().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags"))
        return name + (" with AVX512-BF16" if "avx512_bf16" in flags else "")
    except (OSError, StopIteration):
        return platform.machine()


def markdown(report):
    """The measured part of docs/performance.md."""
    lines = [f"Measured on {report['machine']}, {report['threads']} threads, with `make bench`; medians of "
             f"{report['rounds']} rounds. DATA is where it puts its random checkpoints.", ""]
    for entry in report["results"]:
        lines += [f"### {entry['case']}", ""]
        if "runs" in entry:
            lines += ["| run | tokens/s | memory beyond mapped weights | command |", "|---|---:|---:|---|"]
            for name, run in entry["runs"].items():
                lines.append(f"| {name} | {run['tokens_per_second']:.0f} | {run['peak_anonymous_bytes'] / 2**20:.0f} MiB "
                             f"| `{run['command']}` |" if run["tokens_per_second"] >= 100 else
                             f"| {name} | {run['tokens_per_second']:.1f} | {run['peak_anonymous_bytes'] / 2**20:.0f} MiB "
                             f"| `{run['command']}` |")
            lines.append("")
        elif "growth" in entry:
            lines += ["| trained | values | tokens/s | gradient and optimizer | of the whole FFN's | peak |",
                      "|---|---:|---:|---:|---:|---:|"]
            lines += [f"| {r['what']} | {r['trained_values']} | {r['tokens_per_second']:.0f} | {r['bytes'] / 2**20:.0f} MiB | "
                      f"{r['share']:.3f} | {r['peak'] / 2**20:.0f} MiB |" for r in entry["growth"]]
            lines.append("")
        elif entry["case"] == "kernels":
            lines += ["`BUILD/bench/bench_kernels`; loops:0 is LibTorch's operations for the same.", "",
                      "| kernel | ms | GFLOP/s |", "|---|---:|---:|"]
            lines += [f"| {r['name']} | {r['milliseconds']:.2f} | {r['gflops']:.0f} |" if r["gflops"] else
                      f"| {r['name']} | {r['milliseconds']:.2f} | |" for r in entry["rows"]]
            lines.append("")
        elif "rows" in entry:
            lines += ["| flags | tokens a batch | layers | predicted | measured | tokens/s |", "|---|---:|---|---:|---:|---:|"]
            lines += [f"| {r['flags']} | {r['batch_tokens']} | {'run twice' if r['recomputed'] else 'run once'} | "
                      f"{r['predicted'] / 2**20:.0f} MiB | {r['measured'] / 2**20:.0f} MiB | {r['tokens_per_second']:.0f} |"
                      for r in entry["rows"]]
            lines.append("")
        elif "command" in entry:
            lines += [f"`{entry['command']}`", ""]
        for ratio in entry.get("ratios", []):
            lines.append(f"- {ratio['name']}: **{ratio['value']:.2f}**"
                         + (f" (wanted: {ratio['wanted']})" if ratio["wanted"] else ""))
        for scores in entry.get("agreement", []):
            common = (f", {100 * scores['top_tenth']:.1f}% of the top tenth in common"
                      if "top_tenth" in scores else "")
            lines.append(f"- scores against {scores['with']}: relative distance {scores['distance']:.1e}{common}")
        if "inspect_seconds" in entry:
            lines.append(f"- `inspect`: {entry['inspect_seconds']:.2f} s")
        lines.append("")
    return "\n".join(lines)


def write_docs(report):
    path = os.path.join(ROOT, "docs/performance.md")
    with open(path) as file:
        page = file.read()
    begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    with open(path + ".part", "w") as file:
        file.write(before + begin + markdown(report) + end + after)
    os.rename(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true", help="fewer examples and one round: does it run?")
    parser.add_argument("--rounds", type=int, default=0, help="default 3")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--docs", action="store_true", help="write the measured part of docs/performance.md")
    options = parser.parse_args()
    bench = Bench(options.build, options.rounds or (1 if options.quick else 3), options.quick)
    if bench.python is None:
        print("PEERS SKIPPED: no Python here has PyTorch (apt-get install python3-torch); "
              "taskneuron is measured alone", file=sys.stderr)
    path = os.path.join(bench.build, "bench", "results.json")
    kept = []
    if len(options.only) < len(CASES) and os.path.exists(path):  # the other cases as they were
        with open(path) as file:
            kept = json.load(file)["results"]
    for case in options.only:
        getattr(bench, case)()
        new = {entry["case"]: entry for entry in bench.results}
        merged = [new.pop(entry["case"], entry) for entry in kept] + list(new.values())
        report = {"machine": processor(), "threads": len(os.sched_getaffinity(0)), "rounds": bench.rounds,
                  "peers": bench.python is not None, "results": merged}
        with open(path + ".part", "w") as file:
            json.dump(report, file, indent=1)
        os.rename(path + ".part", path)
    print(f"\nwritten: {bench.short(path)}")
    if options.docs:
        write_docs(report)
        print("written: docs/performance.md")


if __name__ == "__main__":
    main()
