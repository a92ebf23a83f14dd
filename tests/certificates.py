"""Certificates for tests, signed by an authority of the test's own or by one that is there."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def name(common, organization=None):
    parts = [(x509.NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in [*parts, (x509.NameOID.COMMON_NAME, common)]])


@dataclass
class Authority:
    """It says nothing of itself but its name, as kubeadm's and others' do."""

    subject: x509.Name
    key: Any

    @classmethod
    def made(cls, common):
        return cls(name(common), ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def found(cls, key):
        """That of a file ``ca.key`` with its ``ca.crt`` beside it."""
        certificate = x509.load_pem_x509_certificate(key.with_suffix(".crt").read_bytes())
        return cls(certificate.subject, serialization.load_pem_private_key(key.read_bytes(), None))

    def own(self, path):
        """Its own certificate, into the file."""
        self._sign(path, self.subject, self.key, x509.BasicConstraints(ca=True, path_length=None))

    def pair(self, stem, subject, *extensions, begin=None, end=None):
        """A certificate and its key, as stem.crt and stem.key. begin, end: by default a day from now on."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._sign(stem.with_suffix(".crt"), subject, key, *extensions, begin=begin, end=end)
        plain = serialization.NoEncryption()
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        stem.with_suffix(".key").write_bytes(text)

    def server(self, stem, *names):
        """The TLS context of a server of these names (x509.DNSName, x509.IPAddress), whose pair is at stem."""
        self.pair(stem, name(stem.name), x509.SubjectAlternativeName(names))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        return context

    def _sign(self, path, subject, key, *extensions, begin=None, end=None):
        begin = begin or datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end or begin + timedelta(days=1))
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        path.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
