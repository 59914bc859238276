"""The Merkle tree of an append-only log: hashes, proofs, and how to grow it with what a database can keep.

Layer: ``crypto``. A *subtree* is ``(level, position)``: the ``2**level`` leaves from ``position * 2**level`` on. The
*edge* of a tree is the list of hashes of its largest complete subtrees, from the left: one for each bit of its size,
and all that is needed to go on or to compute the root. Proofs are lists of hashes, lowest first, as RFC 6962 orders
them.

Source: RFC 6962, 2.1; RFC 9162, 2.1.3.2 and 2.1.4.2 (verification).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from candado.errors import BadSignatureError, MisuseError

__all__ = [
    "HASH_BYTES",
    "SIZE_MAX",
    "Subtree",
    "check_consistency",
    "check_inclusion",
    "complete_subtrees",
    "consistency_proof",
    "grow",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_of",
]

HASH_BYTES: Final = 32
SIZE_MAX: Final = 2**53 - 1

Subtree: TypeAlias = tuple[int, int]
HashOf: TypeAlias = Callable[[Subtree], bytes]


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_subtrees(start: int, stop: int) -> list[Subtree]:
    """The largest complete subtrees that together are the leaves ``start`` to ``stop``, from the left.

    ``start`` is a multiple of the smallest power of two that is not below ``stop - start``, as in every subtree that
    RFC 6962 knows.
    """
    found: list[Subtree] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def root_of(edge: Sequence[bytes]) -> bytes:
    """The root of the tree with this edge; for no leaves the hash of nothing."""
    if not edge:
        return hashlib.sha256(b"").digest()
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = node_hash(left, root)
    return root


def grow(size: int, edge: Sequence[bytes], leaves: Iterable[bytes]) -> tuple[list[bytes], list[tuple[Subtree, bytes]]]:
    """Append leaf hashes to a tree of ``size``: its new edge, and every subtree that became complete, leaves included.

    Raises:
        MisuseError: the edge is not one of a tree of this size.
    """
    if len(edge) != size.bit_count():
        raise MisuseError("the edge of a tree has one hash for each bit of its size")
    stack, made = list(edge), list[tuple[Subtree, bytes]]()
    for at, leaf in enumerate(leaves, size):
        stack.append(leaf)
        made.append(((0, at), leaf))
        level = 0
        while at >> level & 1:
            right, left = stack.pop(), stack.pop()
            stack.append(node_hash(left, right))
            level += 1
            made.append(((level, at >> level), stack[-1]))
    return stack, made


def inclusion_proof(index: int, size: int, hash_of: HashOf) -> list[bytes]:
    """The proof that leaf ``index`` is in the tree of ``size``; MisuseError when it cannot be."""
    if not 0 <= index < size:
        raise MisuseError("no such leaf in a tree of this size")
    return [_range_hash(start, stop, hash_of) for start, stop in _inclusion_ranges(index, size)]


def consistency_proof(old: int, new: int, hash_of: HashOf) -> list[bytes]:
    """The proof that the tree of size ``old`` is the beginning of the one of ``new``; empty when one says nothing."""
    if not 0 <= old <= new:
        raise MisuseError("the older tree is the smaller one")
    return [_range_hash(start, stop, hash_of) for start, stop in _consistency_ranges(old, new)]


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """BadSignatureError unless ``proof`` shows the leaf hash at ``index`` in the tree of ``size`` with ``root``."""
    if not 0 <= index < size:
        raise BadSignatureError("no such leaf in a tree of this size")
    position, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            raise BadSignatureError("the proof of a leaf is too long")
        if position & 1 or position == last:
            found = node_hash(other, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, other)
        position, last = position >> 1, last >> 1
    if last != 0 or found != root:
        raise BadSignatureError("the proof of a leaf does not lead to the root")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """BadSignatureError unless ``proof`` shows that the older tree is the beginning of the newer one."""
    if old > new or old < 0:
        raise BadSignatureError("the older tree is larger than the newer one")
    if old in (0, new):
        expected = root_of([]) if old == 0 else new_root
        if proof or old_root != expected:
            raise BadSignatureError("two trees of one size have different roots, or a proof says too much")
        return
    # A complete older tree is a node of the newer one, and its root is left out of the proof.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise BadSignatureError("the proof of consistency is too short")
    if _two_roots(old - 1, new - 1, path) != (old_root, new_root):
        raise BadSignatureError("the newer tree does not begin with the older one")


def _two_roots(position: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the older and the newer tree that a proof of consistency leads to (RFC 9162, 2.1.4.2)."""
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for other in path[1:]:
        if last == 0:
            raise BadSignatureError("the proof of consistency is too long")
        if position & 1 or position == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, other)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise BadSignatureError("the proof of consistency is too short")
    return first, second


def _range_hash(start: int, stop: int, hash_of: HashOf) -> bytes:
    return root_of([hash_of(subtree) for subtree in complete_subtrees(start, stop)])


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is above 1."""
    return 1 << ((size - 1).bit_length() - 1)


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    start, stop, found = 0, size, list[tuple[int, int]]()
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    if old in (0, new):
        return []
    start, stop, found = 0, new, list[tuple[int, int]]()
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    if start > 0:  # otherwise it is the root of the older tree, which who asks has
        found.append((start, stop))
    return found[::-1]
