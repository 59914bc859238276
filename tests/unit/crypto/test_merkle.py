"""The tree of the log: RFC 6962's own definitions, proofs that hold, and proofs that do not."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.crypto import merkle
from candado.crypto.merkle import Subtree
from candado.errors import BadSignatureError, MisuseError

# The leaves and roots that logs of certificates have tested with from the beginning.
LEAVES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def _mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = _k(len(leaves))
    return hashlib.sha256(b"\x01" + _mth(leaves[:k]) + _mth(leaves[k:])).digest()


def _k(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def _path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = _k(len(leaves))
    if m < k:
        return [*_path(m, leaves[:k]), _mth(leaves[k:])]
    return [*_path(m - k, leaves[k:]), _mth(leaves[:k])]


def _subproof(m: int, leaves: Sequence[bytes], b: bool) -> list[bytes]:
    """RFC 6962, 2.1.2."""
    if m == len(leaves):
        return [] if b else [_mth(leaves)]
    k = _k(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], b), _mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), _mth(leaves[:k])]


def _tree(leaves: Sequence[bytes]) -> tuple[list[bytes], dict[Subtree, bytes]]:
    edge, made = merkle.grow(0, [], [merkle.leaf_hash(leaf) for leaf in leaves])
    return edge, dict(made)


def _leaves(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_known_tree(size: int) -> None:
    edge, _ = _tree(LEAVES[:size])
    assert merkle.root_of(edge).hex() == ROOTS[size] == _mth(LEAVES[:size]).hex()


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_tree_that_grows_in_pieces_is_the_same_tree(first: int, second: int) -> None:
    leaves = _leaves(first + second)
    edge, made = merkle.grow(0, [], map(merkle.leaf_hash, leaves[:first]))
    edge, more = merkle.grow(first, edge, map(merkle.leaf_hash, leaves[first:]))
    assert (edge, dict(made) | dict(more)) == _tree(leaves)
    assert merkle.root_of(edge) == _mth(leaves)
    assert len(made) + len(more) == 2 * len(leaves) - len(leaves).__index__().bit_count()
    for (level, position), found in {**dict(made), **dict(more)}.items():
        assert found == _mth(leaves[position << level : (position + 1) << level])


@given(st.integers(1, 80).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_leaf_is_proved_as_the_rfc_says_and_nothing_else_is(case: tuple[int, int]) -> None:
    index, size = case
    leaves = _leaves(size)
    edge, hashes = _tree(leaves)
    root = merkle.root_of(edge)
    proof = merkle.inclusion_proof(index, size, hashes.__getitem__)
    assert proof == _path(index, leaves)
    leaf = merkle.leaf_hash(leaves[index])
    merkle.check_inclusion(index, size, leaf, proof, root)
    wrong: list[tuple[int, int, bytes, list[bytes], bytes]] = [
        (index, size, merkle.leaf_hash(b"other"), proof, root),
        (index, size, leaf, [*proof, leaf], root),
        (index, size, leaf, proof, merkle.leaf_hash(b"other")),
        (size, size, leaf, proof, root),
        (-1, size, leaf, proof, root),
    ]
    if proof:
        wrong += [(index, size, leaf, proof[:-1], root), (index ^ 1, size, leaf, proof, root)]
        wrong += [(index, size, leaf, [leaf, *proof[1:]], root)] * (proof[0] != leaf)
    for arguments in wrong:
        with pytest.raises(BadSignatureError):
            merkle.check_inclusion(*arguments)


@given(st.integers(0, 80).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))))
def test_a_newer_tree_is_proved_as_the_rfc_says_and_nothing_else_is(case: tuple[int, int]) -> None:
    old, new = case
    leaves = _leaves(new)
    edge, hashes = _tree(leaves)
    old_root, root = _mth(leaves[:old]), merkle.root_of(edge)
    proof = merkle.consistency_proof(old, new, hashes.__getitem__)
    assert proof == ([] if old in (0, new) else _subproof(old, leaves, True))
    merkle.check_consistency(old, old_root, new, root, proof)
    other = merkle.leaf_hash(b"other")
    wrong: list[tuple[int, bytes, int, bytes, list[bytes]]] = [
        (old, other, new, root, proof),
        (old, old_root, new, root, [*proof, other]),
        (new + 1, old_root, new, root, proof),
        (-1, old_root, new, root, proof),
    ]
    if old:
        wrong.append((old, old_root, new, other, proof))
    if proof:
        wrong += [(old, old_root, new, root, proof[:-1]), (old, old_root, new, root, [])]
        wrong.append((old, old_root, new, root, [other, *proof[1:]]))
    for arguments in wrong:
        with pytest.raises(BadSignatureError):
            merkle.check_consistency(*arguments)


def test_what_no_tree_has_is_misuse() -> None:
    _, hashes = _tree(_leaves(4))
    with pytest.raises(MisuseError):
        merkle.grow(3, [b""], [])
    with pytest.raises(MisuseError):
        merkle.inclusion_proof(4, 4, hashes.__getitem__)
    with pytest.raises(MisuseError):
        merkle.consistency_proof(5, 4, hashes.__getitem__)


def test_proofs_in_a_large_tree_need_few_hashes() -> None:
    size, asked = 10**12 + 12345, list[Subtree]()

    def look(subtree: Subtree) -> bytes:
        asked.append(subtree)
        return b"\x00" * 32

    merkle.inclusion_proof(7, size, look)
    merkle.consistency_proof(10**9 + 1, size, look)
    assert len(asked) < 200
    assert all((position + 1) << level <= size for level, position in asked)
