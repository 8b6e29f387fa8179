"""The names of the keys in etcd, below one prefix for each fleet."""

from dataclasses import dataclass

from emperor.model.registration import bucket_of


@dataclass(frozen=True, slots=True)
class Span:
    """All keys from `start` on, and before `end`."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below a prefix, /emperord for instance, that has no slash at its end."""

    prefix: str

    def vassal(self, domain: str) -> str:
        """What the registry has for a domain."""
        return f"{self._bucket(bucket_of(domain))}{domain}"

    def bucket(self, number: int) -> Span:
        """All domains of a bucket."""
        return _below(self._bucket(number))

    def one(self, domain: str) -> Span:
        """The key of one domain alone."""
        key = self.vassal(domain)
        return Span(key, f"{key}\0")

    def vassals(self) -> Span:
        """All domains."""
        return _below(f"{self.prefix}/vassals/")

    def backend(self, address: str) -> str:
        """A backend that is up: its key has a lease."""
        return f"{self.prefix}/backends/{address}"

    def backends(self) -> Span:
        """All backends that are up."""
        return _below(f"{self.prefix}/backends/")

    def balancer(self, name: str) -> str:
        """A load balancer whose agent runs: its key has a lease."""
        return f"{self.prefix}/balancers/{name}"

    def balancers(self) -> Span:
        """All load balancers whose agents run."""
        return _below(f"{self.prefix}/balancers/")

    def slots(self) -> str:
        """Which backend each slot of the balancers names."""
        return f"{self.prefix}/slots"

    def slots_alone(self) -> Span:
        """The key of the slots, as a span to watch."""
        return Span(self.slots(), f"{self.slots()}\0")

    def absences(self) -> str:
        """Since when backends are down."""
        return f"{self.prefix}/absences"

    def absences_alone(self) -> Span:
        """The key of the absences, as a span to watch."""
        return Span(self.absences(), f"{self.absences()}\0")

    def once(self, domain: str) -> str:
        """The backend that may run what must not run twice; the key has its lease."""
        return f"{self.prefix}/once/{domain}"

    def once_alone(self, domain: str) -> Span:
        """The key of that app, as a span to read."""
        return Span(self.once(domain), f"{self.once(domain)}\0")

    def holders(self) -> Span:
        """All apps that run, and must not run twice; and the requests for a migration."""
        return _below(f"{self.prefix}/once/")

    def migration_request(self, domain: str) -> str:
        """A backend to which visitors of such an app come while another one runs it."""
        return f"{self.prefix}/once/wanted/{domain}"

    def migration_requests(self) -> Span:
        """The keys of all requests for a migration."""
        return _below(f"{self.prefix}/once/wanted/")

    def migrated(self, domain: str) -> str:
        """The machine that has given such an app to another one a while ago; the key has a lease of
        its own."""
        return f"{self.prefix}/once/given/{domain}"

    def domain(self, key: str) -> str:
        """The domain of a key of `vassals`."""
        return key.rpartition("/")[2]

    def address(self, key: str) -> str:
        """The address of a key of `backends`."""
        return key.rpartition("/")[2]

    def _bucket(self, number: int) -> str:
        return f"{self.prefix}/vassals/{number:03x}/"


def _below(folder: str) -> Span:
    # The slash at its end is followed by the digit 0 in ASCII.
    return Span(folder, f"{folder[:-1]}0")
