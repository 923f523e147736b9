from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from fer_edge.errors import OutputError
from fer_edge.sinks.content import make_content
from fer_edge.sinks.options import ContentOptions, UnixSocketOptions
from fer_edge.sinks.unix_socket import MAX_READERS, UnixSocket

CLIENT_C = Path(__file__).parents[3] / "devices" / "firmware" / "client.c"


def serve(path, content="frames"):
    return UnixSocket(make_content(ContentOptions(content=content)), UnixSocketOptions(path=str(path)))


@pytest.fixture
def connect(request):
    """Function from a path to a connected reader."""

    def connect(path):
        reader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        request.addfinalizer(reader.close)
        reader.settimeout(10)
        reader.connect(str(path))
        return reader

    return connect


def read_all(reader):
    with reader.makefile("rb") as file:
        return file.read()


def frames(text):
    return [json.loads(line)["frame"] for line in text.splitlines()]


def test_each_reader_gets_whole_lines_from_when_it_came(tmp_path, make_result, connect):
    with serve(tmp_path / "s") as sink:
        first = connect(tmp_path / "s")
        for i in range(3):
            sink.write(make_result((1, "happy"), index=i))
        second = connect(tmp_path / "s")
        for i in range(3, 5):
            sink.write(make_result((1, "happy"), index=i))
    assert frames(read_all(first)) == [0, 1, 2, 3, 4]
    assert frames(read_all(second)) == [3, 4]
    assert sink.n_lost == 0


def test_a_reader_that_sleeps_misses_whole_lines_and_nobody_waits_for_it(tmp_path, make_result, connect):
    n_frames = 3000
    with serve(tmp_path / "s") as sink:
        sleeper, awake = connect(tmp_path / "s"), connect(tmp_path / "s")
        awake_lines = []
        with awake.makefile("rb") as file:
            for i in range(n_frames):
                sink.write(make_result((1, "happy"), index=i))
                awake_lines.append(file.readline())
        assert sink.trouble == "1 of 2 readers do not keep up and miss records"
        n_lost = sink.n_lost
        assert n_lost > n_frames / 2

        # It wakes up, reads what is there, and is served again, with a gap between.
        text = b""
        sleeper.setblocking(False)
        for i in range(n_frames, n_frames + 3):
            while True:
                try:
                    text += sleeper.recv(1 << 20)
                except BlockingIOError:
                    break
            sink.write(make_result((1, "happy"), index=i))
        assert sink.trouble is None
        assert sink.n_lost == n_lost
        sleeper.setblocking(True)
    assert frames(b"".join(awake_lines)) == list(range(n_frames))
    got = frames(text + read_all(sleeper))
    assert got == [*range(n_frames - n_lost), *range(n_frames, n_frames + 3)]


def test_a_reader_that_goes_is_forgotten(tmp_path, make_result, connect):
    with serve(tmp_path / "s") as sink:
        for i in range(3 * MAX_READERS):
            connect(tmp_path / "s").close()
            sink.write(make_result(index=i))
        stays = connect(tmp_path / "s")
        sink.write(make_result(index=99))
    assert frames(read_all(stays)) == [99]
    assert sink.n_lost == 0


def test_readers_that_go_while_nothing_happens_take_no_place(tmp_path, make_result, connect):
    with serve(tmp_path / "s", content="events") as sink:
        for _ in range(3 * MAX_READERS):
            connect(tmp_path / "s").close()
            sink.write(make_result())
        stays = connect(tmp_path / "s")
        sink.write(make_result((1, "happy")))
    assert [json.loads(line)["event_type"] for line in read_all(stays).splitlines()] == ["face_appeared", "face_left"]


def test_one_reader_too_many_is_sent_away(tmp_path, make_result, connect):
    with serve(tmp_path / "s") as sink:
        readers = []
        for _ in range(MAX_READERS + 1):
            readers.append(connect(tmp_path / "s"))
            sink.write(make_result())
        assert readers[-1].recv(1) == b""
        assert readers[0].recv(1) == b"{"


