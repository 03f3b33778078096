"""Each refusal is a sentence and a hint, made before anything is touched."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from deploy.site.layout import SOCKET_PATH_LIMIT, Layout
from deploy.site.preconditions import check_ours, check_place, check_port, check_seen
from deploy.site.release import RELEASES
from deploy.site.trouble import Trouble


def layout_of_length(length: int) -> Layout:
    return Layout.at(Path("/" + "d" * (length - 1)))


def test_a_path_that_leaves_room_for_every_socket_is_taken() -> None:
    longest = layout_of_length(10).longest_root()
    check_place(layout_of_length(longest))
    assert all(len(bytes(socket)) <= SOCKET_PATH_LIMIT for socket in layout_of_length(longest).sockets())


def test_a_path_one_longer_is_refused() -> None:
    longest = layout_of_length(10).longest_root()
    with pytest.raises(Trouble, match=f"has {longest + 1} characters"):
        check_place(layout_of_length(longest + 1))


@pytest.mark.parametrize("name", ["a b", "a#b", "a;b", "a%b", 'a"b', "a\nb", "aé"])
def test_a_path_that_configuration_files_would_misread_is_refused(name: str) -> None:
    with pytest.raises(Trouble, match="characters"):
        check_place(Layout.at(Path("/var/lib") / name))


def test_a_directory_that_others_cannot_traverse_is_no_place() -> None:
    # A test's own folder may lie too deep for the sockets of a site.
    with tempfile.TemporaryDirectory() as closed, pytest.raises(Trouble, match=r"cannot traverse|someone else"):
        check_place(Layout.at(Path(closed) / "site"))


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "site").touch()
    with pytest.raises(Trouble, match="is not a directory"):
        check_ours(Layout.at(tmp_path / "site"))


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(Trouble, match="not a demo's"):
        check_ours(Layout.at(tmp_path))


def test_an_empty_directory_and_a_demos_own_are_taken(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    check_ours(layout)
    layout.marker.touch()
    (tmp_path / "site.json").touch()
    check_ours(layout)


def test_a_taken_port_is_refused_with_another_one_to_choose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Trouble, match=f"Port {port} on 127.0.0.1 is taken") as caught:
            check_port(port)
    assert "--port 8443" in caught.value.hint


def test_a_place_that_another_debians_slurm_would_not_see_is_refused() -> None:
    site = Layout.at(Path("/usr/local/site"))
    check_seen(site, RELEASES["bookworm"])
    with pytest.raises(Trouble, match="the Slurm of trixie does not see"):
        check_seen(site, RELEASES["trixie"])
    check_seen(Layout.at(Path("/var/lib/site")), RELEASES["trixie"])
