import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anytime.training.data.class_names import DIGITS
from anytime.training.data.download import cache_folder, download
from anytime.training.data.idx import read_idx_set
from anytime.training.data.place import Place
from anytime.training.data.sources import OfficialFile, Source
from anytime.training.errors import DataMissing
from tests.training.data.official_files import md5, pixels, write_files, write_idx_set


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; ``short`` promises more than it sends."""

    def log_message(self, *_args):
        pass

    def do_GET(self):
        if not self.path.endswith("short"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        return None


@pytest.fixture
def offered(tmp_path):
    """A folder and the address under which it can be had."""
    folder = tmp_path / "offered"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_set_comes_over_the_network(offered, tmp_path, own_cache):
    """Into the user's folder, or the cache; a second reading finds it there, and a file that was there is left alone."""
    folder, url = offered
    write_idx_set(folder, pixels(20, 4, 4, 1), pixels(10, 4, 4, 1, 1))
    files = tuple(OfficialFile(one.name, md5(one.read_bytes()), (url + one.name,)) for one in sorted(folder.iterdir()))
    files = (files[2], files[3], files[0], files[1])
    source = Source("tiny", ("tiny",), files)
    place = Place(tmp_path / "data")
    found = read_idx_set(place, source, DIGITS)
    assert (len(found.train), len(found.test), found.strangers) == (20, 10, ())
    assert sorted(one.name for one in (tmp_path / "data" / "tiny").iterdir()) == sorted(one.name for one in files)
    assert read_idx_set(Place(tmp_path / "data", may_download=False), source, DIGITS).strangers == ()
    assert Place().obtain(source)["t10k-images-idx3-ubyte.gz"].parent == cache_folder() / "tiny"


def test_another_checksum_is_refused_and_nothing_stays(offered, tmp_path):
    """Neither the file nor a part of it."""
    folder, url = offered
    write_files(folder, {"file": "changed"})
    with pytest.raises(DataMissing, match=r"file could not be downloaded \(http.*hash"):
        download(OfficialFile("file", md5(b"as published"), (url + "file",)), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(("name", "said"), [("absent", "404"), ("short", "short: ")])
def test_a_failed_download_says_why(offered, tmp_path, name, said):
    """No such file; a connection that ended early."""
    with pytest.raises(DataMissing, match=said):
        download(OfficialFile(name, md5(b"half"), (offered[1] + name,)), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_the_next_address_is_tried(offered, tmp_path):
    """One that is down, one with another content, then the right one."""
    folder, url = offered
    write_files(folder, {"wrong": "wrong", "file": "right"})
    file = OfficialFile("file", md5(b"right"), ("http://127.0.0.1:9/file", url + "wrong", url + "file"))
    assert download(file, tmp_path / "data", show_progress=True).read_bytes() == b"right"


def test_a_folder_that_cannot_be_written_is_an_error(offered, tmp_path):
    """A file lies where the folder would be."""
    folder, url = offered
    write_files(folder, {"file": "right"})
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(DataMissing, match="could not be downloaded"):
        download(OfficialFile("file", md5(b"right"), (url + "file",)), tmp_path / "data")
    with pytest.raises(DataMissing, match="it is offered nowhere"):
        download(OfficialFile("file", md5(b"right")), tmp_path)
