"""Pictures as people have them: right, or counted with the reason, and never a traceback."""

import io
import tarfile

import cv2
import numpy as np
import pytest
from PIL import Image

from flexpose_ray.errors import DataError, StorageError
from flexpose_ray.pictures.read import read_pictures

BRIGHT = (200, 120, 40)  # RGB


def encoded(height=20, width=10, suffix=".png", color=BRIGHT):
    picture = np.full((height, width, 3), color[::-1], np.uint8)
    return cv2.imencode(suffix, picture)[1].tobytes()


def by_pillow(kind: str, mode: str, frames: int = 1) -> bytes:
    """A picture as other tools write it; of several frames the later ones are black."""
    later = [Image.new("RGB", (9, 9))] * (frames - 1)
    more = {"save_all": True, "append_images": later} if later else {}
    made = Image.new("RGB", (9, 9), BRIGHT).convert(mode, palette=Image.Palette.ADAPTIVE)
    made.save(data := io.BytesIO(), kind, **more)
    return data.getvalue()


def folder_of(tmp_path, files):
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(tmp_path)


def middle(found, row=0):
    return found.pictures_N3SS[row][:, 16, 16].tolist()


def test_a_folder_is_read_in_order_and_its_folders_are_clips(tmp_path):
    files = {"b/2.png": encoded(), "b/1.jpg": encoded(suffix=".jpg"), "alone.png": encoded(), "notes.txt": b"hello"}
    found = read_pictures(folder_of(tmp_path, files), 32)
    assert found.name_N.tolist() == ["alone.png", "b/1.jpg", "b/2.png"]
    assert found.clip_N.tolist() == ["alone.png", "b", "b"]
    assert found.pictures_N3SS.shape == (3, 3, 32, 32) and found.pictures_N3SS[0].dtype == np.uint8
    np.testing.assert_allclose([middle(found, row) for row in range(3)], [BRIGHT] * 3, atol=4)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("grey.png", cv2.imencode(".png", np.full((9, 9), 90, np.uint8))[1].tobytes(), [90, 90, 90]),
        ("deep.png", cv2.imencode(".png", np.full((9, 9, 3), 90 * 257, np.uint16))[1].tobytes(), [90, 90, 90]),
        ("alpha.png", cv2.imencode(".png", np.full((9, 9, 4), (40, 120, 200, 9), np.uint8))[1].tobytes(), BRIGHT),
        ("one.png", encoded(1, 1), BRIGHT),
        ("cmyk.jpg", by_pillow("JPEG", "CMYK"), BRIGHT),
        ("palette.png", by_pillow("PNG", "P"), BRIGHT),
        ("moves.gif", by_pillow("GIF", "RGB", frames=3), BRIGHT),
        ("moves.webp", by_pillow("WEBP", "RGB", frames=3), BRIGHT),
        ("pages.tif", by_pillow("TIFF", "RGB", frames=3), BRIGHT),
        ("wide.png", encoded(8, 20_000), BRIGHT),
        ("really_png.jpg", encoded(), BRIGHT),
        ("UPPER.PNG", encoded(), BRIGHT),
    ],
)
def test_unusual_pictures_are_read_right(tmp_path, name, data, wanted):
    found = read_pictures(folder_of(tmp_path, {name: data}), 32)
    np.testing.assert_allclose(found.pictures_N3SS[0].max((1, 2)), wanted, atol=3)
    assert not found.bad


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello", "no picture"),
        (encoded(90, 90, ".jpg")[:-400], "cut off"),
        (encoded(90, 90)[:-9], "cut off"),
        (b"\x89PNG\r\n\x1a\n" + b"IEND" * 30, "damaged"),
        (encoded(90, 90).replace(b"IDAT", b"IDAX"), "damaged"),
        (encoded(90, 90)[:70] + b"?" + encoded(90, 90)[71:], "damaged"),
        (encoded(90, 90, ".tiff")[:400], "no picture"),
        (b"GIF89a" + b"?" * 100, "no picture"),
        (b"BM" + b"?" * 100, "no picture"),
    ],
)
def test_a_broken_picture_is_counted_and_too_many_are_refused(tmp_path, capfd, data, why):
    where = folder_of(tmp_path, {"a.png": encoded(), "b.jpg": data})
    found = read_pictures(where, 32, max_bad=0.5)
    assert found.bad == [("b.jpg", why)] and found.name_N.tolist() == ["a.png"]
    assert capfd.readouterr() == ("", "")  # neither OpenCV nor libpng says it a second time
    with pytest.raises(DataError, match=rf"1 of 2 pictures cannot be read: b\.jpg: {why} .*--max-bad 0\.5"):
        read_pictures(where, 32)


