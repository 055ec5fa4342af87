"""The machines that train together, as the environment variable ``TF_CONFIG`` names them; costs no TensorFlow."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from hyperperturb.errors import HyperPerturbError

_EXAMPLE = """TF_CONFIG='{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, \
"task": {"type": "worker", "index": 0}}'"""


@dataclass(frozen=True)
class Cluster:
    """All workers, and which of them this process is.

    Parameters
    ----------
    tasks
        ``(job, number)`` of each worker, the chief first.
    addresses
        ``host:port`` of each worker, in the same order.
    index
        This process's place among them.
    """

    tasks: tuple[tuple[str, int], ...]
    addresses: tuple[str, ...]
    index: int

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.index == 0

    def name(self, index: int) -> str:
        """What to call a worker in a sentence."""
        return f"worker {index} ({self.addresses[index]})"

    @classmethod
    def from_environment(cls) -> Cluster:
        """Read ``TF_CONFIG``.

        Raises
        ------
        HyperPerturbError
            When it is not set, or does not describe a cluster of at least two workers with this process in it.

        Examples
        --------
        >>> os.environ["TF_CONFIG"] = json.dumps(
        ...     {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
        ... )
        >>> Cluster.from_environment().name(1), Cluster.from_environment().chief
        ('worker 1 (b:1)', False)
        >>> del os.environ["TF_CONFIG"]
        """
        text = os.environ.get("TF_CONFIG", "")
        if not text:
            raise HyperPerturbError(
                "The strategy multiworker needs to know the workers, but TF_CONFIG is not set.",
                hint=f"Set it for each worker, with its own index: {_EXAMPLE}",
            )
        try:
            described = json.loads(text)
            cluster, task = described["cluster"], described["task"]
            workers = [
                ((job, i), str(address))
                for job in ("chief", "worker")
                for i, address in enumerate(cluster.get(job, []))
            ]
            tasks = tuple(task for task, _ in workers)
            index = tasks.index((task["type"], int(task["index"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HyperPerturbError(
                f"TF_CONFIG does not describe a cluster with this worker in it ({type(error).__name__}: {error}).",
                hint=f"It should look like this: {_EXAMPLE}",
            ) from error
        if len(workers) < 2:
            raise HyperPerturbError(
                "TF_CONFIG names one worker only.",
                hint="Name at least two, or leave out --strategy multiworker.",
            )
        return cls(tasks, tuple(address for _, address in workers), index)
