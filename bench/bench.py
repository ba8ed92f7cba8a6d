"""What every case of the benchmark needs: the build, its data, ways to measure, the results."""
import contextlib
import os
import shutil
import statistics

import measure
import rounds
import shapes
import variants

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(ROOT, "examples")


def agreement(ours, theirs):
    """(relative distance, share of the top tenth in common) of two score vectors."""
    distance = sum((a - b) ** 2 for a, b in zip(ours, theirs)) ** 0.5
    norm = sum(b * b for b in theirs) ** 0.5
    count = len(ours) // 10
    top = [set(sorted(range(len(v)), key=lambda i: -v[i])[:count]) for v in (ours, theirs)]
    return distance / norm, len(top[0] & top[1]) / max(count, 1)


class Bench:
    def __init__(self, build, pythons, options):
        self.build = os.path.abspath(build)
        self.pythons, self.threads = pythons, options.threads
        self.rounds, self.quick, self.finalists = options.rounds, options.quick, options.finalists
        self.without, self.dtypes = options.without, options.dtypes
        self.data = os.path.join(self.build, "bench", "data")
        os.makedirs(self.data, exist_ok=True)
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
        return [self.program, "detect", model, "--task", task, "--out", self.fresh("ours.safetensors"),
                "--json", "--quiet", *flags]

    def fresh(self, name):
        """A path in the data folder where nothing is."""
        path = self.temporary(name)
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        return path

    def ids(self, name, model, task, limit, *flags):
        path = self.temporary(name)
        with open(path, "w") as file:
            measure.subprocess.run([self.tool("examples"), model, task, str(limit), *flags], stdout=file, check=True)
        return path

    def shown(self, command):
        return " ".join(self.short(part) for part in command)

    def short(self, part):
        for folder, name in ((self.data, "DATA"), (os.path.join(self.build, "bench"), "BUILD/bench"),
                             (self.build, "BUILD"), (ROOT + "/", "")):
            part = part.replace(folder, name)
        return os.path.basename(part) if part in [p.path for p in self.pythons] else part

    def run(self, command):
        """Measures a program of ours that ends; what the last run left must be gone."""
        shutil.rmtree(self.temporary("trained"), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.temporary("ours.safetensors"))
        return measure.run(command, self.threads)

    def text(self, command):
        """What a program of ours prints that makes no JSON."""
        return measure.subprocess.run(command, env=measure.environment(self.threads), check=True, text=True,
                                      stdout=measure.subprocess.PIPE).stdout

    def cold(self, command):
        """A whole run of the program, start and loading included, for information."""
        output, peak, seconds = self.run(command)
        return output, {"command": self.shown(command), "seconds": seconds, "peak_anonymous_bytes": peak,
                        "tokens_per_second": output["tokens"] / seconds}

    def warm(self, command):
        return measure.Worker(command, measure.environment(self.threads))

    # ---- comparisons with PyTorch ----

    def compare(self, case, ours, job, dtype, wanted, products=None, cold=None, save=True):
        """Warm rounds of our worker, the bare products and the best peers of a scan.

        ours, products: commands of workers. wanted: what the project asks of itself, {"peer", "products"}.
        """
        print(f"\n{case}", flush=True)
        entry = {"case": case, "rounds": self.rounds, "dtype": dtype, "scan": [], "cold": cold}
        chosen = []
        for python in self.pythons:
            print(f"  trying ways to run {python.label}", flush=True)
            tried = variants.scan(job, python, dtype, self.threads, self.without)
            entry["scan"] += [{"name": v.name, "tokens_per_second": v.tokens_per_second, "failure": v.failure}
                              for v in tried]
            chosen += variants.finalists(tried, self.finalists)
        workers, lines, commands = {}, {}, {}
        with contextlib.ExitStack() as stack:
            for name, command in (("taskneuron", ours), ("products alone", products)):
                if command:
                    workers[name] = stack.enter_context(self.warm(command))
                    lines[name], commands[name] = "run", command
            for v in chosen:
                workers[v.name] = stack.enter_context(job.start(v, self.threads))
                lines[v.name], commands[v.name] = "run " + v.line, workers[v.name].command
            entry["runs"] = rounds.interleaved(workers, self.rounds, lines)
            for name, run in entry["runs"].items():
                run["command"], run["pass"] = self.shown(commands[name]), lines[name]
            if save:
                self.compare_scores(entry, workers, [v.name for v in chosen])
        self.judge(entry, [v.name for v in chosen if v.name in entry["runs"]], wanted)
        self.results.append(entry)
        return entry

    def judge(self, entry, peers, wanted):
        runs = entry["runs"]
        entry["ratios"] = []
        if peers:
            entry["best_peer"] = max(peers, key=lambda name: runs[name]["tokens_per_second"])
            self.ratio(entry, "times the best peer", entry["best_peer"], wanted.get("peer"))
            for python in self.pythons:
                own = [name for name in peers if name.startswith(python.label + ",")]
                if own and entry["best_peer"] not in own:
                    self.ratio(entry, f"times the best of {python.label}",
                               max(own, key=lambda name: runs[name]["tokens_per_second"]))
        if "products alone" in runs:
            self.ratio(entry, "share of the products alone", "products alone", wanted.get("products"))

    def ratio(self, entry, name, other, wanted=None, ours="taskneuron"):
        value = rounds.ratio(entry["runs"], ours, other)
        entry.setdefault("ratios", []).append(dict(value, name=name, wanted=wanted))
        print(f"  {name}: {value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
              + (f", wanted: {wanted}" if wanted else ""), flush=True)

    def compare_scores(self, entry, workers, peers):
        entry["agreement"] = []
        path = self.temporary("scores.raw")
        found = {}
        for name in ["taskneuron", *peers]:
            if name in entry["runs"]:
                workers[name].ask("save " + path)
                found[name] = measure.read_floats(path)
        for name in peers:
            if name not in found:
                continue
            distance, common = agreement(found["taskneuron"], found[name])
            entry["agreement"].append({"with": name, "distance": distance, "top_tenth": common})
            print(f"  scores against {name}: relative distance {distance:.1e}, "
                  f"{100 * common:.1f}% of the top tenth in common", flush=True)

    # ---- our own program alone ----

    def side_by_side(self, case, commands, rate=lambda output: output["tokens_per_second"]):
        """Runs of our program that are compared with each other: name -> command, whole runs in turn. rate: tokens per second
        from what one printed."""
        print(f"\n{case}", flush=True)
        rates, peaks = {name: [] for name in commands}, {name: [] for name in commands}
        for _ in range(self.rounds):
            for name, command in commands.items():
                output, peak, _ = self.run(command)
                rates[name].append(rate(output))
                peaks[name].append(peak)
        entry = {"case": case, "rounds": self.rounds, "runs": {}}
        for name, command in commands.items():
            entry["runs"][name] = dict(rounds.summary(rates[name]), peak_anonymous_bytes=max(peaks[name]),
                                       command=self.shown(command))
            print(f"  {name:<22} {statistics.median(rates[name]):9.1f} tokens/s   {max(peaks[name]) / 2**20:7.0f} MiB",
                  flush=True)
        self.results.append(entry)
        return entry
