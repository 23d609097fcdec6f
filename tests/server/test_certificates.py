"""What becomes of certificates that a program names: contexts, warnings, and errors that name the file."""

import datetime as dt
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Pair, encrypt_key
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.server.certificates import TlsContext, TlsFiles, make_context, read_source
from vivace.server.tls import Tls, make_tls, matches, read_ssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("shop.test", "*.shop.test", "127.0.0.1")


def refused(given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read_ssl(given)
    return str(caught.value)


@pytest.mark.parametrize(("cert", "key"), [("cert", "key"), ("certificate", "key"), ("certfile", "keyfile")])
def test_names_of_a_dict(pair: Pair, cert: str, key: str) -> None:
    assert read_source({cert: pair.cert, key: pair.key}) == TlsFiles(pair.cert, pair.key)


def test_folder_has_the_names_of_certbot(pair: Pair) -> None:
    folder = Path(pair.cert).parent
    assert read_source(folder) == read_source(str(folder)) == TlsFiles(pair.cert, pair.key)


def test_context_of_the_program_is_taken_as_it_is() -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert read_source(own) is own


def test_defaults_are_safe(pair: Pair) -> None:
    context = make_context(TlsFiles(*pair))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    old = [c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2" and not c["aead"]]
    static = [c["name"] for c in context.get_ciphers() if c["kea"] == "kx-rsa"]
    assert old == static == []


def test_context_knows_its_certificate(pair: Pair) -> None:
    context = make_context(TlsFiles(*pair))
    assert context.names == ("shop.test", "*.shop.test", "127.0.0.1")
    assert context.cert["names"] == list(context.names)
    assert (context.cert["cert"], context.cert["key"]) == pair
    assert context.cert["organizationName"].startswith("trustme")


def test_names_and_notes_of_the_program(pair: Pair) -> None:
    (source,) = [read_source({"cert": pair.cert, "key": pair.key, "names": ["A.test"], "note": 1})]
    assert isinstance(source, TlsFiles)
    context = make_context(source)
    assert context.names == ("a.test",)
    assert dict(context.cert) == {"note": 1, "cert": pair.cert, "key": pair.key, "names": ["A.test"]}


def test_password_is_shown_nowhere(pair: Pair) -> None:
    locked = encrypt_key(pair, "open sesame")
    source = read_source({"cert": locked.cert, "key": locked.key, "password": "open sesame"})
    assert isinstance(source, TlsFiles)
    assert "open sesame" not in repr(dict(make_context(source).cert))
    assert "open sesame" not in repr(source)


@pytest.mark.parametrize("password", ["open sesame", b"open sesame", lambda: "open sesame"])
def test_kinds_of_passwords(pair: Pair, password: Any) -> None:
    locked = encrypt_key(pair, "open sesame")
    read_ssl({"cert": locked.cert, "key": locked.key, "password": password})


@pytest.mark.parametrize(
    "version", [2, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_SERVER, None, ssl.TLSVersion.TLSv1_2]
)
def test_old_constants_mean_negotiate(pair: Pair, version: Any) -> None:
    source = read_source({"cert": pair.cert, "key": pair.key, "ssl_version": version})
    assert isinstance(source, TlsFiles)
    assert source.versions == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED)


def test_version_can_be_pinned(pair: Pair) -> None:
    only = read_source({"cert": pair.cert, "key": pair.key, "ssl_version": 5})
    least = read_source({"cert": pair.cert, "key": pair.key, "ssl_version": ssl.TLSVersion.TLSv1_3})
    assert isinstance(only, TlsFiles)
    assert isinstance(least, TlsFiles)
    assert only.versions == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert least.versions[0] == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("version", [1, 3, 4, "TLS"])
def test_unsafe_versions_are_refused(pair: Pair, version: Any) -> None:
    said = refused({"cert": pair.cert, "key": pair.key, "ssl_version": version})
    assert "TLS 1.2 and 1.3 are negotiated" in said


def test_arguments_of_blocking_sockets_change_nothing(pair: Pair) -> None:
    given = {"cert": pair.cert, "key": pair.key, "do_handshake_on_connect": True, "check_hostname": True}
    assert read_source(given) == TlsFiles(*pair)


@pytest.mark.parametrize("given", [5, True, b"x", 1.5])
def test_wrong_types(given: Any) -> None:
    said = f"Invalid ssl argument {type(given)}. Expecting a list of certdirs, a dict or an SSLContext."
    assert refused(given) == refused([given]) == said


@pytest.mark.parametrize("given", [{}, {"cert": "x"}, {"key": "x"}, {"cert": "", "key": ""}])
def test_parts_that_are_missing(given: Any) -> None:
    assert refused(given) == "SSL dict needs filenames for cert and key."


@pytest.mark.parametrize("given", [[], [None]])
def test_list_without_a_certificate(given: Any) -> None:
    assert refused(given) == "No certificates with SubjectAlternativeNames found."


def test_missing_file_is_named(pair: Pair, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    said = f"TLS: {missing} cannot be read: No such file or directory"
    assert refused({"cert": missing, "key": pair.key}) == said
    assert refused({"cert": pair.cert, "key": missing}) == said
    assert refused({"cert": pair.cert, "key": pair.key, "ca_certs": missing}) == said
    assert refused(str(tmp_path)) == f"Certificate not found or permission denied {tmp_path}/privkey.pem"


def test_key_that_does_not_fit(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.test")
    said = f"TLS: the key {other.key} does not fit the certificate {pair.cert}"
    assert refused({"cert": pair.cert, "key": other.key}) == said


def test_password_of_a_key(pair: Pair) -> None:
    locked = encrypt_key(pair, "open sesame")
    wrong = refused({"cert": locked.cert, "key": locked.key, "password": "wrong"})
    none = refused({"cert": locked.cert, "key": locked.key})
    assert wrong == f"TLS: the password of the key {locked.key} is wrong"
    assert none.startswith(f"TLS: the key {locked.key} is encrypted: give its password")


def test_files_that_are_no_certificates(pair: Pair, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    assert refused({"cert": str(junk), "key": pair.key}) == f"TLS: {junk} holds no certificate in PEM form"
    said = refused({"cert": pair.cert, "key": str(junk)})
    assert said.startswith(f"TLS: {pair.cert} and {junk} cannot be used as certificate and key")
    said = refused({"cert": pair.cert, "key": pair.key, "ca_certs": str(junk)})
    assert said == f"TLS: {junk} holds no certificates of authorities in PEM form"


def test_unknown_ciphers(pair: Pair) -> None:
    said = refused({"cert": pair.cert, "key": pair.key, "ciphers": "NONE-SUCH"})
    assert said == "TLS: no cipher is known by 'NONE-SUCH'"


def test_rules_are_the_same_for_a_whole_list(authority: Authority, pair: Pair) -> None:
    other = {"cert": pair.cert, "key": pair.key, "ca_certs": authority.path}
    said = refused([{"cert": pair.cert, "key": pair.key}, other])
    assert said == "TLS: ca_certs has to be the same for all certificates of a list"


def test_expiry_is_said(authority: Authority) -> None:
    now = dt.datetime.now(dt.UTC)
    for days, said in [(-1, "expired on"), (3, "expires on"), (30, None)]:
        made = authority.issue("old.test", expires=now + dt.timedelta(days=days))
        warnings = Tls([TlsFiles(*made)]).warnings
        assert (not warnings) if said is None else (said in warnings[0] and made.cert in warnings[0])


def test_key_that_everybody_can_read_is_said(authority: Authority) -> None:
    made = authority.issue("open.test")
    os.chmod(made.key, 0o644)
    (warning,) = Tls([TlsFiles(*made)]).warnings
    assert made.key in warning
    assert stat.S_IMODE(os.stat(made.key).st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("shop.test", True),
        ("www.shop.test", True),
        ("a.www.shop.test", False),
        ("other.test", False),
        ("", False),
        ("test", False),
    ],
)
def test_wildcards_stand_for_one_label(name: str, fits: bool) -> None:
    assert matches(("shop.test", "*.shop.test"), name) is fits


def test_settings(authority: Authority, pair: Pair) -> None:
    config = Config()
    assert make_tls(config) is None
    config.update({"TLS_CERT": pair.cert, "TLS_KEY": pair.key, "TLS_CLIENT_CA": authority.path})
    tls = make_tls(config)
    assert tls is not None
    assert tls.context.verify_mode == ssl.CERT_REQUIRED
    assert isinstance(tls.context, TlsContext)


def test_settings_that_miss_a_part(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="TLS_CERT and TLS_KEY belong together"):
        make_tls(Config({"TLS_CERT": pair.cert}))
    with pytest.raises(ConfigError, match="TLS_REDIRECT_PORT: there is no certificate"):
        make_tls(Config({"TLS_REDIRECT_PORT": 8080}))


def test_argument_beats_settings(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.test")
    tls = make_tls(
        Config({"TLS_CERT": pair.cert, "TLS_KEY": pair.key}), {"cert": other.cert, "key": other.key}
    )
    assert tls is not None
    assert tls.serves("other.test")
    assert not tls.serves("shop.test")


def test_password_of_the_settings_is_masked() -> None:
    config = Config({"TLS_CERT_PASSWORD": "open sesame"})
    assert "open sesame" not in repr(config)
    assert "open sesame" not in str(config.as_rows())
