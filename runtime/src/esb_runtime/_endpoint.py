"""Where a Redis server is: one parser for every form that a user may write.

| form | example |
|---|---|
| host and port | `redis.internal:6379`, `[::1]:6379`, `localhost` (port 6379) |
| URL | `redis://user:password@host:6379/2` |
| TLS | `rediss://host:6380?ssl_ca_certs=/etc/ca.pem` (also `ssl_certfile`, `ssl_keyfile`) |
| unix socket | `unix:///run/redis.sock?db=2`, `unix://user:password@/run/redis.sock` |
| StackExchange.Redis | `host:6380,ssl=true,user=ann,password=...,defaultDatabase=2,abortConnect=false` |

In a URL, characters of the user and the password that mean something there (`/ ? # %`) are percent-encoded.
No message, `repr` or `str` here repeats what was given: any part of a mistyped endpoint may be a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Any, NoReturn, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ._errors import EndpointError

ENDPOINT_VARIABLE = "REDIS_EVENT_SOURCE_ENDPOINT"
"""The environment variable that says where Redis is."""
PASSWORD_VARIABLE = "REDIS_EVENT_SOURCE_PASS"  # noqa: S105 - the name of the variable, not a password
"""The environment variable that holds the password; it wins over one inside the endpoint."""

DEFAULT_PORT = 6379
_FORMS = "host:port, redis://host:port/db, rediss://host:port/db (TLS) or unix:///path/to/socket"
_ONE = f"name one server: {_FORMS}"
_HOST = re.compile(r"[^\s\x00-\x1f\x7f@/?#:%,;=\"'\\\[\]]+")
_TLS_OPTIONS = {
    "ssl_ca_certs": "ca_certificates",
    "ssl_certfile": "certificate",
    "ssl_keyfile": "certificate_key",
}
"""Option of the URL (as redis-py calls it) and the field that holds it."""
_STACK_EXCHANGE = {"user": "username", "password": "password", "defaultdatabase": "database", "ssl": "tls"}
"""Option of StackExchange.Redis (in lower case) and the field that holds it."""
_TUNING = frozenset((
    "abortconnect", "allowadmin", "asynctimeout", "channelprefix", "checkcertificaterevocation", "clientname", "name",
    "configchannel", "configcheckseconds", "connectretry", "connecttimeout", "heartbeatconsistencychecks",
    "heartbeatinterval", "highintegrity", "includedetailinexceptions", "includeperformancecountersinexceptions",
    "keepalive", "preservesasyncorder", "protocol", "resolvedns", "responsetimeout", "setclientlibrary", "sslprotocols",
    "synctimeout", "tiebreaker", "version", "writebuffer",
))  # fmt: skip
"""Options of StackExchange.Redis that tune its own connections: nothing here depends on them."""
_LATER = {
    "redis+cluster": "Redis Cluster",
    "rediss+cluster": "Redis Cluster",
    "redis+sentinel": "Redis Sentinel",
    "rediss+sentinel": "Redis Sentinel",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Endpoint:
    """One Redis server and how to log in. `display` is safe to show; `password` is for the connection alone.

    Exactly one of `host` and `unix_socket` (an absolute path) is set; `username` is an ACL user.
    `ca_certificates`, `certificate` and `certificate_key` are paths of PEM files and matter only with `tls`.
    """

    host: str | None = None
    port: int = DEFAULT_PORT
    unix_socket: str | None = None
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    ca_certificates: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what names no server, or two."""
        if (self.host is None) == (self.unix_socket is None):
            raise EndpointError("an endpoint has either a host or the path of a unix socket")

    @classmethod
    def parse(cls, text: str, /, *, username: str | None = None, password: str | None = None) -> Self:
        """Read any of the forms of this module; `username` and `password` win over those in `text`.

        Raises `EndpointError`, which says what is wrong without repeating any of it.
        """
        if "://" not in text and "," in text and "=" in text:
            return cls(**_stack_exchange(text.strip(), username=username, password=password))
        scheme, rest = _split_scheme(text.strip())
        _refuse_later_forms(scheme, rest)
        authority, path, query = _split(rest)
        login, _, location = authority.rpartition("@")
        given_name, _, given_password = login.partition(":")
        options = _options(query, scheme)
        unix = scheme == "unix"
        host, port = (None, DEFAULT_PORT) if unix else _host_and_port(location)
        return cls(
            host=host,
            port=port,
            unix_socket=_socket_path(location, path) if unix else None,
            username=username or unquote(given_name) or None,
            password=password or unquote(given_password) or None,
            database=_database(options.get("db", "") if unix else path.strip("/")),
            tls=scheme == "rediss",
            ca_certificates=options.get("ssl_ca_certs"),
            certificate=options.get("ssl_certfile"),
            certificate_key=options.get("ssl_keyfile"),
        )

    @classmethod
    def chosen(cls, text: str | None, *, username: str | None, password: str | None) -> Endpoint:
        """What a caller gave, completed from the environment. Raises `EndpointError`."""
        if text is None:
            found = cls.from_environment()
            return replace(found, username=username or found.username, password=password or found.password)
        found = cls.parse(text, username=username, password=password)
        return replace(found, password=found.password or os.environ.get(PASSWORD_VARIABLE) or None)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, /) -> Self:
        """The endpoint that the environment names (default: this process's).

        Raises `EndpointError` when it names none, or one that cannot be understood.
        """
        environ = os.environ if environ is None else environ
        text = environ.get(ENDPOINT_VARIABLE, "").strip()
        if not text:
            raise EndpointError(
                f"no Redis is set: put its address into {ENDPOINT_VARIABLE} ({_FORMS}), "
                "or run `esb dev`, which brings its own"
            )
        try:
            return cls.parse(text, password=environ.get(PASSWORD_VARIABLE) or None)
        except EndpointError as problem:
            raise EndpointError(f"{ENDPOINT_VARIABLE}: {problem}") from None

    @property
    def display(self) -> str:
        """The endpoint as a URL without user and password, fit for logs and terminals; `parse` reads it."""
        if self.unix_socket is not None:
            database = f"?db={self.database}" if self.database else ""
            return f"unix://{quote(self.unix_socket)}{database}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        database = f"/{self.database}" if self.database else ""
        options = {name: value for name, field in _TLS_OPTIONS.items() if (value := getattr(self, field))}
        query = f"?{urlencode(options)}" if options else ""
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}{database}{query}"

    def __repr__(self) -> str:
        return f"Endpoint({self.display!r})"

    def __str__(self) -> str:
        return self.display


