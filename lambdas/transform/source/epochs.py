"""Whether the source is still the database that it was. One that was restored begins a new epoch, loudly.

docs/adr/0014-epochs-and-snapshots.md says how that is noticed and what it brings.
"""

from collections.abc import Callable, Mapping

from pgevents import log
from pgevents.errors import PgEventsError
from pgevents.identity import BatchIdentity, SourceReplaced
from transform.source.session import SourceSession

NewestOf = Callable[[str], BatchIdentity | None]
"""The newest batch of a source that a sink holds, by the source's name."""


class Epochs(SourceSession):
    """The epochs of one source."""

    def renew_epoch(self) -> str | None:
        """Begins a new epoch if the source was restored or replaced, and says why. Only under the drain's
        lock."""
        reason = self._value("select pgevents.renew_epoch()")
        if reason is None:
            return None
        epoch = self._count("select epoch from pgevents.setting")
        log.error(
            "source was restored or replaced: a new epoch begins, and every captured table is sent again",
            source=self.source, epoch=epoch, reason=reason,
        )  # fmt: skip
        return str(reason)

    def note_token(self, sink: str, found: BatchIdentity) -> bool:
        """Notes a batch that a sink holds if the ledger has lost it, for `renew_epoch`; whether it has."""
        return bool(
            self._value(
                "select pgevents.note_token(%s, %s, %s, %s)",
                (sink, found.epoch, found.batch_id, found.opened_at),
            )
        )

    def compare_tokens(self, newest: Mapping[str, NewestOf]) -> None:
        """Asks every sink for its newest batch: a copy of the files tells from inside nothing of a restore.

        A sink that cannot be asked is not: what it holds is found when it takes its next batch.
        """
        for sink, newest_of in newest.items():
            try:
                found = newest_of(self.source)
            except PgEventsError as error:
                log.warning("sink does not say what it holds", sink=sink, error=str(error))
                continue
            if found is not None:
                self.note_token(sink, found)

    def begin_epoch(self, replaced: SourceReplaced) -> None:
        """Begins a new epoch because a sink has told of another history. Raises it when the ledger knows the
        batch."""
        if not self.note_token(replaced.sink, replaced.found):
            raise replaced
        self.renew_epoch()
