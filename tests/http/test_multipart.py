import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import BadRequest, HTTPException, PayloadTooLarge
from vivace.http.forms import FormLimits
from vivace.http.multipart import (
    FieldData,
    FieldEnd,
    FieldStart,
    File,
    FormCollector,
    MultipartReader,
    boundary_of,
)

LIMITS = FormLimits()


def part(name: str, body: bytes = b"", filename: str | None = None, *headers: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join([disposition, *headers]).encode()
    return b"--x\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x--\r\n"


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(data: bytes, size: int = 1 << 30, limits: FormLimits = LIMITS) -> list[tuple[FieldStart, bytes]]:
    """Push `data` in pieces of `size`; the parts with their content."""
    reader = MultipartReader("x", limits)
    found: list[tuple[FieldStart, bytes]] = []
    content = bytearray()
    for piece in pieces(data, size):
        for event in reader.feed(piece):
            if isinstance(event, FieldStart):
                found.append((event, b""))
                content = bytearray()
            elif isinstance(event, FieldData):
                assert event.data
                content += event.data
            else:
                assert isinstance(event, FieldEnd)
                found[-1] = found[-1][0], bytes(content)
    reader.finish()
    return found


class Disk:
    """Counts the spools it opens."""

    def __init__(self) -> None:
        self.spools: list[BinaryIO] = []

    def open(self) -> BinaryIO:
        spool = tempfile.TemporaryFile()  # noqa: SIM115  # the collector closes it
        self.spools.append(spool)
        return spool


def collect(
    data: bytes, size: int = 1 << 30, limits: FormLimits = LIMITS, disk: Disk | None = None
) -> FormCollector:
    collector = FormCollector("x", limits, (disk or Disk()).open)
    try:
        for piece in pieces(data, size):
            collector.feed(piece)
            collector.flush()
        collector.finish()
    except BaseException:
        collector.close()
        raise
    return collector


# Reading


def test_fields_and_files_are_read_in_order() -> None:
    found = read(
        form(
            part("a", b"1"),
            part("f", b"\r\n--y\x00", "e.bin", "Content-Type: Image/PNG; x=1", "X-Own: 2"),
            part("", b""),
        )
    )
    (a, a_body), (f, f_body), (empty, empty_body) = found
    assert (a.name, a.filename, a.content_type, a.charset, a_body) == ("a", None, "", "utf-8", b"1")
    assert (f.name, f.filename, f.content_type, f_body) == ("f", "e.bin", "image/png", b"\r\n--y\x00")
    assert ("X-Own", "2") in f.headers
    assert (empty.name, empty_body) == ("", b"")
    assert repr(f) == "<FieldStart 'f' filename='e.bin'>"


SAMPLE = (
    b"pre\r\n"
    + form(part("a", b"1\r\n-"), part("f", b"\r\n--" * 9, "é.txt"), part("b", "ü".encode()))
    + b"after"
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_how_the_octets_are_cut_makes_no_difference(size: int) -> None:
    whole = [(start.name, start.filename, body) for start, body in read(SAMPLE)]
    assert [(start.name, start.filename, body) for start, body in read(SAMPLE, size)] == whole
    assert whole == [("a", None, b"1\r\n-"), ("f", "é.txt", b"\r\n--" * 9), ("b", None, "ü".encode())]


@given(
    st.lists(
        st.tuples(
            st.text("abc é.", max_size=5), st.none() | st.text("ab.", max_size=5), st.binary(max_size=40)
        ),
        max_size=5,
    ),
    st.integers(1, 60),
)
def test_what_is_sent_is_read_back(fields: list[tuple[str, str | None, bytes]], size: int) -> None:
    # A boundary must not occur in the content: RFC 2046 section 5.1.1.
    sent = [(name, filename, body.replace(b"--x", b"--y")) for name, filename, body in fields]
    data = form(*(part(name, body, filename) for name, filename, body in sent))
    found = [(start.name, start.filename, body) for start, body in read(data, size)]
    clean = {None: None, ".": "", "..": ""}
    assert found == [(name, clean.get(filename, filename), body) for name, filename, body in sent]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_bare_line_feed_in_a_header_is_refused_however_it_is_cut(size: int) -> None:
    for header in (b"\na: b", b"a\n: b", b"a: b\nc"):
        with pytest.raises(BadRequest, match="line break in segment header"):
            read(
                b"--x\r\n" + header + b'\r\nContent-Disposition: form-data; name="n"\r\n\r\nv\r\n--x--', size
            )


@given(
    st.lists(
        st.sampled_from([b"--x", b"\r\n", b"--", b"\r", b"\n", b"a: b", part("n", b"v"), b"\x00"]), max_size=9
    )
)
def test_junk_ends_in_one_of_two_answers_however_it_is_cut(tokens: list[bytes]) -> None:
    data = b"".join(tokens)

    def outcome(size: int) -> object:
        try:
            return [(start.name, body) for start, body in read(data, size)]
        except (BadRequest, PayloadTooLarge) as error:
            return type(error)

    assert outcome(1) == outcome(3) == outcome(len(data) or 1)


def test_an_empty_form_has_no_fields() -> None:
    assert read(b"--x--") == []
    assert read(b"--x--\r\n", 1) == []


def test_nothing_after_the_last_boundary_is_looked_at() -> None:
    reader = MultipartReader("x", LIMITS)
    reader.feed(form(part("a")) + b"--x\r\nnonsense")
    assert reader.complete
    assert reader.feed(b"--x\r\n\r\n\r\n") == []
    reader.finish()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"--x",
        b"--x-",
        b"--x\r\n",
        b"--x\n",
        b"--x \r\n",
        part("a", b"1")[:-2],
        part("a", b"1"),
        b"--x\r\n\r\n\r\n--x--",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
        b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\n\r\n--x--',
        b"--x\r\nContent-Type: text/plain\r\n\r\n\r\n--x--",
        b'--x\r\nContent-Disposition: form-data; name="a"\n\nv\r\n--x--',
        b'--x\r\nContent-Disposition: form-data;\r\n name="a"\r\n\r\nv\r\n--x--',
        b"--x\r\nno colon\r\n\r\nv\r\n--x--",
        b'--x\r\nbad name: 1\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x--',
        b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nv\r\n--x--',
        form(part("a", b"1", None, 'Content-Disposition: form-data; name="b"')),
        form(part("a", b"1", None, "Content-Type: text/plain", "Content-Type: text/html")),
        form(part("a", b"1", None, "Content-Type: text/plain; charset=punycode")),
        form(part("a", b"1", None, "Content-Type: text/plain; charset=zlib")),
        form(part("a", b"1", None, "Content-Length: 2")),
        form(part("a", b"1", None, "Content-Length: -1")),
        part("a", b"1") + b"--xy\r\n",
        part("a", b"1") + b"--x-\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_malformed_body_is_a_400(data: bytes, size: int) -> None:
    with pytest.raises(BadRequest, match="multipart form"):
        read(data, size)


def test_a_broken_base64_part_and_a_wrong_boundary_end() -> None:
    found = read(form(part("a", b"!!!" * 1000, None, "Content-Transfer-Encoding: base64")))
    assert found[0][1] == b"!!!" * 1000
    with pytest.raises(BadRequest):
        read(form(part("a", b"1")).replace(b"--x", b"--z"))


# The boundary


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (None, None),
        ("text/plain", None),
        ("application/x-www-form-urlencoded; boundary=x", None),
        ("multipart/mixed; boundary=x", None),
        ("multipart/form-data; boundary=----WebKitFormBoundaryAbC123", "----WebKitFormBoundaryAbC123"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b?"', "a b?"),
        ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
    ],
)
def test_the_boundary_is_read(content_type: str | None, boundary: str | None) -> None:
    assert boundary_of(content_type, LIMITS) == boundary


@pytest.mark.parametrize(
    "parameter",
    [
        "",
        "; boundary",
        "; boundary=",
        '; boundary=""',
        "; boundary=" + "b" * 71,
        '; boundary="a "',
        '; boundary="a\nb"',
        "; boundary=é",
        "; boundary=a*b",
        '; boundary="' + "\\" * 100_000,
        "; boundary=" + "b" * 1_000_000,
    ],
)
def test_a_boundary_that_is_none_is_a_400(parameter: str) -> None:
    with pytest.raises(BadRequest, match="boundary"):
        boundary_of("multipart/form-data" + parameter, LIMITS)


def test_a_reader_checks_its_boundary_itself() -> None:
    with pytest.raises(BadRequest):
        MultipartReader("a\r\nb", LIMITS)


# File names


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="/etc/passwd"', "passwd"),
        ('filename="C:\\dir\\a.txt"', "a.txt"),
        ('filename="a\x00.php"', "a.php"),
        ('filename=".."', ""),
        ('filename=""', ""),
        ('filename="a%22b.txt"', 'a"b.txt'),
        ('filename="é.txt"', "é.txt"),
        ("filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ("filename=\"plain\"; filename*=UTF-8''..%2F..%2Fx", "x"),
        ("filename=\"plain\"; filename*=UTF-8''%ff", "plain"),
        ("filename*=junk", ""),
        ('filename="a";x="b"', "a"),
        ("", None),
    ],
)
def test_file_names(disposition: str, filename: str | None) -> None:
    head = f'Content-Disposition: form-data; name="f"; {disposition}'.rstrip("; ").encode()
    ((start, _),) = read(b"--x\r\n" + head + b"\r\n\r\nv\r\n--x--")
    assert start.name == "f"
    assert start.filename == filename


