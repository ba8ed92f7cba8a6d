"""Runs a command and watches the memory that is its own: pages of no file (RssAnon)."""
import json
import subprocess
import threading
import time


def anonymous_bytes(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def run(command):
    """(its JSON output, peak RssAnon in bytes, seconds from start to end)."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    finished = threading.Event()

    def watch():
        nonlocal peak
        while not finished.wait(0.01):
            peak = max(peak, anonymous_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    finished.set()
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\nexited with {process.returncode}:\n{errors}")
    return json.loads(output), peak, time.monotonic() - start
