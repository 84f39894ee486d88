"""Whole repositories of the Hub: upload of a folder, and download file by file, each verified and resumable."""

from pathlib import Path, PurePosixPath
from typing import Any

from facegen.errors import InputError, WeightsError
from facegen.hub.download import OnBytes, endpoint, is_offline, translated_errors
from facegen.hub.fetch import fetch_checked
from facegen.hub.weight_file import Hub, WeightFile, weights_home
from facegen.json_file import read_object

INDEX = "facegen.json"
"""What a repository says of itself: `files`, a list of `{"name", "sha256", "size"}`, and whatever its maker adds."""


def upload_folder(folder: Path, repo_id: str, *, message: str, is_private: bool = False) -> str:
    """Make a repository of the Hub, or add a commit to it, with the files of a folder.

    Returns:
        The address of the commit.

    Raises:
        WeightsError: the Hub cannot be reached, nobody is logged in, or may not write there.
    """
    from huggingface_hub import HfApi, errors

    if is_offline():
        raise WeightsError(f"Cannot publish {repo_id} because HF_HUB_OFFLINE is set; unset it.")
    api = HfApi(endpoint=endpoint())
    with translated_errors(f"the repository {repo_id}", Hub(repo_id, "main")):
        try:
            api.create_repo(repo_id, private=is_private, exist_ok=True)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message).commit_url)
        except errors.HFValidationError as error:
            raise InputError(f"Expected a repository as OWNER/NAME, found {repo_id!r}; correct it.") from error


def fetch_repository(
    repo_id: str, revision: str = "main", on_bytes: OnBytes | None = None
) -> tuple[Path, dict[str, Any]]:
    """A repository that `upload_folder` made with an `INDEX`, in a folder of facegen's home.

    Args:
        repo_id: «owner/name».
        revision: a commit, branch or tag; without the network a branch is what it was when it was asked for last.
        on_bytes: told how far the download of each file is.

    Returns:
        The folder, and what its index says.

    Raises:
        WeightsError: the Hub cannot be reached, or has other bytes than the index says.
        InputError: the repository is none of facegen's.
    """
    commit = _resolve(repo_id, revision)
    index = _fetch(repo_id, commit, INDEX, None, None, None)
    content = read_object(index)
    for entry in content.get("files", ()):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or PurePosixPath(name).is_absolute() or {"..", ""} & set(name.split("/")):
            raise InputError(
                f"Expected names of files in {INDEX} of {repo_id}, found {name!r}; use another repository."
            )
        _fetch(repo_id, commit, name, entry.get("sha256"), entry.get("size"), on_bytes)
    return index.parent, content


def _fetch(
    repo_id: str, commit: str, filename: str, sha256: str | None, size: int | None, on_bytes: OnBytes | None
) -> Path:
    source = Hub(repo_id, commit)
    weight = WeightFile(
        name=f"{repo_id}/{filename}".replace("/", "--"),
        source=source,
        filename=filename,
        sha256=sha256,
        size=size,
        licence="as its card says",
        card=f"{endpoint()}/{repo_id}",
        purpose="a published training",
        jobs=(),
    )
    return fetch_checked(weight, source, on_bytes)


def _resolve(repo_id: str, revision: str) -> str:
    """The commit that a revision means."""
    noted = weights_home() / repo_id.replace("/", "--") / "refs" / revision.replace("/", "--")
    if is_offline():
        if not noted.is_file():
            raise WeightsError(f"Cannot look up {repo_id} because HF_HUB_OFFLINE is set; unset it.")
        return noted.read_text(encoding="utf-8")
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    with translated_errors(f"{repo_id}/{INDEX}", Hub(repo_id, revision)):
        url = hf_hub_url(repo_id, INDEX, revision=revision, endpoint=endpoint())
        commit = get_hf_file_metadata(url, token=get_token(), endpoint=endpoint()).commit_hash
    if commit is None:
        raise WeightsError(f"Expected {endpoint()} to state the commit of {repo_id}, found none; use the Hub.")
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_text(commit, encoding="utf-8")
    return commit
