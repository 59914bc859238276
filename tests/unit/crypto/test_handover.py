"""Hand-overs of the authority as values: what leads on, what does not, and how many there may be."""

import pytest
from tests.vectors.keys import private_key

from candado.crypto.handover import (
    HANDOVERS_MAX,
    Handover,
    assemble_handover,
    follow_handovers,
    handover_to_sign,
    parse_handover,
    predecessors,
)
from candado.errors import MalformedError

ALICE, BOB, CAROL = (private_key(name).public for name in ("alice", "bob", "mallory"))


def test_only_a_hand_over_by_the_key_reached_so_far_leads_on() -> None:
    chain = [Handover(ALICE, BOB, 1), Handover(BOB, CAROL, 2)]
    assert [follow_handovers(key, chain) for key in (ALICE, BOB, CAROL)] == [CAROL, CAROL, CAROL]
    assert follow_handovers(BOB, [Handover(ALICE, CAROL, 1)]) == BOB
    assert predecessors(CAROL, chain) == (BOB, ALICE)
    assert predecessors(ALICE, [*chain, Handover(CAROL, ALICE, 3)]) == (CAROL, BOB)


def test_too_many_are_refused() -> None:
    with pytest.raises(MalformedError):
        follow_handovers(ALICE, [Handover(ALICE, BOB, 1)] * (HANDOVERS_MAX + 1))


def test_no_key_hands_over_to_itself() -> None:
    signed = handover_to_sign(ALICE, ALICE, time=1.0)
    signature = private_key("alice").sign_pkcs1_sha256(signed)
    with pytest.raises(MalformedError):
        parse_handover(assemble_handover(signed, by_old=signature, by_new=signature))