def _wrong(what: str) -> NoReturn:
    """Refuse: what is wrong, and the forms that are right."""
    raise EndpointError(f"{what}; an endpoint looks like {_FORMS}")


def _split_scheme(text: str) -> tuple[str, str]:
    """The scheme (`redis` when there is none) and what follows it."""
    if not text:
        _wrong("the endpoint is empty")
    if any(ord(character) < 32 for character in text):
        _wrong("the endpoint holds a line break or another control character")
    scheme, found, rest = text.partition("://")
    if found:
        return scheme.lower(), rest
    _refuse_lists(text)
    if "@" in text:
        _wrong("user and password need the URL form, with redis:// or rediss:// in front")
    return "redis", text


def _refuse_later_forms(scheme: str, rest: str) -> None:
    """Name the forms that other tools know and this version does not."""
    if scheme in _LATER:
        raise EndpointError(
            f"{_LATER[scheme]} ({scheme}://) is not supported in this version of esb; name one server: {_FORMS}"
        )
    if scheme not in ("redis", "rediss", "unix"):
        _wrong("the scheme is not one that esb knows")
    if scheme != "unix":
        _refuse_lists(rest.rpartition("@")[2])


def _refuse_lists(text: str) -> None:
    """No host holds a comma: it is a list of servers."""
    if "," not in text:
        return
    raise EndpointError(
        f"a list of servers (cluster or sentinel) is not supported in this version of esb; name one: {_FORMS}"
    )


