"""Runs programs and watches the memory that is their own: pages of no file (RssAnon)."""
import array
import json
import os
import select
import subprocess
import tempfile
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(RuntimeError):
    """What was measured did not work; the message is one line."""


def environment(threads, more=None):
    """This environment with as many threads for everyone, and without what holds OpenBLAS back."""
    result = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    result.update(OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", **(more or {}))
    return result


def anonymous_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared, *_ = file.read().split()
            return (int(resident) - int(shared)) * PAGE
    except (OSError, ValueError):  # it has ended
        return 0


class Worker:
    """A program that loads once and then answers commands, a line of JSON each (bench/worker.h,
    peers/common.py). It waits without taking a processor while others run."""

    def __init__(self, command, env, limit=600):
        self.command, self.peak, self.buffer = command, 0, b""
        self.watched = [self]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors)
        self.about = self.answer(limit)

    def ask(self, line, limit=1800):
        """Seconds, tokens and the like. Throws Failed for an answer that is an error."""
        self.tell(line)
        return self.answer(limit)

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def alive(self):
        return self.process.poll() is None

    def answer(self, limit):
        end = time.monotonic() + limit
        while b"\n" not in self.buffer:
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                part = os.read(self.process.stdout.fileno(), 65536)
                if not part:
                    raise Failed(f"ended: {self.last_error()}")
                self.buffer += part
            for worker in self.watched:
                worker.peak = max(worker.peak, anonymous_bytes(worker.process.pid))
            if time.monotonic() > end:
                self.close()
                raise Failed(f"no answer within {limit} s")
        line, self.buffer = self.buffer.split(b"\n", 1)
        values = json.loads(line)
        if "error" in values:
            raise Failed(values["error"])
        return values

    def last_error(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {self.process.wait()}"

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:  # what it never read
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Team:
    """Workers that share one pass: all start at once, and it ends with the last."""

    def __init__(self, workers):
        self.workers = workers
        for worker in workers:
            worker.watched = workers
        self.command = workers[0].command

    @property
    def peak(self):
        return sum(worker.peak for worker in self.workers)

    def ask(self, line, limit=1800):
        if line.startswith("save "):
            return self.save(line[len("save "):])
        start = time.monotonic()
        for worker in self.workers:
            worker.tell(line)
        answers = [worker.answer(limit) for worker in self.workers]
        return {"tokens": sum(answer["tokens"] for answer in answers), "seconds": time.monotonic() - start}

    def save(self, path):
        """What each has found, added up."""
        sums = None
        for worker in self.workers:
            worker.ask("save " + path)
            values = read_floats(path)
            sums = values if sums is None else array.array("f", map(sum, zip(sums, values)))
        with open(path, "wb") as file:
            sums.tofile(file)
        return {"saved": True}

    def alive(self):
        return all(worker.alive() for worker in self.workers)

    def close(self):
        for worker in self.workers:
            worker.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def run(command, threads):
    """(its JSON output, peak RssAnon in bytes, seconds from start to end) of a program that ends."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=environment(threads), stdout=output, stderr=errors)
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.02)
        seconds = time.monotonic() - start
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise Failed(f"{' '.join(command)}\nexited with {process.returncode}:\n{errors.read().decode()}")
        return json.loads(output.read()), peak, seconds
