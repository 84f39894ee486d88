"""The Verify tab: files of visitors in a process with limits, and links of the studio's own results."""

from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.media import write_picture
from facegen.provenance import Claims, sign
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.verify import file_of_link, read_report, report_card
from tests.factories import noise_rgb


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services(Profile(shared=True))


def test_a_link_of_a_result_is_verified(services: Services) -> None:
    made = services.visitor_folder(Visitor()) / "made of mine.png"
    write_picture(made, noise_rgb(64, 64))  # too small for a mark
    sign(made, Claims(job="generate", engine="nvae"))
    link = f"https://faces.example/gradio_api/file={str(made).replace(' ', '%20')}"
    report = read_report(services, file_of_link(services, link))
    assert report["verdict"] == "made here"
    assert 'data-verdict="made here"' in report_card(report)


@pytest.mark.parametrize("named", ["/etc/passwd", "{folder}/../outside.png", "{folder}", "", "{folder}/a\0b"])
def test_other_files_are_refused_in_one_sentence(services: Services, named: str) -> None:
    (services.folder.parent / "outside.png").write_bytes(b"")
    link = "https://faces.example/gradio_api/file=" + named.format(folder=services.folder)
    with pytest.raises(InputError, match="link of a result"):
        file_of_link(services, link)
    with pytest.raises(InputError, match="link of a result"):
        file_of_link(services, "http://169.254.169.254/latest/meta-data")


def test_a_file_that_is_none_is_one_sentence(services: Services) -> None:
    bad = services.visitor_folder(Visitor()) / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match="Expected"):
        read_report(services, str(bad))
