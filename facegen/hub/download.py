"""Downloads one file from the Hub: the only module that talks to it.

Pinned revisions, HF_ENDPOINT and HF_HUB_OFFLINE honoured, no telemetry.
"""

import os
from pathlib import Path

from facegen.errors import ResourceError, WeightsError
from facegen.hub.weight_file import Hub, WeightFile, weights_home


def download(weight: WeightFile, source: Hub, path: Path) -> str:
    """Download one file and return the digest the Hub states for it: SHA-256, or git's SHA-1 for small files.

    A connection that breaks is resumed where it broke, a few times; what a killed download left behind is removed.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import httpx2
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    # The library reads these once, at its import, which another package may have caused before us.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    where = f"the model {weight.name} ({source.repo_id}/{weight.filename})"
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES or constants.HF_HUB_OFFLINE:
        raise WeightsError(f"Cannot download {where} because HF_HUB_OFFLINE is set; unset it or place the file: {path}")
    root = weights_home() / source.repo_id.replace("/", "--") / source.revision
    for leftover in (root / ".cache").rglob("*.incomplete"):
        leftover.unlink(missing_ok=True)
    try:
        url = hf_hub_url(source.repo_id, weight.filename, revision=source.revision, endpoint=endpoint)
        stated = get_hf_file_metadata(url, endpoint=endpoint).etag
        if stated is None or len(stated) not in (40, 64):
            raise WeightsError(f"{endpoint} states no digest for {where}, so its bytes cannot be checked; use the Hub.")
        hf_hub_download(
            source.repo_id,
            weight.filename,
            revision=source.revision,
            endpoint=endpoint,
            local_dir=root,
            force_download=True,
        )
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"The Hub gives {where} only to accounts that were let in; ask on {endpoint}/{source.repo_id} and log in "
            "with: hf auth login"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise WeightsError(
            f"Expected {where} at revision {source.revision} on {endpoint}, found nothing there; update facegen or "
            "choose another model."
        ) from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"Cannot reach {endpoint} for {where} ({type(error).__name__}); check the network, or go on with the "
            "bundled models."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise ResourceError(
                f"Cannot store {where} in {root}: {error.strerror}; free some space or set FACEGEN_HOME."
            ) from error
        raise WeightsError(f"The download of {where} was cut short; try again.") from error
    except ValueError as error:
        # With force_download, the library wraps a failed look-up in a ValueError.
        raise WeightsError(
            f"Cannot reach {endpoint} for {where} ({type(error.__cause__ or error).__name__}); check the network."
        ) from error
    return stated
