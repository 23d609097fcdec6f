from http import HTTPStatus

from vivace.http.status import PHRASES, STATUS_LINES, has_no_body, phrase


def test_every_status_of_the_standard_library_has_a_phrase_and_a_line() -> None:
    for status in HTTPStatus:
        assert phrase(status)
        assert STATUS_LINES[status] == f"HTTP/1.1 {status.value} {PHRASES[status]}\r\n".encode()


def test_the_names_are_those_of_the_registry() -> None:
    assert (phrase(413), phrase(422), phrase(200)) == ("Content Too Large", "Unprocessable Content", "OK")
    assert phrase(799) == "Unknown"


def test_which_responses_never_carry_content() -> None:
    assert [status for status in PHRASES if has_no_body(status)] == [100, 101, 102, 103, 104, 204, 304]
    assert has_no_body(199)
    assert not has_no_body(205)