# Limits


def test_the_number_of_parts_is_limited_at_its_edge() -> None:
    assert len(read(form(*[part("a")] * 1000))) == 1000
    for count in (1001, 20_000):
        with pytest.raises(PayloadTooLarge, match="1000 parts"):
            read(form(*[part("a")] * count))


def test_the_header_fields_of_a_part_are_limited_at_their_edge() -> None:
    assert len(read(form(part("a", b"", None, *[f"X-{n}: 1" for n in range(15)])))) == 1
    with pytest.raises(PayloadTooLarge):
        read(form(part("a", b"", None, *[f"X-{n}: 1" for n in range(16)])))


@pytest.mark.parametrize("size", [100, 1 << 30])
def test_the_size_of_part_headers_is_limited(size: int) -> None:
    fits = ["X: " + "a" * 8000, "Y: " + "a" * 8000]
    assert len(read(form(part("a", b"", None, *fits)), size)) == 1
    for headers in (["X: " + "a" * 16384], [*fits, "Z: " + "a" * 8000], ["X" * 20_000]):
        with pytest.raises(PayloadTooLarge):
            read(form(part("a", b"", None, *headers)), size)


def test_an_endless_part_header_is_cut_off_before_it_ends() -> None:
    reader = MultipartReader("x", LIMITS)
    reader.feed(b"--x\r\n")
    with pytest.raises(PayloadTooLarge):
        for _ in range(20):
            reader.feed(b"a" * 1000)


