"""The stage of the attacks: alice and bob share a root; mallory has an account on the same server; rob was removed.

Documents are made here without any of the checks that ``folder.sealing`` has, because the server or a hostile member makes
them. ``alice`` is the device under attack.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.sim import World, rsa_key

from candado.crypto.cms import sign_detached
from candado.crypto.keywrap import key_checksum, wrap_key
from candado.crypto.sealing import seal_text
from candado.crypto.x509 import assemble_certificate, certificate_to_sign, make_csr, parse_certificate, parse_csr
from candado.errors import CandadoError, TamperError
from candado.folder.model import (
    Accepted,
    AccountPins,
    FolderPin,
    Identity,
    NestedPosition,
    OpenFolder,
    Position,
    RawText,
    RootPosition,
)
from candado.folder.opening import accept_metadata
from candado.formats.canonjson import JsonObject, signed_bytes
from candado.formats.metadata import (
    Entry,
    FolderContent,
    SealedBlock,
    SealedUser,
    format_content,
    format_sealed,
)
from candado.types import Counter, FileId, FileKey, MetadataKey, Nonce, SealedName, Tag, UserId

ROOT = FileId(100)
OTHER_ROOT = FileId(200)
NESTED = FileId(101)
SECOND = FileId(102)
NESTED_NAME = SealedName("a1" * 16)
SECOND_NAME = SealedName("a2" * 16)
NOW = 1_800_000_100.0


def key(label: str) -> MetadataKey:
    return MetadataKey(label.encode().ljust(16, b"."))


K1, K2, K3 = key("first"), key("second"), key("third")


def sealed_name(label: str) -> SealedName:
    return SealedName(label.encode().hex().ljust(32, "0")[:32])


def entry(name: str, label: str | None = None) -> Entry:
    secret = (label or name).encode()[-16:].rjust(16, b"-")
    return Entry(name, "text/plain", FileKey(secret), Nonce(secret[:12]), Tag(secret))


@dataclass
class Scene:
    """Everything needed to make documents and to show them to alice's device."""

    world: World
    pins: AccountPins
    nonces: int = 0

    def who(self, user: str) -> Identity:
        return self.world.identity(user)

    # --- making documents -----------------------------------------------------------------------------

    def content(
        self,
        counter: int,
        *names: str,
        keys: Sequence[MetadataKey] = (K1,),
        folders: Mapping[SealedName, str] | None = None,
        files: Mapping[SealedName, Entry] | None = None,
        deleted: bool = False,
    ) -> FolderContent:
        return FolderContent(
            counter=Counter(counter),
            deleted=deleted,
            files={sealed_name(name): entry(name) for name in names} | dict(files or {}),
            folders=dict(folders or {}),
            key_checksums=tuple(key_checksum(each) for each in keys),
        )

    def user(
        self,
        user: str,
        metadata_key: MetadataKey,
        *,
        as_user: str | None = None,
        certificate: str | None = None,
        wrapped: bytes | None = None,
    ) -> SealedUser:
        identity = self.who(user)
        return SealedUser(
            UserId(as_user or user),
            certificate or identity.certificate.pem,
            wrapped or wrap_key(identity.key.public, metadata_key.reveal()),
        )

    def block(self, inner: bytes, metadata_key: MetadataKey) -> SealedBlock:
        self.nonces += 1
        parts = seal_text(metadata_key, Nonce(self.nonces.to_bytes(12, "big")), inner)
        return SealedBlock(parts.ciphertext, parts.nonce, parts.tag)

    def sign(self, document: JsonObject, signer: str | Identity) -> str:
        identity = self.who(signer) if isinstance(signer, str) else signer
        der = sign_detached(
            signed_bytes(document),
            key=identity.key,
            certificate_der=identity.certificate.der,
            signing_time=NOW,
        )
        return base64.b64encode(der).decode()

    def root(
        self,
        content: FolderContent | bytes,
        *,
        members: Sequence[str | SealedUser] = ("alice", "bob"),
        signer: str | Identity = "bob",
        metadata_key: MetadataKey = K1,
        version: str = "2.0",
        drops: JsonObject | None = None,
    ) -> RawText:
        inner = content if isinstance(content, bytes) else format_content(content)
        users = [member if isinstance(member, SealedUser) else self.user(member, metadata_key) for member in members]
        text, document = format_sealed(version, self.block(inner, metadata_key), users, drops or {})
        return RawText(text, self.sign(document, signer))

    def nested(
        self, content: FolderContent | bytes, *, signer: str | Identity = "bob", metadata_key: MetadataKey = K1
    ) -> RawText:
        inner = content if isinstance(content, bytes) else format_content(content)
        text, document = format_sealed("2.0", self.block(inner, metadata_key), None, {})
        return RawText(text, self.sign(document, signer))

    def resigned(self, raw: RawText, change: Callable[[dict[str, Any]], None], signer: str) -> RawText:
        """The document with a change in its outer JSON, signed again."""
        document = json.loads(raw.text)
        change(document)
        return RawText(json.dumps(document), self.sign(document, signer))

    def unsigned_change(self, raw: RawText, change: Callable[[dict[str, Any]], None]) -> RawText:
        """The document with a change in its outer JSON under the old signature."""
        document = json.loads(raw.text)
        change(document)
        return RawText(json.dumps(document), raw.signature)

    def certificate(
        self, common_name: str, key_name: str, *, issuer: str = "authority", serial: int = 7, when: float = NOW - 100.0
    ) -> str:
        """PEM certificate for any name on any key by any issuer."""
        csr = parse_csr(make_csr(rsa_key(key_name), common_name))
        tbs = certificate_to_sign(csr, serial=serial, not_before=when, not_after=when + 1e9)
        return assemble_certificate(tbs, rsa_key(issuer).sign_pkcs1_sha256(tbs))

    def impostor(self, common_name: str, key_name: str, *, issuer: str = "authority", serial: int = 7) -> Identity:
        pem = self.certificate(common_name, key_name, issuer=issuer, serial=serial)
        return Identity(UserId(common_name), rsa_key(key_name), parse_certificate(pem))

    # --- showing them to alice ------------------------------------------------------------------------

    def show(
        self,
        raw: RawText,
        position: Position | None = None,
        *,
        pins: AccountPins | None = None,
        known_keys: Sequence[MetadataKey] = (),
        identity: Identity | None = None,
    ) -> Accepted:
        return accept_metadata(
            position or RootPosition(ROOT, owned=True, pin=None),
            raw,
            pins=pins or self.pins,
            identity=identity or self.who("alice"),
            known_keys=known_keys,
            now=NOW,
        )

    def accepted(self, raw: RawText, position: Position | None = None, **options: Any) -> Accepted:
        """Show a document and keep the people met in the pins, as a caller does in step 15."""
        accepted = self.show(raw, position, **options)
        self.pins = replace(self.pins, peers={**self.pins.peers, **accepted.new_peers})
        return accepted


