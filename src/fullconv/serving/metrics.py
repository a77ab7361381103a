"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server; labels come from our own names, never from a client's text."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "fullconv_requests", "Answers by path and status", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "fullconv_request_seconds", "From a request's headers to its answer", ["path"], registry=registry,
            buckets=SECONDS,
        )  # fmt: skip
        self.images = Counter("fullconv_images", "Images segmented", ["model"], registry=registry)
        self.batches = Histogram(
            "fullconv_batch_images", "Images that went through the network together", registry=registry,
            buckets=(1, 2, 4, 8),
        )  # fmt: skip
        self.network = Counter("fullconv_network_seconds", "Decoding and network", registry=registry)
        self.accepted = Gauge("fullconv_accepted", "Requests that are accepted and not answered yet", registry=registry)
        self.loads = Counter(
            "fullconv_model_loads", "Model files read, by outcome: loaded or refused", ["model", "outcome"],
            registry=registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