def test_masks_leave_only_the_subject(tmp_path):
    mask = np.zeros((20, 10), np.uint8)
    mask[5:15] = 255
    masks = folder_of(tmp_path / "masks", {"a/1.png": cv2.imencode(".png", mask)[1].tobytes()})
    pictures = folder_of(tmp_path / "pictures", {"a/1.jpg": encoded(suffix=".jpg"), "a/2.jpg": encoded(suffix=".jpg")})
    found = read_pictures(pictures, 32, masks, max_bad=0.5)
    np.testing.assert_allclose(middle(found), BRIGHT, atol=4)
    assert not found.pictures_N3SS[0][:, :7].any()
    assert found.bad == [("a/2.jpg", f"no mask in {masks}")]
    small = folder_of(tmp_path / "small", {"a/1.png": encoded(5, 5), "a/2.png": encoded()})
    assert read_pictures(pictures, 32, small, max_bad=0.5).bad == [("a/1.jpg", "its mask is 5x5")]
    with pytest.raises(DataError, match="no masks"):
        read_pictures(pictures, 32, str(tmp_path / "none"))


def test_a_tar_file_is_read_as_its_folders(tmp_path):
    path = tmp_path / "pictures.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("b/2.png", "a.png", "b/1.png", "b/1.json"):
            info = tarfile.TarInfo(name)
            info.size = len(encoded())
            tar.addfile(info, io.BytesIO(encoded()))
    found = read_pictures(str(path), 32)
    assert found.name_N.tolist() == ["a.png", "b/1.png", "b/2.png"]
    assert found.clip_N.tolist() == ["a.png", "b", "b"]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"pictures\.tar: (not a whole tar file|no pictures)"):
        read_pictures(str(path), 32)


def test_a_video_is_one_clip(tmp_path):
    path = str(tmp_path / "one.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 32))
    for value in (50, 100, 150):
        writer.write(np.full((32, 64, 3), value, np.uint8))
    writer.release()
    found = read_pictures(path, 32)
    assert found.clip_N.tolist() == ["one.avi"] * 3 and found.name_N[2] == "one.avi frame 3"
    np.testing.assert_allclose([middle(found, row)[0] for row in range(3)], [50, 100, 150], atol=4)
    (tmp_path / "no.mp4").write_bytes(b"hello")
    with pytest.raises(DataError, match="no frame of this video"):
        read_pictures(str(tmp_path / "no.mp4"), 32)
    with pytest.raises(StorageError, match="no such video"):
        read_pictures(str(tmp_path / "other.mp4"), 32)


def test_the_studio_s_pictures():
    found = read_pictures("synthetic:studio?count=20&backdrop=no&size=128", 32)  # the reader's size counts
    assert found.pictures_N3SS.shape == (20, 3, 32, 32) and len(set(found.clip_N)) == 2
    assert (found.pictures_N3SS[:][:, :, 0, 0] == 0).all()


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no pictures.*\.jpg, \.jpeg, \.png"):
        read_pictures(folder_of(tmp_path, {"notes.txt": b"hello"}), 32)
