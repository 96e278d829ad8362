"""What Redshift must hold of a value, and how that is told from what it prints."""

from ops.comparison.canonical import Form, as_it_is, document, double, number, real, truth
from pgevents.batch import Column
from pgevents.config import Policies
from redshift_writer.arrays import array_to_json, element_to_json
from redshift_writer.literals import Quoting, Unfit, literalizer
from redshift_writer.types import RedshiftType, base_name, element_of, for_postgres


def source_form(
    column: Column, held: RedshiftType, policies: Policies, quoting: Quoting, *, is_key: bool
) -> Form:
    """From PostgreSQL's text to what Redshift must hold of it in a column of this type, by the policies."""
    form = _exact_form(column)
    if policies == Policies() or is_key:
        return form
    literal = literalizer(column.type, held, Policies(), quoting)

    def as_held(text: str) -> str | None:
        try:
            literal(text)
        except Unfit as unfit:
            is_cut = policies.too_long == "truncate" and held.family == "string"
            if unfit.problem == "too_long" and is_cut:
                return text.encode()[: held.limit].decode(errors="ignore")
            if unfit.problem != "malformed" and getattr(policies, unfit.problem) == "null":
                return None
        return form(text)

    return as_held


def _exact_form(column: Column) -> Form:
    element = element_of(column.type)
    if element is None:
        return read_form(column)
    to_json = element_to_json(base_name(element)[0])

    def array(text: str) -> str:
        try:
            return document(array_to_json(text, to_json))
        except (ValueError, KeyError):  # it has no JSON form, and so cannot be in Redshift
            return text

    return array


def read_form(column: Column) -> Form:
    """The form of what Redshift prints; a column that is text there holds PostgreSQL's text."""
    kind = for_postgres(column.type)
    forms: dict[str, Form] = {
        "integer": number,
        "numeric": number,
        "float": real if kind.limit == 32 else double,
        "boolean": truth,
        "binary": _binary,
        "document": _document,
    }
    return forms.get(kind.family, as_it_is)


def _binary(text: str) -> str:
    return "\\x" + text.removeprefix("\\x").lower()


def _document(text: str) -> str:
    try:
        return document(text)
    except ValueError:  # no JSON, as only a column of text can hold it
        return text
