"""What a user may write to say where Redis is, and what must never come back out."""

from __future__ import annotations

import copy
import pickle
import string
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from esb_runtime._endpoint import Endpoint
from esb_runtime._errors import EndpointError, EsbError

SECRET = "Kq7vfinl"
hosts = st.one_of(
    st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=30),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
paths = words.map(lambda word: f"/{word}")
ports = st.integers(1, 65535)
databases = st.integers(0, 999_999)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", Endpoint(host="localhost")),
        (" localhost:6380 ", Endpoint(host="localhost", port=6380)),
        ("localhost:6380/3", Endpoint(host="localhost", port=6380, database=3)),
        ("[::1]:7000", Endpoint(host="::1", port=7000)),
        ("[fe80::1]", Endpoint(host="fe80::1")),
        ("redis://h", Endpoint(host="h")),
        ("REDIS://h:1/", Endpoint(host="h", port=1)),
        ("redis://:p@h:1/2", Endpoint(host="h", port=1, password="p", database=2)),
        ("redis://u:p@[::1]:1", Endpoint(host="::1", port=1, username="u", password="p")),
        ("redis://u@h", Endpoint(host="h", username="u")),
        ("redis://u:p%2F%40%3A%25@h", Endpoint(host="h", username="u", password="p/@:%")),
        ("redis://u:p@,:x@h", Endpoint(host="h", username="u", password="p@,:x")),
        ("rediss://h:6380", Endpoint(host="h", port=6380, tls=True)),
        (
            "rediss://h?ssl_ca_certs=%2Fetc%2Fca.pem",
            Endpoint(host="h", tls=True, ca_certificates="/etc/ca.pem"),
        ),
        ("unix:///run/redis.sock", Endpoint(unix_socket="/run/redis.sock")),
        ("unix:///run/a,b.sock?db=4", Endpoint(unix_socket="/run/a,b.sock", database=4)),
        ("unix://u:p@/run/r.sock", Endpoint(unix_socket="/run/r.sock", username="u", password="p")),
    ],
)
def test_every_documented_form_is_read(text: str, expected: Endpoint) -> None:
    """Every form of the module's table means what the table says."""
    assert Endpoint.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("http://h", "scheme"),
        ("redis://", "host is missing"),
        (":6379", "host is missing"),
        ("h:x", "port is not a number"),
        ("h:0", "from 1 to 65535"),
        ("h:65536", "from 1 to 65535"),
        ("h:6379/x", "database"),
        ("::1", "IPv6 address stands in brackets"),
        ("[::1", "bracket"),
        ("[::1]6379", "bracket"),
        ("[nonsense]:1", "not an IPv6 address"),
        ("a b:1", "no host name has"),
        ("h\n:1", "control character"),
        ("u:p@h", "need the URL form"),
        ("redis://h?timeout=3", "none can stand there"),
        ("rediss://h?verify=no", "ssl_ca_certs"),
        ("redis://h?", None),
        ("unix://relative/path", "absolute"),
        ("unix://", "absolute"),
        ("redis://:pa/ss@h:1", "host is missing"),
        ("redis://u:12/ss@h:1", "percent-encoded"),
        ("redis://u:p#ss@h:1", "%23"),
        ("h1:1,h2:2", "list of servers"),
        ("redis://h1:1,h2:2", "list of servers"),
        ("a:1,b:2,ssl=true", "a list of servers"),
        ("h:6380,ssl=perhaps", "ssl= is true or false"),
        ("h:6380,password=a,b=c", "or the password holds a comma"),
        ("h:6380,serviceName=m,ssl=true", "Sentinel"),
        ("h:6380,ssl=true,sslHost=other", "sslHost"),
        ("h:6380,proxy=twemproxy", "proxy= is not supported"),
        ("ssl=true,user=ann", "begins with one server"),
        ("redis+cluster://h:1", "Redis Cluster"),
        ("redis+sentinel://h:1/master", "Redis Sentinel"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(text: str, says: str | None) -> None:
    """A refused form says what is wrong with it, as an `EsbError` that is also a `ValueError`."""
    if says is None:
        assert Endpoint.parse(text) == Endpoint(host="h")
        return
    with pytest.raises(EndpointError, match=says) as raised:
        Endpoint.parse(text)
    assert isinstance(raised.value, (EsbError, ValueError))
    assert raised.value.__cause__ is None


@given(host=hosts, port=ports, database=databases, tls=st.booleans(), ca=st.none() | words)
def test_display_reads_back_as_the_same_server(host: str, port: int, database: int, tls: bool, ca: str | None) -> None:
    """`display` names the whole server: parsing it again gives the same endpoint."""
    one = Endpoint(host=host, port=port, database=database, tls=tls, ca_certificates=ca if tls else None)
    assert Endpoint.parse(one.display) == one


@given(path=paths, database=databases)
def test_display_reads_back_as_the_same_socket(path: str, database: int) -> None:
    """A unix socket's path survives `display`, whatever characters it holds."""
    assert Endpoint.parse(Endpoint(unix_socket=path, database=database).display) == Endpoint(
        unix_socket=path, database=database
    )


@given(host=hosts, port=ports, username=words, password=words)
def test_encoded_credentials_are_read_exactly(host: str, port: int, username: str, password: str) -> None:
    """A percent-encoded user and password come out as they are, and given ones win over them."""
    where = f"[{host}]" if ":" in host else host
    text = f"redis://{quote(username, safe='')}:{quote(password, safe='')}@{where}:{port}"
    assert Endpoint.parse(text) == Endpoint(host=host, port=port, username=username, password=password)
    assert Endpoint.parse(text, username="other", password="given").password == "given"


@given(
    before=st.text("ab1:/@?#%[],= .&", max_size=8),
    after=st.text("ab1:/@?#%[],= .&", max_size=8),
    scheme=st.sampled_from(["", "redis://", "rediss://", "unix://", "redis+cluster://", "tcp://", "unix:///"]),
)
@example(before="h:1,password=", after="@b", scheme="")
@example(before=":a:", after="/x@h:1", scheme="redis://")
def test_a_password_is_never_shown(before: str, after: str, scheme: str) -> None:
    """Whatever a mistyped endpoint looks like, nobody who did not write it as a host reads it in any text."""
    text = f"{scheme}{before}{SECRET}{after}"
    outcome: Endpoint | EndpointError
    try:
        outcome = Endpoint.parse(text)
        assume(SECRET not in (outcome.host or "") + (outcome.unix_socket or "") + (outcome.ca_certificates or ""))
    except EndpointError as problem:
        outcome = problem
    for shown in (repr(outcome), str(outcome), f"{outcome}", f"{[outcome]}"):
        assert SECRET not in shown


def test_an_endpoint_is_a_value() -> None:
    """Endpoints compare by content, hash, copy and pickle."""
    one = Endpoint.parse("redis://u:p@h:1/2")
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, Endpoint.parse("redis://u:p@h:1/2")}) == 1


