"""Runs a command and watches the memory that is its own: pages of no file (RssAnon)."""
import json
import os
import subprocess
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


def anonymous_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared, *_ = file.read().split()
            return (int(resident) - int(shared)) * PAGE
    except (OSError, ValueError):  # it has ended
        return 0


def run(command):
    """(its JSON output, peak RssAnon in bytes, seconds from start to end)."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    finished = threading.Event()

    def watch():
        nonlocal peak
        while not finished.wait(0.02):
            peak = max(peak, anonymous_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    finished.set()
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\nexited with {process.returncode}:\n{errors}")
    return json.loads(output), peak, time.monotonic() - start
