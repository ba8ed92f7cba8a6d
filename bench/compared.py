"""Cases in which PyTorch does the same: detect, train, ranking, and detect on a larger model."""
import os

import shapes
import variants
from bench import EXAMPLES

# Every combination is tried on rows sorted by length; in the order of the file, which pads more, both
# kinds of attention with batches of 16.
DETECT_GRID = ([{"attention": attention, "batch": batch, "order": "sorted"}
                for attention in ("eager", "sdpa") for batch in ("8", "16", "32", "2048t")]
               + [{"attention": attention, "batch": "16", "order": "file"} for attention in ("eager", "sdpa")])
DETECT_MORE = [{"collect": "tap"}, {"fused": "no"}, {"collect": "tap", "compile": "dynamic"},
               {"collect": "tap", "compile": "static"}]
TRAIN_GRID = ([{"update": update, "attention": attention, "optimizer": "foreach"}
               for update in ("masked", "selected", "compact") for attention in ("eager", "sdpa")])
TRAIN_MORE = [{"optimizer": "fused"}, {"micro": "8"}, {"compile": "dynamic"}]
RANK_GRID = ([{"way": "whole", "attention": attention, "batch": batch}
              for attention in ("eager", "sdpa") for batch in ("16", "32")]
             + [{"way": "shared", "attention": attention} for attention in ("eager", "sdpa")])


GPT2_TEXTS = (96, 160, 8)  # shortest and longest in tokens, answers


def few(bench, settings):
    return settings[:1] + settings[-1:] if bench.quick else settings


def detect_case(bench, name, model, task, limit, wanted):
    """wanted: dtype -> {"peer", "products"}; the same rows for everyone."""
    ids = bench.ids("ids.json", model, task, limit)
    for dtype, asked in wanted.items():
        if dtype not in bench.dtypes:
            continue
        command = bench.detect(model, task, "--dtype", dtype, "--limit", str(limit))
        output, cold = bench.cold(command)
        arguments = [model, task, dtype, str(limit), str(output["batch_tokens"])]
        job = variants.Job("detect.py", [model, ids], [dtype], few(bench, DETECT_GRID), few(bench, DETECT_MORE),
                           plain={"kind": "plain"}, trial={"every": "3"}, shards=True)
        bench.compare(f"{name}, {dtype}", [bench.tool("detect"), *arguments], job, dtype, asked,
                      products=[bench.tool("gemm_bound"), *arguments], cold=cold)


def gpt2(bench):
    limit, (shortest, longest, answer) = 16 if bench.quick else 96, GPT2_TEXTS
    detect_case(bench, f"detect, gpt2-124M shape, {limit} texts of {shortest}-{longest} tokens, answers of {answer}",
                bench.model("gpt2-124M"), bench.task("gpt2-task", 256, *GPT2_TEXTS), limit,
                {"bfloat16": {"peer": "at least 1.25", "products": "at least 0.88"},
                 "float32": {"peer": "at least 1.25"}})


def mini(bench):
    limit = 32 if bench.quick else 300
    detect_case(bench, f"detect, examples/models/mini on {limit} rows of amazonfood",
                os.path.join(EXAMPLES, "models/mini"), os.path.join(EXAMPLES, "tasks/amazonfood"), limit,
                {"bfloat16": {"peer": "at least 2", "products": "at least 0.70"}, "float32": {}})


def train(bench):
    """An epoch of steps on the top neurons, the same batches for everyone."""
    model, task = bench.model("gpt2-124M"), bench.task("gpt2-task", 256, *GPT2_TEXTS)
    steps, batch, top = 2 if bench.quick else 8, 16, "10%"
    neurons = neuron_sets(bench, model, task, (top,))[top]
    for dtype, wanted in (("bfloat16", {"peer": "at least 2.5"}), ("float32", {})):
        if dtype not in bench.dtypes:
            continue
        ours = [bench.tool("train"), model, task, dtype, str(batch * steps), neurons, str(batch)]
        ids = bench.temporary("steps.json")
        with bench.warm(ours) as worker:
            worker.ask("save " + ids)
        job = variants.Job("train.py", [model, ids, neurons], [dtype], few(bench, TRAIN_GRID), few(bench, TRAIN_MORE),
                           plain={"kind": "plain"}, trial={"steps": "2"})
        entry = bench.compare(f"train the top {top} of neurons, gpt2-124M shape, {steps} steps of {batch} texts, {dtype}",
                              ours, job, dtype, wanted, save=False)
        compare_losses(bench, entry)
        against_masked(bench, entry)


