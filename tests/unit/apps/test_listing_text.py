"""Listings are written by templates; what comes out is what the ordinary way writes."""

from hypothesis import given
from hypothesis import strategies as st

from candado.apps.dav_headers import Place
from candado.apps.dav_props import ALL_NAMES, DAV, NC, OC, PropertyContext, response_of
from candado.apps.dav_render import ListingText
from candado.formats.dav import format_multistatus
from candado.server.model import MetadataRow, NodeInfo, Quota, permission_letters
from candado.types import FileId, UserId

CONTEXT = PropertyContext("oc1%s&", Quota(7, 100), {"a&b": "A & B %d"}, shown=True)
DESKTOP = tuple(f"{OC}{name}" for name in ("id", "fileid", "permissions", "checksums", "share-types", "favorite"))
DESKTOP += (f"{NC}is-encrypted", f"{NC}e2ee-metadata", f"{NC}creation_time", f"{NC}upload_time", "{urn:x}own")
names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def nodes(draw: st.DrawFn) -> NodeInfo:
    name = draw(names | st.sampled_from(["a.txt", "100%s.tar.gz", "<&>.x", ""]))
    folder, mounted = draw(st.booleans()), draw(st.booleans())
    return NodeInfo(
        FileId(draw(st.integers(1, 10**12))),
        name,
        f"in %/{name}" if draw(st.booleans()) else name,
        folder,
        draw(st.integers(0, 2**50)),
        draw(st.text("0123456789abcdef", min_size=16, max_size=16)),
        draw(st.floats(0, 2.0**41)),
        draw(st.floats(0, 2.0**41)),
        draw(st.booleans()),
        draw(st.booleans()),
        permission_letters(draw(st.integers(0, 31)), is_folder=folder, shared=mounted, mount_root=False),
        31,
        UserId(draw(st.sampled_from(["alice", "a&b"]))),
        mounted,
        draw(st.none() | st.just("SHA1:00ff")),
        draw(st.sampled_from([(), (), (0, 3)])),
        draw(st.none() | st.just(MetadataRow("{<}", "c2ln", 1))),
        draw(st.sampled_from([{}, {}, {f"{OC}favorite": "1", "{urn:x}own": "<%s>"}])),
    )


@given(
    st.lists(nodes(), max_size=6),
    st.sampled_from([ALL_NAMES, DESKTOP, (f"{DAV}displayname", f"{DAV}displayname-x")]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_listing_by_templates_is_the_listing_itself(
    listed: list[NodeInfo], asked: tuple[str, ...], name_only: bool, terse: bool, truncated: bool
) -> None:
    place = Place("/index.php/dav/files/a&b", "in %")
    text = ListingText(place, asked, CONTEXT, name_only=name_only, terse=terse).document(listed, truncated=truncated)
    ordinary = format_multistatus(
        [
            response_of(
                place.href(node.path, is_folder=node.is_folder),
                node,
                asked,
                CONTEXT,
                name_only=name_only,
                terse=terse,
            )
            for node in listed
        ],
        truncated_href=place.href(place.path, is_folder=True) if truncated else None,
    )
    assert text == ordinary