def _stack_exchange(text: str, *, username: str | None, password: str | None) -> dict[str, Any]:
    """The fields that a configuration string of StackExchange.Redis stands for."""
    servers = [part.strip() for part in text.split(",") if part.strip() and "=" not in part]
    options = dict(_stack_exchange_option(part) for part in text.split(",") if "=" in part)
    if len(servers) != 1:
        _refuse_lists(",".join(servers))
        _wrong("the form host:port,option=value,... begins with one server")
    if "servicename" in options:
        raise EndpointError(f"Redis Sentinel (serviceName=) is not supported in this version of esb; {_ONE}")
    if "sslhost" in options and options["sslhost"].casefold() != servers[0].partition(":")[0].casefold():
        _wrong("an sslHost that is not the host cannot be checked: name the server as its certificate does")
    known = {field: options[name] for name, field in _STACK_EXCHANGE.items() if options.get(name)}
    host, port = _host_and_port(servers[0])
    tls = _truth(known.get("tls", "false"))
    return {
        "host": host,
        "port": port,
        "username": username or known.get("username"),
        "password": password or known.get("password"),
        "database": _database(known.get("database", "")),
        "tls": tls,
    }


def _stack_exchange_option(part: str) -> tuple[str, str]:
    """One `name=value`; an unknown name may be a piece of a password, so it is not repeated."""
    name, _, value = part.partition("=")
    name = name.strip().lower()
    if (
        name not in _STACK_EXCHANGE
        and name not in _TUNING
        and name not in ("sslhost", "servicename", "proxy", "tunnel")
    ):
        _wrong("an option after the host is not one of StackExchange.Redis (or the password holds a comma)")
    if name in ("proxy", "tunnel") and value.strip().lower() not in ("", "none"):
        _wrong(f"{name}= is not supported")
    return name, value.strip()


def _truth(text: str) -> bool:
    """`true` or `false`, as StackExchange.Redis writes them."""
    if text.lower() not in ("true", "false"):
        _wrong("ssl= is true or false")
    return text.lower() == "true"


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, path and query of what follows the scheme."""
    if "#" in rest:
        _wrong("the endpoint holds a '#' (inside a password it is written %23)")
    before, _, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    return authority, slash + path, query


def _options(query: str, scheme: str) -> dict[str, str]:
    """The options after `?`, each known to this scheme."""
    known = {"unix": ("db",), "rediss": tuple(_TLS_OPTIONS)}.get(scheme, ())
    options = dict(parse_qsl(query, keep_blank_values=True))
    if set(options) - set(known) or (query and not options):
        allowed = f"only {', '.join(known)} can stand there" if known else "none can stand there"
        _wrong(f"an option after '?' is unknown: with {scheme}:// {allowed}")
    return options


def _socket_path(location: str, path: str) -> str:
    """The path of a unix socket, which is absolute."""
    if location or len(path) < 2:
        _wrong("the path of a unix socket is absolute, three slashes in all")
    return unquote(path)


def _database(text: str) -> int:
    """A database number; 0 when there is none."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
        _wrong("the database after the port is not a number ('/ ? # %' inside a password are percent-encoded)")
    return int(text or 0)


def _host_and_port(location: str) -> tuple[str, int]:
    """Host and port of a TCP address; an IPv6 address stands in brackets."""
    if location.startswith("["):
        host, closed, port = location[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            _wrong("the IPv6 address is not closed by a bracket and followed by :port")
        return _ipv6(host), _port(port.removeprefix(":"))
    if location.count(":") > 1:
        _wrong("there is more than one ':' in the address (an IPv6 address stands in brackets)")
    host, _, port = location.partition(":")
    if not host:
        _wrong("the host is missing")
    if not _HOST.fullmatch(host):
        _wrong("the host holds a character that no host name has")
    return host, _port(port)


def _ipv6(text: str) -> str:
    """An IPv6 address as it was written, checked."""
    try:
        IPv6Address(text)
    except ValueError:
        pass
    else:
        return text
    _wrong("what stands in brackets is not an IPv6 address")


def _port(text: str) -> int:
    """A TCP port; 6379 when there is none."""
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        _wrong("the port is not a number from 1 to 65535")
    return int(text)