def test_the_preamble_is_limited_at_its_edge() -> None:
    for size in (1, 1000, 1 << 30):
        assert len(read(b"p" * 4096 + b"\r\n" + form(part("a")), size)) == 1
        with pytest.raises(BadRequest, match="4096 octets"):
            read(b"p" * 4097 + b"\r\n" + form(part("a")), size)


def test_a_text_field_is_limited_at_its_edge() -> None:
    limits = FormLimits(max_field_size=10, max_memory=25)
    assert collect(form(part("a", b"1" * 10)), limits=limits).fields.get("a") == "1" * 10
    with pytest.raises(PayloadTooLarge, match="exceeds 10 octets"):
        collect(form(part("a", b"1" * 11)), limits=limits)
    two = [part("a", b"1" * 10)] * 2
    assert len(collect(form(*two, part("b", b"1" * 5)), limits=limits).fields) == 2
    with pytest.raises(PayloadTooLarge, match="exceed 25 octets"):
        collect(form(*two, part("b", b"1" * 6)), limits=limits)


def test_a_huge_text_field_is_refused_at_the_default_limit() -> None:
    with pytest.raises(PayloadTooLarge):
        collect(form(part("a", b"1" * (20 << 20))), 65536)


# Attacks


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" * (2 << 20),
        b"\r" * (4 << 20),
        b"--" * (2 << 20),
        b"\r\n--" * (1 << 20),
        b"--xx" * (1 << 20),
        b"--x\r\n" + b"a" * (4 << 20),
        b"--x\r\n" + b"\r\n" * (2 << 20),
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n' + b" b\r\n" * (1 << 20),
        b"--x\r\nContent-Disposition: form-data;" + b' a="' * 4000 + b"\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data;" + b" " * 16_000 + b"\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="' + b"\\" * 16_000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1000, 65536, 1 << 30])
def test_bombs_are_refused_at_linear_cost(data: bytes, size: int) -> None:
    with pytest.raises(HTTPException):
        read(data, size)


@pytest.mark.parametrize(
    "filler", [b"\r" + b"a" * 8_000_000, b"\r" * 2_000_000, b"\r\n--" * 500_000, b"\r\n" * 1_000_000]
)
def test_content_that_resembles_boundaries_costs_linear_time(filler: bytes) -> None:
    ((_, body),) = read(form(part("f", filler, "f")), 65536)
    assert body == filler


def test_small_pieces_of_a_big_field_take_no_more_memory_than_the_field() -> None:
    collector = FormCollector("x", LIMITS, io.BytesIO)
    collector.feed(part("a")[:-2])
    for _ in range(100_000):
        collector.feed(b"ab")
    assert collector._buffer.__sizeof__() < 300_000
    collector.feed(b"\r\n--x--")
    collector.finish()
    assert len(collector.fields["a"][0]) == 200_000