def compare_losses(bench, entry):
    """The losses of the first pass, which all start from the same weights."""
    ours = entry["runs"]["taskneuron"]["first"]["losses"]
    entry["agreement"] = []
    for name, run in entry["runs"].items():
        if name != "taskneuron":
            distance = max(abs(a - b) / abs(b) for a, b in zip(ours, run["first"]["losses"]))
            entry["agreement"].append({"with": name, "what": "losses of the first pass", "distance": distance})
            print(f"  losses of the first pass against {name}: relative distance {distance:.1e}", flush=True)


def against_masked(bench, entry):
    """The best of those that form whole gradients, as users do who write no autograd function."""
    whole = [name for name in entry["runs"] if name != "taskneuron" and "update=compact" not in name]
    if whole and "update=compact" in entry.get("best_peer", ""):
        best = max(whole, key=lambda name: entry["runs"][name]["tokens_per_second"])
        bench.ratio(entry, "times the best peer that forms whole gradients", best, "at least 2.5")


def neuron_sets(bench, model, task, tops):
    """The top shares of a detection on a few texts, as set files."""
    bench.run(bench.detect(model, task, "--limit", "8"))
    sets = {}
    for top in tops:
        sets[top] = bench.fresh(f"{os.path.basename(model)}-{top[:-1]}.json")
        bench.text([bench.program, "select", bench.temporary("ours.safetensors"), "--top", top, "--out", sets[top],
                    "--quiet"])
    return sets


def ranking(bench):
    labels = [a + b for a in "abcdefg" for b in ("lpha", "eta")]
    tokens, answer = 126, 6
    task = bench.task("ranking-task", 16, tokens, tokens, answer)
    shapes.add_labels(task, labels)
    model, count = bench.model("gpt2-124M"), 4 if bench.quick else 16
    ours = [bench.tool("ranking"), model, task, str(count)]
    job = variants.Job("rank.py", [model, bench.ids("ranking.json", model, task, count, "--labels")], ["bfloat16"],
                       few(bench, RANK_GRID), transformers=False)
    entry = bench.compare(f"ranking {len(labels)} labels of {count} prompts of {tokens - answer} tokens, gpt2-124M shape, "
                          "bfloat16", ours, job, "bfloat16", {})
    whole_prompts(bench, entry, ours)


def whole_prompts(bench, entry, ours):
    """Our own engine both ways."""
    with bench.warm(ours) as worker:
        seconds = {way: [] for way in ("run", "run whole")}
        for turn in range(bench.rounds + 1):
            for way in seconds:
                answer = worker.ask(way)
                if turn > 0:
                    seconds[way].append(answer["seconds"])
    by_round = [whole / shared for shared, whole in zip(seconds["run"], seconds["run whole"])]
    entry["ratios"].append({"name": "times every label with its whole prompt, our own engine both times",
                            "value": sorted(by_round)[len(by_round) // 2], "low": min(by_round), "high": max(by_round),
                            "wanted": "at least 5"})
    print(f"  times every label with its whole prompt, our own engine: {entry['ratios'][-1]['value']:.2f}", flush=True)


def llama(bench):
    if bench.quick:
        return
    rows, tokens = 8, 128
    model, task = bench.model("llama-1.1B"), bench.task("llama-task", rows, tokens, tokens, 8)
    output, cold = bench.cold(bench.detect(model, task))
    arguments = [model, task, "bfloat16", str(rows), str(output["batch_tokens"])]
    grid = [{"attention": attention, "batch": "8"} for attention in ("eager", "sdpa")]
    job = variants.Job("detect.py", [model, bench.ids("ids.json", model, task, rows)], ["bfloat16"], grid, trial={})
    finalists, bench.finalists = bench.finalists, 1  # copies of the weights stand side by side
    bench.compare(f"detect, llama-1.1B shape, {rows} texts of {tokens} tokens, bfloat16", [bench.tool("detect"), *arguments], job,
                  "bfloat16", {}, products=[bench.tool("gemm_bound"), *arguments], cold=cold)
    bench.finalists = finalists
