"""Counts for Prometheus: requests and examinations, and nothing of any tenant."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from touchstone.engine.wording import FindingKind

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What one application counts; each has a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "touchstone_http_requests",
            "Requests by route template and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "touchstone_http_request_seconds",
            "Time to answer, by route template.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._examinations = Counter(
            "touchstone_examinations",
            "Examinations recorded, by finding.",
            ["finding"],
            registry=self._registry,
        )
        for kind in FindingKind:  # a finding not yet made is 0, not absent
            self._examinations.labels(finding=kind.value)

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; ``route`` is a template, never a path with ids in it."""
        method = method if method in _METHODS else "OTHER"
        self._requests.labels(method=method, route=route, status=str(status)).inc()
        self._seconds.labels(method=method, route=route).observe(seconds)

    def examined(self, kind: FindingKind) -> None:
        """Count one recorded examination."""
        self._examinations.labels(finding=kind.value).inc()

    def text(self) -> bytes:
        """Return everything counted, in Prometheus' text format."""
        return generate_latest(self._registry)
