"""USE, last stage: sign a finished file as made by a machine (C2PA content credentials).

The manifest says that the clip is trained algorithmic media (the IPTC term; a composite with it where a given sound
or clip is part of the file, or was edited), which software and model made it, from which seed, and the SHA-256 of the
prompt: whoever has the prompt can check it, nobody can read it off the file. It is signed with a certificate made for
this process alone. So a viewer can tell that the file has not been changed since and that it is generated; who made it
is not claimed, and two clips cannot be linked by it.
"""

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from happyhorse.files import write_atomic
from happyhorse.generate.clock import Clock
from happyhorse.generate.installed import public_name
from happyhorse.values import Request

MIME = {".mp4": "video/mp4"}
MACHINE_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# what is given that is in the file, as it was or edited
KEPT = (
    "audio",
    "video",
    "extend",
    "retake",
    "edit",
)
GIVEN = ("first_frame", "last_frame", "key_frames", "references", *KEPT)
ASSERTION = "org.happyhorse.generation"


def can_sign(path: Path) -> bool:
    """Whether a file of this kind can carry credentials here: MP4 can, WebM has no place for them."""
    return path.suffix.lower() in MIME and find_spec("c2pa") is not None


def signer(request: Request | None, path: Path, clock: Clock | None = None) -> Callable[[Path], None] | None:
    """What signs the whole file that will be called `path`, counting its time on `clock`; None where nothing
    can.
    """
    if not can_sign(path):
        return None

    def finish(whole: Path) -> None:
        with (clock or Clock())("provenance"):
            sign(whole, manifest(request, path.name), path.suffix.lower())

    return finish


def manifest(request: Request | None, name: str) -> dict[str, Any]:
    """The unsigned statement about a clip called `name`: how it came to be, and from what."""
    from happyhorse import __version__

    kept = any(getattr(request, name, None) is not None for name in KEPT)
    action = {
        "action": "c2pa.created",
        "digitalSourceType": COMPOSITE if kept else MACHINE_MADE,
        "softwareAgent": {"name": "happyhorse", "version": __version__},
    }
    facts: dict[str, Any] = {}
    if request is not None:
        facts = request.as_dict()
        facts["prompt_sha256"] = hashlib.sha256(facts.pop("prompt").encode()).hexdigest()
        facts |= {name: facts[name] not in (None, []) for name in GIVEN}  # whether, and not what
        facts["model"] = public_name(facts["model"])
    return {
        "claim_generator_info": [{"name": "happyhorse", "version": __version__}],
        "title": name,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": ASSERTION, "data": facts},
        ],
    }


def sign(whole: Path, statement: Mapping[str, Any], kind: str) -> None:
    """Sign the MP4 file `whole` in place; `kind` is the suffix it will have (".mp4").

    The file is replaced by its signed copy in one step. Any later change of its media makes the credentials
    invalid, and copying its streams into another file drops them. Raises OSError when there is no space.
    """
    import c2pa

    certificates, key = _identity()

    def write(signed: Path) -> None:
        with (
            c2pa.Signer.from_info(
                c2pa.C2paSignerInfo(alg=b"es256", sign_cert=certificates, private_key=key, ta_url=None)
            ) as signer,
            c2pa.Builder(json.dumps(statement)) as builder,
            open(whole, "rb") as source,
            open(signed, "w+b") as target,
        ):
            try:
                builder.sign(signer, MIME[kind], source, target)
            except c2pa.C2paError as error:
                raise OSError(f"the clip could not be signed ({error}); is the disk full?") from error

    write_atomic(whole, write)


def credentials(path: str | Path) -> dict[str, Any] | None:
    """What a file says about its origin, or None when it says nothing.

    Keys: `state` ("Valid", "Trusted" or "Invalid"; "Invalid" means changed after signing), `machine_made` (bool: wholly
    or in part), `software`, and `facts` (model, seed, prompt_sha256, ...; empty for files of other software). Raises
    ValueError for a file that is no MP4, or where c2pa is not installed.
    """
    if not can_sign(Path(path)):
        raise ValueError(
            f"the origin of {path} cannot be read: that takes an MP4 file, and: pip install c2pa-python"
        )
    import c2pa

    try:
        with open(path, "rb") as file, c2pa.Reader(MIME[Path(path).suffix.lower()], file) as reader:
            store, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        if str(error).startswith("ManifestNotFound"):
            return None
        raise ValueError(f"the origin of {path} cannot be read ({error}); give an MP4 file") from error
    active = store["manifests"][store["active_manifest"]]
    by_label = {a["label"]: a["data"] for a in active.get("assertions", [])}
    actions = [a for label, data in by_label.items() if "actions" in label for a in data["actions"]]
    return {
        "state": state,
        "machine_made": any(a.get("digitalSourceType") in (MACHINE_MADE, COMPOSITE) for a in actions),
        "software": active.get("claim_generator_info", [{}])[0].get("name", ""),
        "facts": by_label.get(ASSERTION, {}),
    }


@cache
def _identity() -> tuple[bytes, bytes]:
    """A certificate chain (leaf, then root, PEM) and the private key of its leaf, made for this process.

    C2PA wants a leaf that is no authority, with an e-mail-protection purpose, below a root: section
    "certificate profile" of its specification. P-256 takes about a millisecond.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(role: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "happyhorse, self-signed"),
                x509.NameAttribute(NameOID.COMMON_NAME, role),
            ]
        )

    def usage(authority: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not authority,
            key_cert_sign=authority,
            crl_sign=authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    def certify(role: str, key: Any, issuer: str, issuer_key: Any, authority: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(role))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
            .add_extension(usage(authority), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
            .sign(issuer_key, hashes.SHA256())
        )

    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certify("root", root_key, "root", root_key, authority=True)
    leaf = certify("clip", leaf_key, "root", root_key, authority=False)
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root))
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return chain, private
