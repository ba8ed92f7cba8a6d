"""Cases about our own program: prefixes that are shared, memory, growth with the share of neurons,
stages of continual learning, large models, generation, overlap, tokenizers, kernels."""
import json
import os
import shutil
import statistics

from bench import EXAMPLES, ROOT
from compared import GPT2_TEXTS, neuron_sets


def sharing(bench):
    task = bench.task("shared-task", 256, 128, 128, 8, instruction=64)
    model = bench.model("gpt2-124M")
    limit = ["--limit", "32" if bench.quick else "96"]
    entry = bench.side_by_side("an instruction of half the prompt, gpt2-124M shape", {
        "not shared": bench.detect(model, task, *limit),
        "--aggregate dataset": bench.detect(model, task, "--aggregate", "dataset", *limit),
        "--positions own": bench.detect(model, task, "--positions", "own", *limit)})
    bench.ratio(entry, "dataset against not shared", "not shared", "at least 1.4", ours="--aggregate dataset")
    bench.ratio(entry, "own positions against not shared", "not shared", "at least 1.4", ours="--positions own")


def memory(bench):
    model, task = bench.model("gpt2-124M"), bench.task("gpt2-task", 256, *GPT2_TEXTS)
    entry = {"case": "memory of detect, gpt2-124M shape, bfloat16", "rows": []}
    print(f"\n{entry['case']}", flush=True)
    for flags in ([], ["--batch-tokens", "512"], ["--memory", "700M"], ["--memory", "600M"]):
        output, peak, _ = bench.run(bench.detect(model, task, "--limit", "64", *flags))
        row = {"flags": " ".join(flags) or "(none)", "batch_tokens": output["batch_tokens"],
               "recomputed": output["recomputed"], "predicted": output["predicted_memory_bytes"],
               "measured": peak, "tokens_per_second": output["tokens_per_second"]}
        entry["rows"].append(row)
        print(f"  {row['flags']:<20} {row['batch_tokens']:5d} tokens a batch, "
              f"{'recomputed' if row['recomputed'] else 'kept':<10}  predicted {row['predicted'] / 2**20:6.0f} MiB, "
              f"measured {peak / 2**20:6.0f} MiB, {row['tokens_per_second']:.0f} tokens/s", flush=True)
    bench.results.append(entry)


def trained(bench, model, task, limit, *flags, batch=16):
    return [bench.program, "train", model, "--task", task, "--limit", str(limit), "--batch", str(batch),
            "--epochs", "1", "--schedule", "constant", "--lr", "1e-4", "--clip", "0", "--weight-decay", "0",
            "--evaluate", "none", "--save", "delta", "--out", bench.temporary("trained"), "--json", "--quiet", *flags]


def growth(bench):
    """How the cost of training grows with the share of neurons."""
    model, task = bench.model("gpt2-124M"), bench.task("gpt2-task", 256, *GPT2_TEXTS)
    sets = neuron_sets(bench, model, task, ("1%", "10%", "30%", "50%", "100%"))
    runs = {f"top {top}": ["--set", path] for top, path in sets.items()}
    runs["the whole FFN"] = ["--ffn"]
    entry = {"case": "training more and more neurons, gpt2-124M shape, bfloat16", "growth": []}
    print(f"\n{entry['case']}", flush=True)
    rates, outputs, peaks = {name: [] for name in runs}, {}, {}
    for _ in range(bench.rounds):
        for name, flags in runs.items():
            outputs[name], peaks[name], _ = bench.run(trained(bench, model, task, 32 if bench.quick else 64, *flags))
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
    bench.results.append(entry)


def continual(bench):
    """What a stage of neuron-level fine-tuning costs beside one of all parameters; finding the units is not in it."""
    order = bench.temporary("order.json")
    with open(order, "w") as file:
        json.dump({"format": "taskneuron.order/1", "tasks": [os.path.join(EXAMPLES, "tasks", "amazonfood")]}, file)

    def stage(method):
        return [bench.program, "continual", os.path.join(EXAMPLES, "models/mini"), "--order", order, "--method", method, "--lr",
                "1e-3", "--limit", "64" if bench.quick else "300", "--detect-limit", "64", "--epochs", "1", "--test-limit", "1",
                "--unseen", "none", "--no-single", "--out", bench.temporary("trained"), "--json", "--quiet"]

    def rate(output):
        cost = output["runs"][0]["stages"][0]
        return cost["tokens"] / cost["training_seconds"]

    entry = bench.side_by_side("training of a stage of continual, mini, amazonfood, float32, batches of 16, top 10%",
                               {method: stage(method) for method in ("ncft", "seqft")}, rate)
    bench.ratio(entry, "ncft against seqft (wanted: at most 0.72 of its time)", "seqft", "at least 1.39", ours="ncft")


