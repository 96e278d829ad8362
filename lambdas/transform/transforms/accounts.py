"""Operators: one spelling of a name that certificates spell in many ways, a slug, and the country.

Adds to accounts.public.account: legal_name, legal_form, slug, country.
"""

import re
import unicodedata

from pgevents import ChangeEvent, Record, Value, on

LEGAL_FORMS = (
    *("Inc", "LLC", "L.L.C", "Corp", "Corporation", "Ltd", "Limited", "Co", "Co., Ltd", "CO.,LTD"),
    *("GmbH", "AG", "AB", "AS", "A/S", "ASA", "Oy", "Oyj", "nv-sa", "N.V", "B.V", "S.A", "SA", "S.p.A"),
    *("S.r.l", "S. de R.L", "Sp. z o.o", "Kft", "Zrt", "a.s", "A.Ş", "d.o.o", "cc"),
)

# Some certificates carry a copyright line or the number of a commercial register in the organisation.
_COPYRIGHT = re.compile(r"^\(c\) \d{4} | \(c\) \w+ \d{4}$")
_REGISTER_NUMBER = re.compile(r"(?:/\d{6,}| CIF \w+| \((?:NIF|CIF) [\w-]+\)|-\d{6,})$")
_FORM = re.compile(
    r"(?:,\s*|\s+)(?P<form>"
    + "|".join(re.escape(form) for form in sorted(LEGAL_FORMS, key=len, reverse=True))
    + r")\.?$",
    re.IGNORECASE,
)
_COUNTRY = re.compile(r"(?:^|(?<!\\)[,+])C=(?P<code>[A-Za-z]{2})(?=[,+]|$)")
# Letters that Unicode does not take apart into a base letter and an accent.
_BASE_LETTERS = str.maketrans({"ı": "i", "ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "æ": "ae"})


@on("accounts.public.account", "INSERT", "UPDATE")
def account(event: ChangeEvent) -> Record:
    """The operator with its name in a form that can be searched and joined on."""
    organisation = str(event.payload["organisation"])
    name, form = split_legal_form(organisation)
    added: dict[str, Value] = {
        "legal_name": name,
        "legal_form": form,
        "slug": slug(name) or str(event.payload["operator_id"]),
        "country": country(str(event.payload["distinguished_name"])),
    }
    return Record({**event.payload, **added})


def split_legal_form(organisation: str) -> tuple[str, str | None]:
    """An organisation's bare name, and its legal form as written but for a last full stop, or None.

    >>> split_legal_form("Actalis S.p.A./03358520967")
    ('Actalis', 'S.p.A')
    """
    name = " ".join(_REGISTER_NUMBER.sub("", _COPYRIGHT.sub("", organisation)).split())
    found = _FORM.search(name)
    return (name[: found.start()], found["form"]) if found else (name, None)


def slug(name: str) -> str:
    """A name in lower-case ASCII letters, digits and hyphens; empty when nothing of it has a Latin form."""
    latin = unicodedata.normalize("NFKD", name.translate(_BASE_LETTERS)).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", latin.lower()))


def country(distinguished_name: str) -> str | None:
    """The ISO 3166 code in a distinguished name (RFC 4514), in capitals; None when it names no country."""
    found = _COUNTRY.search(distinguished_name)
    return found["code"].upper() if found else None