# Collecting


def test_a_form_is_gathered() -> None:
    collector = collect(
        form(
            part("a", b"1"),
            part("a", "é".encode()),
            part("b", b"\xe9", None, "Content-Type: text/plain; charset=ISO-8859-1"),
            part("c", b"\xff"),
            part("f", b"data", "f.txt", "Content-Type: text/plain"),
            part("f", b"", ""),
        ),
        7,
    )
    assert dict(collector.fields) == {"a": ["1", "é"], "b": ["é"], "c": ["\ufffd"]}
    first, second = collector.files["f"]
    kind, body, name = first
    assert (kind, body, name) == ("text/plain", b"data", "f.txt") == (first[0], first[1], first[2])
    assert (second.name, second.size, second.body) == ("", 0, b"")
    assert collector.files.get("f") is first
    assert first.in_memory
    assert len(first) == 3
    assert first == File("text/plain", b"data", "f.txt")
    assert first != second
    assert first != ("text/plain", b"data", "f.txt")
    assert repr(first) == "<File 'f.txt' text/plain 4 octets>"
    assert list(first.chunks(3)) == [b"dat", b"a"]
    assert list(second.chunks()) == []


def test_a_file_goes_to_disk_only_above_the_spool_size() -> None:
    limits = FormLimits(spool_size=10)
    disk = Disk()
    collector = collect(form(part("f", b"1" * 10, "f")), limits=limits, disk=disk)
    assert collector.files["f"][0].in_memory
    assert disk.spools == []
    collector.close()
    collector = collect(form(part("f", b"1" * 11, "f")), limits=limits, disk=disk)
    assert not collector.files["f"][0].in_memory
    assert collector.files["f"][0].body == b"1" * 11
    collector.close()
    assert disk.spools[0].closed


@pytest.mark.parametrize("size", [1, 13, 1 << 30])
def test_all_files_of_a_form_share_one_spool(size: int) -> None:
    disk = Disk()
    bodies = [bytes([65 + n]) * (n * 7) for n in range(20)]
    data = form(*(part(f"f{n}", body, f"{n}") for n, body in enumerate(bodies)))
    collector = collect(data, size, FormLimits(spool_size=20), disk)
    assert len(disk.spools) == 1
    files = [collector.files[f"f{n}"][0] for n in range(20)]
    assert [file.in_memory for file in files] == [len(body) <= 20 for body in bodies]
    # Interleaved readers do not disturb each other.
    readers = [file.chunks(5) for file in files]
    read_back = [bytearray() for _ in files]
    while any(readers):
        for n, reader in enumerate(readers):
            read_back[n] += next(reader, b"")
        if [bytes(one) for one in read_back] == bodies:
            break
    assert [file.body for file in files] == bodies
    collector.close()


def test_files_in_memory_count_together() -> None:
    limits = FormLimits(spool_size=10, max_memory=25)
    disk = Disk()
    collector = collect(form(*(part("f", b"1" * 10, str(n)) for n in range(4))), limits=limits, disk=disk)
    assert [file.in_memory for file in collector.files["f"]] == [True, True, False, False]
    assert [file.body for file in collector.files["f"]] == [b"1" * 10] * 4
    collector.close()


def test_only_flush_touches_the_disk() -> None:
    disk = Disk()
    collector = FormCollector("x", FormLimits(spool_size=10), disk.open)
    collector.feed(part("f", b"1" * 100, "f")[:-50])
    assert collector.pending_size > 10
    assert disk.spools == []
    collector.flush()
    assert collector.pending_size == 0
    assert len(disk.spools) == 1
    collector.feed(b"1\r\n--x--")
    collector.finish()
    collector.flush()
    file = collector.files["f"][0]
    assert file.size == len(file.body)
    collector.close()


def test_a_truncated_spool_is_an_error_not_a_short_file() -> None:
    spool = io.BytesIO(b"123")
    file = File.spooled("", "f", spool, 1, 5)
    with pytest.raises(EOFError, match="truncated"):
        _ = file.body


def test_a_form_that_breaks_off_is_a_400() -> None:
    with pytest.raises(BadRequest, match="ends before"):
        collect(form(part("a", b"1"))[:-6])


def test_limits_by_default_are_those_of_the_settings() -> None:
    expected: Sequence[int] = (1000, 16384, 16, 1048576, 8388608, 1048576, 70, 4096)
    found = [getattr(LIMITS, name) for name in LIMITS.__slots__]
    assert found == list(expected)
