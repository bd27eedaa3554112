"""Annotations to pose sets: one reader for each format, and what they share.

``read.py`` takes ``KIND:PATH`` to a reader in ``formats/``. A reader knows one format and nothing else: it takes a
path and returns the joints as the file has them, their names, and where each pose stands in the file. ``raw.py`` then
maps joints onto a skeleton, drops and counts what cannot be used, and crops the rest; ``film.py`` lets cameras see 3D
motion.

To add a format:

1. Write ``formats/NAME.py`` with ``read_NAME(path: Path) -> RawPoses``. State the format's joint map there if its
   joints are always the same. A 3D format returns an iterator of ``Clip`` instead. Damaged input raises a DataError
   that names the file, the line or key, what was found and what was expected.
2. Add its line to ``FORMATS`` in ``read.py``.
3. Test it in ``tests/sources/formats/test_NAME.py``: a file as the format's own tools write it, every way to damage
   one, and left and right.
"""