def test_an_endpoint_is_a_host_or_a_socket() -> None:
    """Neither both nor none of host and path make an endpoint."""
    with pytest.raises(EndpointError, match="host or the path"):
        Endpoint()
    with pytest.raises(EndpointError, match="host or the path"):
        Endpoint(host="h", unix_socket="/s")


def test_the_environment_names_the_server() -> None:
    """REDIS_EVENT_SOURCE_ENDPOINT says where, REDIS_EVENT_SOURCE_PASS wins over a password inside it."""
    environ = {"REDIS_EVENT_SOURCE_ENDPOINT": "redis://u:old@h:1", "REDIS_EVENT_SOURCE_PASS": "new"}
    assert Endpoint.from_environment(environ) == Endpoint(host="h", port=1, username="u", password="new")
    del environ["REDIS_EVENT_SOURCE_PASS"]
    assert Endpoint.from_environment(environ).password == "old"


@pytest.mark.parametrize("environ", [{}, {"REDIS_EVENT_SOURCE_ENDPOINT": " "}])
def test_a_missing_endpoint_names_both_remedies(environ: dict[str, str]) -> None:
    """Without an endpoint the error names the variable and `esb dev`."""
    with pytest.raises(EndpointError, match=r"REDIS_EVENT_SOURCE_ENDPOINT .*`esb dev`"):
        Endpoint.from_environment(environ)


def test_a_wrong_environment_names_the_variable_only() -> None:
    """A bad value in the environment is blamed on its variable, and not repeated."""
    with pytest.raises(EndpointError, match=r"^REDIS_EVENT_SOURCE_ENDPOINT: ") as raised:
        Endpoint.from_environment({"REDIS_EVENT_SOURCE_ENDPOINT": f"h:{SECRET}"})
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "display", "username", "password"),
    [
        ("h:6380,ssl=true,password=x@y=z,abortConnect=false", "rediss://h:6380", None, "x@y=z"),
        ("h,user=ann,defaultDatabase=3,connectTimeout=500", "redis://h:6379/3", "ann", None),
        (" [::1]:7 , Ssl=False , PASSWORD=p ", "redis://[::1]:7", None, "p"),
    ],
)
def test_the_form_of_stack_exchange(text: str, display: str, username: str | None, password: str | None) -> None:
    """What .NET programs of the same Redis are configured with is understood as it is."""
    found = Endpoint.parse(text)
    assert (found.display, found.username, found.password) == (display, username, password)
    assert Endpoint.parse(text, password="better").password == "better"
