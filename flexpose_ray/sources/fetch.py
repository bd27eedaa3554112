"""Data sets as their publishers give them: downloaded where everybody may, else where to ask for them."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flexpose_ray.errors import ConfigError, DataError

BLOCK = 1 << 20
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Published:
    """A data set.

    Attributes:
        page: the publisher's.
        files: which files to take, and how to read them.
        url: of the archive; "" where people must register or ask.
        sha1: of the archive.
        size: of the archive, bytes.
        members: what to unpack of it.
    """

    page: str
    files: str
    url: str = ""
    sha1: str = ""
    size: int = 0
    members: tuple[str, ...] = ()


PUBLISHED = {
    "coco": Published(
        "https://cocodataset.org/#download",
        "person keypoints of 2017 (CC BY 4.0): coco:annotations/person_keypoints_train2017.json",
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        "8551ee4bb5860311e79dace7e79cb91e432e78b3",
        252_907_541,
        ("annotations/person_keypoints_train2017.json", "annotations/person_keypoints_val2017.json"),
    ),
    "mpii": Published(
        "http://human-pose.mpi-inf.mpg.de", "mpii_human_pose_v1_u12_2.zip: mpii:mpii_human_pose_v1_u12_1.mat"
    ),
    "lsp": Published("http://sam.johnson.io/research/lsp.html", "joints.mat of LSP or LSP Extended: lsp:joints.mat"),
    "penn": Published(
        "http://dreamdragon.github.io/PennAction", "Penn_Action.tar.gz, its folder labels: penn:Penn_Action"
    ),
    "h36m": Published(
        "http://vision.imar.ro/human3.6m", "by registration, D2 and D3 positions: h36m:FOLDER, h36m3d:FOLDER"
    ),
    "mpi_inf_3dhp": Published(
        "https://vcai.mpi-inf.mpg.de/3dhp-dataset", "annot.mat of S1 to S8, the test set: mpi_inf_3dhp:FOLDER"
    ),
    "surreal": Published(
        "https://www.di.ens.fr/willow/research/surreal/data", "by registration, *_info.mat: surreal:FOLDER"
    ),
    "300w": Published("https://ibug.doc.ic.ac.uk/resources/300-W", "the .pts files, research use only: pts:FOLDER"),
    "300vw": Published(
        "https://ibug.doc.ic.ac.uk/resources/300-VW", "by request, the annot folders: pts:300VW_Dataset_2015_12_14"
    ),
    "wflw": Published(
        "https://wywu.github.io/projects/LAB/WFLW.html",
        "WFLW_annotations.tar.gz, research use only: wflw:WFLW_annotations",
    ),
    "cmu": Published(
        "http://mocap.cs.cmu.edu", "motion as BVH (conversions are passed on elsewhere): bvh:FOLDER?cameras=fixed"
    ),
    "bandai": Published(
        "https://github.com/BandaiNamcoResearchInc/Bandai-Namco-Research-Motiondataset",
        "the folders of BVH files, CC BY-NC 4.0: bvh:FOLDER?cameras=random",
    ),
}


def where_to_get(name: str) -> str:
    """One line on a data set: its page, its files, and whether it can be fetched.

    Raises:
        ConfigError: an unknown name.
    """
    entry = _published(name)
    how = f"`flexpose fetch {name}` downloads {entry.size / 1e6:.0f} MB" if entry.url else "take them from its page"
    return f"{name}: {entry.page}; {entry.files}; {how}"


def fetch(name: str, folder: str | Path, on_progress: Callable[[int, int], None]) -> list[Path]:
    """Download a data set's archive, check it and unpack its annotations; what is there is not fetched again.

    Args:
        name: of a set that its publisher lets everybody download.
        folder: where files go. A download that was cut off lies there as ``*.part`` and is continued.
        on_progress: takes (megabytes there, in all).

    Returns:
        The files unpacked.

    Raises:
        ConfigError: an unknown name, or a set that people must ask for.
        DataError: no network, another file than was published, or no room.
    """
    entry, folder = _published(name), Path(folder)
    if not entry.url:
        raise ConfigError(name, "cannot be fetched: its publisher gives it on request", where_to_get(name))
    targets = [folder / member for member in entry.members]
    if all(target.is_file() for target in targets):
        return targets
    archive = folder / entry.url.rpartition("/")[2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not archive.is_file():
            _download(entry, archive, on_progress)
        with zipfile.ZipFile(archive) as packed:
            for member, target in zip(entry.members, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f"{target.name}.part")
                with packed.open(member) as source, open(part, "wb") as file:
                    while block := source.read(BLOCK):
                        file.write(block)
                part.replace(target)
    except (OSError, zipfile.BadZipFile, KeyError) as e:
        problem = f"cannot be fetched: {' '.join(str(e).split())[:160]}"
        raise DataError(entry.url, problem, f"run the command again, or put the file to {archive}") from e
    return targets


def _download(entry: Published, archive: Path, on_progress: Callable[[int, int], None]) -> None:
    """Fetch into ``*.part``, from where an earlier download ended, and name it once its checksum agrees."""
    part = archive.with_name(f"{archive.name}.part")
    there = part.stat().st_size if part.is_file() else 0
    if there < entry.size:
        request = urllib.request.Request(entry.url, headers={"Range": f"bytes={there}-"} if there else {})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            goes_on = there and answer.status == 206
            with open(part, "ab" if goes_on else "wb") as file:
                done = there if goes_on else 0
                while block := answer.read(BLOCK):
                    file.write(block)
                    done += len(block)
                    on_progress(done // 1_000_000, entry.size // 1_000_000)
    digest = hashlib.sha1(usedforsecurity=False)
    with open(part, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != entry.sha1:
        if part.stat().st_size >= entry.size:
            part.unlink()  # whole and wrong: it cannot be continued
        raise OSError(f"what came is not the published file (sha1 {digest.hexdigest()[:12]})")
    part.replace(archive)


def _published(name: str) -> Published:
    if name not in PUBLISHED:
        raise ConfigError("fetch", f"unknown data set {name!r}", f"choose one of {', '.join(sorted(PUBLISHED))}")
    return PUBLISHED[name]
