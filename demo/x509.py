"""From a certificate's bytes to the fields that the demo stores. Needs `cryptography`; the demo does not."""

import hashlib
import warnings
from decimal import Decimal
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from demo.root_store import Certificate

Extensions = list[x509.Extension[x509.ExtensionType]]
ExtensionValue = TypeVar("ExtensionValue", bound=x509.ExtensionType)

_SIGNATURE_ALGORITHMS = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
}
_KEY_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}


def parse(der: bytes) -> Certificate:
    """The certificate in `der`.

    Raises ValueError when the bytes are no certificate, or use an algorithm that no root has used so far.
    """
    with warnings.catch_warnings():
        # Old roots have serial numbers of zero and below, and names of over 64 characters: they stay so.
        warnings.simplefilter("ignore")
        return _parse(der)


def _parse(der: bytes) -> Certificate:
    certificate = x509.load_der_x509_certificate(der)
    extensions = _extensions(certificate)
    constraints = _value(extensions, x509.BasicConstraints)
    key_id = _value(extensions, x509.SubjectKeyIdentifier)
    usage = _value(extensions, x509.KeyUsage)
    key_type, key_bits = _public_key(certificate)
    return Certificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        organisation=_organisation(certificate.issuer),
        issuer=certificate.issuer.rfc4514_string(),
        subject=certificate.subject.rfc4514_string(),
        serial_number=Decimal(certificate.serial_number),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        signature_algorithm=_signature_algorithm(certificate),
        key_type=key_type,
        key_bits=key_bits,
        is_ca=constraints.ca if constraints else None,
        path_length=constraints.path_length if constraints else None,
        subject_key_id=key_id.digest if key_id else None,
        key_usage=_key_usages(usage) if usage else None,
        extensions={_extension_name(each): _extension_json(each) for each in extensions} or None,
        der=der,
    )


def _organisation(issuer: x509.Name) -> str:
    for attribute in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME):
        if named := issuer.get_attributes_for_oid(attribute):
            return str(named[0].value)
    raise ValueError(f"the issuer {issuer.rfc4514_string()!r} has no organisation, unit or common name")


def _signature_algorithm(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid.dotted_string
    if oid not in _SIGNATURE_ALGORITHMS:
        raise ValueError(f"unknown signature algorithm {oid}; add it to _SIGNATURE_ALGORITHMS")
    return _SIGNATURE_ALGORITHMS[oid]


def _public_key(certificate: x509.Certificate) -> tuple[str, int]:
    match certificate.public_key():
        case rsa.RSAPublicKey(key_size=bits):
            return "RSA", bits
        case ec.EllipticCurvePublicKey(key_size=bits):
            return "EC", bits
        case other:
            raise ValueError(f"unknown public key type {type(other).__name__}; add it to _public_key")


def _extensions(certificate: x509.Certificate) -> Extensions:
    try:
        return list(certificate.extensions)
    except ValueError:
        # One root of 2006 has a policy notice that breaks ASN.1's rules. It was trusted, so it stays.
        return []


def _value(extensions: Extensions, kind: type[ExtensionValue]) -> ExtensionValue | None:
    return next((each.value for each in extensions if isinstance(each.value, kind)), None)


def _extension_name(extension: x509.Extension[x509.ExtensionType]) -> str:
    name = type(extension.value).__name__
    return extension.oid.dotted_string if name == "UnrecognizedExtension" else name[0].lower() + name[1:]


def _extension_json(extension: x509.Extension[x509.ExtensionType]) -> dict[str, Any]:
    return {"critical": extension.critical, "value": _extension_value(extension.value)}


def _extension_value(value: x509.ExtensionType) -> object:
    match value:
        case x509.BasicConstraints(ca=ca, path_length=path_length):
            return {"ca": ca, "path_length": path_length}
        case x509.KeyUsage():
            return _key_usages(value)
        case x509.SubjectKeyIdentifier(digest=digest):
            return digest.hex()
        case x509.CertificatePolicies() | x509.ExtendedKeyUsage():
            return [getattr(each, "policy_identifier", each).dotted_string for each in value]
        case x509.CRLDistributionPoints():
            return [_name(name) for point in value for name in point.full_name or ()]
        case x509.AuthorityInformationAccess():
            return [_name(each.access_location) for each in value]
        case x509.SubjectAlternativeName() | x509.IssuerAlternativeName():
            return [_name(each) for each in value]
    return value.public_bytes().hex()


def _name(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DirectoryName):
        return name.value.rfc4514_string()
    return name.value.hex() if isinstance(name.value, bytes) else str(name.value)


def _key_usages(usage: x509.KeyUsage) -> list[str]:
    return [name for attribute, name in _KEY_USAGES.items() if getattr(usage, attribute)]
