"""Which registry a revision is of. Revisions of another one, or of one that was restored from an
older state, mean something else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The number of a cluster, 0: not known; and of its elections, which only rise."""

    cluster: int = 0
    elections: int = 0


UNKNOWN = ClusterState()
