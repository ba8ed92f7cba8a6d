"""Runs a study's commands, each once: what a stage has made is kept and read again."""
import concurrent.futures
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

# Commands that replace files which a stage that was cut short has left.
REPLACES = ("detect", "select", "evaluate", "ablate", "test")
# Commands that run a model, and what it computes in: by themselves they choose what the machine is fast at, and
# a study is measured on several.
COMPUTES, DTYPE = ("detect", "evaluate", "ablate", "train", "sweep", "continual", "affinity"), "bfloat16"


PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LIBC = ctypes.CDLL(None)


def end_with_parent():
    """Called in a new process: a study that is killed leaves nobody who holds the folders that it goes on in."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Failed(Exception):
    """A command did not end well. said: its message."""

    def __init__(self, text, said=""):
        super().__init__(text)
        self.said = said

    def diverged(self):
        """Whether a training found numbers that are not finite: an answer about its learning rate, and no fault."""
        return "training diverged" in self.said or "is not finite" in self.said


class Stages:
    """names: long texts and what stands for them where commands are shown."""

    def __init__(self, program, folder, names):
        self.program = os.path.abspath(program)
        self.folder = os.path.abspath(folder)
        self.names = {self.program: "taskneuron", self.folder: "WORK", **names}
        self.cores = len(os.sched_getaffinity(0))
        self.commands = {}
        self.lock = threading.Lock()
        self.running = {}  # a lock for each stage: who asks for it second waits and reads
        os.makedirs(self.folder, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def read(self, stage):
        with open(self.path(stage + ".json")) as file:
            return json.load(file)

    def shown(self, command):
        text = " ".join(command)
        for long, short in sorted(self.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(long, short)
        return text

    def run(self, stage, *command, output=None, serves=(), threads=0, again=False, needs=None, defer=False, unseen=()):
        """Runs a command unless its output is there, or always with `again`; JSON on standard output goes to
        WORK/stage.json.

        serves: files that are made from the output; once they are all there, nobody needs it. Returns what the
        command printed. threads: 0 for all; a result does not depend on it. needs: called first where the command has to run. defer:
        what it has printed will do, whether or not its output is still there. unseen: more of the command, which its result does not
        depend on."""
        command = [self.program, *map(str, command)]
        if command[1] in COMPUTES:
            command += ["--dtype", DTYPE]
        result = self.path(stage + ".json")
        with self.lock:
            self.commands[stage] = self.shown(command)
            running = self.running.setdefault(stage, threading.Lock())
        with running:
            return self._run(stage, command, result, [output] if output else [], serves, threads, again, needs, defer, unseen)

    def _run(self, stage, command, result, outputs, serves, threads, again, needs, defer, unseen):
        there = defer or any(all(map(os.path.exists, files)) for files in (outputs, serves or outputs))
        if not again and os.path.exists(result) and there:
            return self.known(stage, self.shown(command))
        if needs:
            needs()
        os.makedirs(os.path.dirname(result), exist_ok=True)
        if not again:
            print(f"[{time.strftime('%H:%M:%S')}] {stage}", flush=True)
        start = time.time()
        extra = ["--json", "--quiet"] + (["--force"] if command[1] in REPLACES else [])
        extra += [*(["--threads", str(threads)] if threads else []), *map(str, unseen)]
        run = subprocess.run(command + extra, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
        sys.stderr.write(run.stderr)
        if run.returncode != 0:
            raise Failed(f"{stage}: exit {run.returncode}: {self.shown(command)}", run.stderr)
        return self.keep(stage, time.time() - start, json.loads(run.stdout))

    def keep(self, stage, seconds, result):
        """Writes what a stage has found; returns it."""
        path = self.path(stage + ".json")
        with open(path + ".part", "w") as file:
            json.dump({"seconds": seconds, "command": self.commands[stage], "result": result}, file, indent=1)
        os.rename(path + ".part", path)
        return result

    def known(self, stage, command):
        """What a stage has found before; of another command, as an edited study or other settings would give it, it is not used."""
        answer = self.read(stage)
        if answer.get("command", command) != command:
            raise Failed(f"{self.path(stage)}.json was made by `{answer['command']}`, and now is `{command}`; delete it, or use another --work")
        return answer["result"]

    def side_by_side(self, jobs):
        """Calls every job, as many at a time as there are cores; their results in order. Stages in a job
        should ask for one thread."""
        with concurrent.futures.ThreadPoolExecutor(self.cores) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                return self._results(futures)
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    @staticmethod
    def _results(futures):
        """Of all jobs, the others done when one has failed: what they make is kept for the next start."""
        failures = []
        for future in concurrent.futures.as_completed(futures):
            try:
                future.result()
            except Failed as failure:
                print(failure, file=sys.stderr, flush=True)
                failures.append(failure)
        if failures:
            raise failures[0]
        return [future.result() for future in futures]

    def seconds(self):
        """Of all stages, those of earlier starts included."""
        return sum(self.read(stage)["seconds"] for stage in self.commands)
