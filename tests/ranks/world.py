"""A program as several ranks of a world, as a launcher would start them."""
import os
import pathlib
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL, TASKS = ROOT / "examples/models/mini", ROOT / "examples/tasks"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    """commands: one for all ranks, or one for each. prefixes: what stands before each rank's command (ip netns exec ...)."""

    def __init__(self, commands, size=2, host="127.0.0.1", port=None, prefixes=None, environment=None):
        self.port, self.processes = port or free_port(), []
        for rank in range(size):
            command = commands if isinstance(commands[0], str) else commands[rank]
            here = 1 if prefixes else size
            settings = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank % here), "LOCAL_WORLD_SIZE": str(here),
                        "MASTER_ADDR": host, "MASTER_PORT": str(self.port), "OMP_WAIT_POLICY": "passive", **(environment or {})}
            self.processes.append(subprocess.Popen([*(prefixes[rank] if prefixes else ()), *command], env=settings,
                                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def end(self, seconds=120):
        """Exit codes, standard outputs, and what is on standard error, of all ranks."""
        ends = time.time() + seconds
        try:
            found = [process.communicate(timeout=max(0.1, ends - time.time())) for process in self.processes]
        except subprocess.TimeoutExpired:
            for process in self.processes:
                process.kill()
            found = [process.communicate() for process in self.processes]
            return ["hung"] * len(found), [out for out, _ in found], [error for _, error in found]
        return [process.returncode for process in self.processes], [out for out, _ in found], [error for _, error in found]
