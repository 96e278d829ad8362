"""Roots: what an auditor asks about a certificate, computed once.

Adds to certificates.public.certificate: validity_days, key_strength, expiry_year, expired; and makes the
serial_number text.
"""

from datetime import datetime
from typing import cast

from pgevents import ChangeEvent, Record, Value, on

BROKEN_DIGESTS = ("md2", "md5", "sha1")
# NIST SP 800-57: below 112 bits of security is weak, from 128 bits on strong.
WEAK_BELOW_BITS = {"RSA": 2048, "EC": 224}
STRONG_FROM_BITS = {"RSA": 3072, "EC": 256}


@on("certificates.public.certificate", "INSERT", "UPDATE")
def certificate(event: ChangeEvent) -> Record:
    """The root with its validity and strength spelled out."""
    row = event.payload
    not_before, not_after = instant(str(row["not_before"])), instant(str(row["not_after"]))
    added: dict[str, Value] = {
        "validity_days": (not_after - not_before).days,
        "key_strength": key_strength(
            str(row["key_type"]), cast(int, row["key_bits"]), str(row["signature_algorithm"])
        ),
        "expiry_year": not_after.year,
        # Against the release that last changed the row, not against today: a transform that is run again must
        # come to the same record.
        "expired": not_after <= instant(str(row["changed_at"])),
        # An identifier of up to 49 digits: more than a warehouse's numeric holds, and nobody adds them up.
        "serial_number": str(row["serial_number"]),
    }
    return Record({**row, **added})


def key_strength(key_type: str, bits: int, signature_algorithm: str) -> str:
    """weak, ok or strong: as weak as the key or the digest that it signs with.

    Raises ValueError for a key type that is not known: better a dead letter than a wrong verdict.
    """
    if key_type not in WEAK_BELOW_BITS:
        raise ValueError(f"no strength is defined for keys of type {key_type!r}; add it to WEAK_BELOW_BITS")
    if bits < WEAK_BELOW_BITS[key_type] or signature_algorithm.lower().startswith(BROKEN_DIGESTS):
        return "weak"
    return "strong" if bits >= STRONG_FROM_BITS[key_type] else "ok"


def instant(timestamptz: str) -> datetime:
    """PostgreSQL's text of a timestamptz in UTC as a datetime.

    Raises ValueError for infinity and for years that Python cannot hold: no certificate has them.
    """
    return datetime.fromisoformat(timestamptz)