def large(bench):
    """What fits: a step of training at 1.1B, detect at 7B."""
    if bench.quick:
        return
    task, rounds = bench.task("llama-task", 8, 128, 128, 8), bench.rounds
    bench.rounds = 1
    model = bench.model("llama-1.1B")
    neurons = neuron_sets(bench, model, task, ("10%",))["10%"]
    bench.side_by_side("one training step, llama-1.1B shape, top 10%, 8 texts of 128 tokens, bfloat16 "
                       "(wanted: at most 8 GiB beyond the mapped weights)",
                       {"taskneuron": trained(bench, model, task, 8, "--set", neurons, batch=8)})
    if shutil.disk_usage(bench.data).free < 20e9:
        print("\nllama-7B: skipped, it needs 14 GB of disk")
    else:
        model = bench.model("llama-7B")
        entry = bench.side_by_side("detect, llama-7B shape, 8 texts of 128 tokens, bfloat16 (wanted: at least 8 "
                                   "tokens/s, at most 6 GiB)", {"taskneuron": bench.detect(model, task)})
        _, _, entry["inspect_seconds"] = bench.run([bench.program, "inspect", model, "--json", "--quiet"])
        print(f"  inspect: {entry['inspect_seconds']:.2f} s (wanted: under 1)", flush=True)
    bench.rounds = rounds


def generation(bench):
    command = [bench.tool("generation"), os.path.join(EXAMPLES, "models/mini"), os.path.join(EXAMPLES, "tasks/e2e")]
    output, _, _ = bench.run(command)
    print(f"\ngeneration, mini, {output['prompts']} prompts: {output['batched_tokens_per_second']:.0f} tokens/s "
          f"side by side, {output['ratio']:.2f} times one by one", flush=True)
    bench.results.append({"case": "generation, mini, 64 prompts side by side", "output": output,
                          "command": bench.shown(command),
                          "ratios": [{"name": "times one by one", "value": output["ratio"], "wanted": None}]})


def overlap(bench):
    for name, *flags in (("sets of nothing in common",), ("sets that share half", "shared")):
        command = [bench.tool("overlap"), "100", "32", "15625", "10", *flags]
        output, _, _ = bench.run(command)
        print(f"\noverlap, {output['sets']} {name}, about {output['units']} of {output['of']} units: {output['pairs']} pairs in "
              f"{output['pairs_seconds']:.2f} s, shared core in {output['core_seconds']:.2f} s, a file is read in "
              f"{1000 * output['file_seconds']:.1f} ms", flush=True)
        bench.results.append({"case": f"overlap, 100 {name}, 500,000 units", "output": output, "command": bench.shown(command),
                              "ratios": [{"name": "pairs in 10 s against the time taken", "value": 10 / output["pairs_seconds"],
                                          "wanted": 1}]})


def tokenizer(bench):
    text = bench.temporary("text.jsonl")
    with open(text, "wb") as out:
        for name in sorted(os.listdir(os.path.join(EXAMPLES, "tasks"))):
            path = os.path.join(EXAMPLES, "tasks", name, "train.jsonl")
            if os.path.exists(path):
                with open(path, "rb") as file:
                    out.write(file.read())
    print("\ntokenizers, one core", flush=True)
    print(bench.text([bench.tool("tokenizer"), text, os.path.join(EXAMPLES, "models/mini")]), flush=True)
    shared = os.path.join(os.path.dirname(ROOT), "shared")
    if not os.path.isdir(os.path.join(shared, "tokenizers")):
        print("  others: skipped, no shared data beside the clone", flush=True)
        return
    folders = sorted(entry.path for entry in os.scandir(os.path.join(shared, "tokenizers")) if entry.is_dir())
    print(bench.text([bench.tool("tokenizer"), os.path.join(shared, "data/plain/sherlock_holmes.txt"), *folders]))


def kernels(bench):
    if not os.path.exists(bench.tool("kernels")):
        print("\nkernels: SKIPPED, Google Benchmark is missing (apt-get install libbenchmark-dev)")
        return
    out = bench.temporary("kernels.json")
    print(bench.text([bench.tool("kernels"), "--benchmark_out=" + out, "--benchmark_out_format=json",
                      "--benchmark_min_time=" + ("0.1" if bench.quick else "0.5")]), flush=True)
    with open(out) as file:
        rows = [{"name": b["name"], "milliseconds": b["real_time"], "gflops": b.get("GFLOP/s")}
                for b in json.load(file)["benchmarks"]]
    bench.results.append({"case": "kernels", "rows": rows})
