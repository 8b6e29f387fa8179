"""The names of control groups: uid-1000/v-www.example.com/123 is one process of an app."""


def group_name(uid: int, domain: str, run: int) -> str:
    """The group of one process: `uid` is that of its tenant, `run` is the number of its spawn."""
    return f"{app_group(uid, domain)}/{run}"


def app_group(uid: int, domain: str) -> str:
    """The group around those of the processes of one app."""
    # A host name alone could be that of a file of the kernel's, as pids.max.
    return f"uid-{uid}/v-{domain}"


def app_of(name: str) -> str:
    """The group of the app of a process's group."""
    return name.rpartition("/")[0]


def tenant_of(name: str) -> str:
    """The group of the tenant that a group belongs to."""
    return name.partition("/")[0]


def domain_of(app: str) -> str:
    """The domain of the app whose group has that name."""
    return app.partition("/v-")[2]


def uid_of(tenant: str) -> int:
    """The uid of the tenant whose group has that name."""
    return int(tenant.removeprefix("uid-"))
