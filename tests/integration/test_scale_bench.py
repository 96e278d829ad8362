"""The bench of many sources, in its smallest form."""

from bench.scale.sources import running_sources


def test_every_source_is_drained_whole_and_its_cost_is_counted() -> None:
    with running_sources(2) as sources:
        sources.drain_once()
        sources.commit(30, sources.number)
        before = sources.processor_seconds()
        sources.drain(30, sources.number)
        assert sources.processor_seconds() > before