def at_root(pin: FolderPin | None, *, file_id: FileId = ROOT, owned: bool = True) -> RootPosition:
    return RootPosition(file_id, owned=owned, pin=pin)


def at_nested(
    root: OpenFolder,
    pin: FolderPin | None = None,
    *,
    file_id: FileId = NESTED,
    name: SealedName = NESTED_NAME,
    parent: OpenFolder | None = None,
) -> NestedPosition:
    return NestedPosition(file_id, name, parent or root, root, pin)


def new_scene() -> Scene:
    world = World("alice", "bob", "mallory", "rob")
    return Scene(world, world.pins("alice", peers=("bob",)))


def refused(
    scene: Scene, raw: RawText, position: Position, error: type[CandadoError], event: str | None = None, **options: Any
) -> CandadoError:
    """Assert that the document is refused with this error and event, and that nothing remembered has moved."""
    before = (scene.pins, position.pin.to_json() if position.pin else None)
    with pytest.raises(error) as caught:
        scene.show(raw, position, **options)
    assert type(caught.value) is error
    assert (caught.value.event if isinstance(caught.value, TamperError) else None) == event
    assert before == (scene.pins, position.pin.to_json() if position.pin else None)
    return caught.value


def event_codes(accepted: Accepted) -> list[str]:
    return [event.code for event in accepted.events]