def test_a_reader_that_has_ended_its_own_side_is_served(tmp_path, make_result, connect):
    with serve(tmp_path / "s") as sink:
        reader = connect(tmp_path / "s")
        reader.shutdown(socket.SHUT_WR)  # as `nc -U` does where it has no input
        sink.write(make_result(index=0))
        sink.write(make_result(index=1))
    assert frames(read_all(reader)) == [0, 1]


def test_a_process_without_a_descriptor_left_says_so_and_serves_the_others(tmp_path, make_result, connect, monkeypatch):
    class Full:
        def accept(self):
            raise OSError(errno.EMFILE, "Too many open files")

    with serve(tmp_path / "s") as sink:
        reader = connect(tmp_path / "s")
        sink.write(make_result(index=0))
        with monkeypatch.context() as patch:
            patch.setattr(sink, "_server", Full())
            sink.write(make_result(index=1))
            assert sink.trouble == "cannot let a reader in: Too many open files"
        sink.write(make_result(index=2))
        assert sink.trouble is None
    assert frames(read_all(reader)) == [0, 1, 2]


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o660), (0o077, 0o600)], ids=["umask 0", "umask 077"])
def test_who_may_connect(tmp_path, umask, mode):
    old = os.umask(umask)
    try:
        sink = serve(tmp_path / "s")
    finally:
        os.umask(old)
    with sink:
        assert (tmp_path / "s").stat().st_mode & 0o777 == mode
    assert not (tmp_path / "s").exists()


def test_a_socket_that_nobody_serves_is_replaced(tmp_path, make_result, connect):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "s"))
    with serve(tmp_path / "s") as sink:
        reader = connect(tmp_path / "s")
        sink.write(make_result(index=5))
    assert frames(read_all(reader)) == [5]


def test_a_socket_that_took_its_place_is_left_alone(tmp_path):
    with serve(tmp_path / "s"):
        (tmp_path / "s").rename(tmp_path / "old")
        other = serve(tmp_path / "s")
    assert (tmp_path / "s").exists()
    other.close()


def test_a_socket_that_another_process_serves(tmp_path):
    with serve(tmp_path / "s"):
        with pytest.raises(OutputError) as raised:
            serve(tmp_path / "s")
        assert (tmp_path / "s").exists()
    assert str(raised.value) == (
        f"cannot listen at {tmp_path}/s: another process serves it; end that or choose another name"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "expected nothing or a socket, found a file; choose another name"),
        ("no/s", "No such file or directory"),
        ("x" * 120, "AF_UNIX path too long"),
    ],
    ids=["a file", "no folder", "too long"],
)
def test_where_no_socket_can_be(tmp_path, name, message):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError) as raised:
        serve(tmp_path / name)
    assert str(raised.value) == f"cannot listen at {tmp_path / name}: {message}"
    assert (tmp_path / "file").read_text() == "kept"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The C client, compiled as its comment says."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc or gcc)")
    program = tmp_path_factory.mktemp("client") / "client"
    done = subprocess.run(
        [compiler, "-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", program, CLIENT_C],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


def test_the_c_client_prints_what_is_sent(tmp_path, make_result, client):
    sink = serve(tmp_path / "s")
    with sink, subprocess.Popen([client, tmp_path / "s"], stdout=subprocess.PIPE) as process:
        n_frames = 0
        while not sink._readers:  # it is served from the first frame after it has connected
            sink.write(make_result((1, "happy"), index=n_frames))
            n_frames += 1
        first = json.loads(process.stdout.readline())["frame"]
        for index in range(n_frames, n_frames + 50):
            sink.write(make_result((1, "happy"), index=index))
        sink.close()
        rest = process.stdout.read()
    assert process.returncode == 0
    assert first == n_frames - 1
    assert frames(rest) == list(range(n_frames, n_frames + 50))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: No such file or directory"),
        ([], 2, "usage: client SOCKET, a path of at most 107 bytes"),
        (["x" * 108], 2, "usage: client SOCKET, a path of at most 107 bytes"),
    ],
    ids=["no server", "no path", "too long"],
)
def test_the_c_client_says_what_is_wrong(client, arguments, code, message):
    done = subprocess.run([client, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, message + "\n")
