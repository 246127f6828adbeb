#!/usr/bin/env python3
"""The proxy does each fault that it is told, and nothing else: what passes is whole and in order."""
import contextlib
import os
import select
import signal
import socket
import time

from cluster import Proxy, main, test

HELD = 20 << 20  # more than the proxy and all of the kernel's buffers hold


class Link:
    """A connection through a proxy of its own: `a` connected, `b` was connected to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(self.listener.getsockname()[1])
        self.a, self.b = self.connect()

    def connect(self):
        a = socket.create_connection(("127.0.0.1", self.proxy.ports[0]), 30)
        self.listener.settimeout(30)
        b = self.listener.accept()[0]
        b.settimeout(30)
        return a, b

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self.a, self.b, self.listener):
            end.close()
        self.proxy.kill()


def read(end, size):
    got = b""
    while len(got) < size:
        piece = end.recv(size - len(got))
        assert piece, f"{len(got)} of {size} bytes"
        got += piece
    return got


def passes(source, sink, text=b"hello"):
    source.sendall(text)
    assert read(sink, len(text)) == text


def is_silent(*ends, seconds=0.2):
    return not select.select(ends, [], [], seconds)[0]


def is_reset(end):
    try:
        return end.recv(1) == b"never"
    except ConnectionResetError:
        return True


def both_ways(link):
    passes(link.a, link.b)
    passes(link.b, link.a)


def pump(source, sink, data):
    """Sends and receives at once; what came."""
    got, sent = b"", 0
    source.setblocking(False)
    while len(got) < len(data):
        readable, writable, _ = select.select([sink], [source] if sent < len(data) else [], [], 30)
        assert readable or writable, "nothing moves"
        if writable:
            sent += source.send(data[sent:sent + 65536])
        if readable:
            got += sink.recv(1 << 20)
    source.setblocking(True)
    return got


@test
def without_a_fault_all_passes_whole_and_in_order():
    with Link() as link:
        both_ways(link)
        data = os.urandom(5 << 20)
        assert pump(link.a, link.b, data) == data
        connections, from_a, from_b = link.proxy.count()
        assert (connections, from_a, from_b) == (1, 5 + len(data), 5)


@test
def an_orderly_end_passes_after_what_was_said():
    with Link() as link:
        link.a.sendall(b"last words")
        link.a.shutdown(socket.SHUT_WR)
        assert read(link.b, 10) == b"last words" and link.b.recv(1) == b""
        passes(link.b, link.a)
        link.b.close()
        assert link.a.recv(1) == b""


@test
def what_is_delayed_comes_later_and_in_order():
    with Link() as link:
        link.proxy.delay(150)
        begin = time.monotonic()
        link.a.sendall(b"one")
        link.a.sendall(b"two")
        assert read(link.b, 6) == b"onetwo"
        assert time.monotonic() - begin >= 0.15
        link.b.sendall(b"back")
        assert read(link.a, 4) == b"back" and time.monotonic() - begin >= 0.3
        link.proxy.heal()
        both_ways(link)


@test
def a_cut_link_is_silent_and_stays_open():
    with Link() as link:
        link.proxy.cut()
        link.a.sendall(b"from a")
        link.b.sendall(b"from b")
        assert is_silent(link.a, link.b)
        link.proxy.heal()
        assert read(link.b, 6) == b"from a" and read(link.a, 6) == b"from b"


@test
def who_dies_behind_a_cut_is_not_missed():
    with Link() as link:
        link.proxy.cut()
        link.a.close()
        link.b.sendall(b"are you there")
        assert is_silent(link.b)
        link.proxy.heal()
        assert link.b.recv(1) == b""


@test
def a_cut_link_opens_no_connection_until_it_is_healed():
    with Link() as link:
        link.proxy.cut()
        a = socket.create_connection(("127.0.0.1", link.proxy.ports[0]), 30)
        a.sendall(b"hello")
        assert is_silent(link.listener)
        link.proxy.heal()
        with a, link.listener.accept()[0] as b:
            assert read(b, 5) == b"hello"


@test
def one_way_only_that_side_is_heard():
    with Link() as link:
        for side, heard, unheard in (("a", link.a, link.b), ("b", link.b, link.a)):
            link.proxy.oneway(side)
            passes(heard, unheard)
            unheard.sendall(b"held")
            assert is_silent(heard)
            link.proxy.heal()
            assert read(heard, 4) == b"held"


@test
def a_reset_reaches_both_sides():
    with Link() as link:
        both_ways(link)
        link.proxy.reset()
        assert is_reset(link.a) and is_reset(link.b)
        link.a, link.b = link.connect()
        both_ways(link)


@test
def a_reset_by_one_side_is_one_for_the_other():
    with Link() as link:
        both_ways(link)
        link.a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.a.close()
        assert is_reset(link.b)


@test
def it_closes_after_so_many_bytes():
    with Link() as link:
        passes(link.a, link.b)
        link.proxy.close_after(7)
        link.a.sendall(b"a frame that is cut")
        assert read(link.b, 7) == b"a frame" and link.b.recv(1) == b""
        link.a, link.b = link.connect()
        both_ways(link)


@test
def a_slow_link_keeps_its_rate():
    with Link() as link:
        link.proxy.slow(20000)
        begin = time.monotonic()
        passes(link.a, link.b, os.urandom(10000))
        took = time.monotonic() - begin
        assert took >= 0.45, took
        link.proxy.heal()
        both_ways(link)


@test
def what_it_holds_is_bounded():
    with Link() as link:
        link.proxy.cut()
        link.a.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < HELD:
                sent += link.a.send(bytes(65536))
        assert sent < HELD, "there is no end to what it takes"
        link.proxy.heal()
        read(link.b, sent)


@test
def links_are_apart():
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                     for _ in range(2)]
        proxy = stack.enter_context(Proxy(*(each.getsockname()[1] for each in listeners)))
        pairs = []
        for port, listener in zip(proxy.ports, listeners):
            a = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            pairs.append((a, stack.enter_context(listener.accept()[0])))
        proxy.cut(link=0)
        passes(*pairs[1])
        pairs[0][0].sendall(b"held")
        assert is_silent(pairs[0][1])
        proxy.heal(link=0)
        assert read(pairs[0][1], 4) == b"held"


@test
def nobody_at_the_target_is_the_end_of_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Proxy(port) as proxy:
        try:
            with socket.create_connection(("127.0.0.1", proxy.ports[0]), 30) as a:
                assert is_reset(a)
        except ConnectionResetError:
            pass  # so soon that connecting has heard of it


@test
def what_is_no_command_is_said():
    with Link() as link:
        for line in ("all nothing", "9 cut", "all delay", "all delay x", "all oneway c", "all slow 0"):
            where, command, *arguments = line.split()
            try:
                link.proxy.tell(command, *arguments, link=where)
                assert False, line
            except AssertionError as error:
                assert "error: " in str(error), line
        both_ways(link)


@test
def it_ends_with_its_input():
    with Link() as link:
        both_ways(link)
        link.proxy.process.stdin.close()
        assert link.proxy.process.wait(30) == 0
        assert is_reset(link.a) and is_reset(link.b)


signal.alarm(120)
main()
