"""Annotations to pose sets: one reader for each format, and what they share.

``read.py`` takes ``KIND:PATH?OPTIONS`` to a reader in ``formats/``. A reader knows one format and nothing else: it
takes a file and returns the joints as the file has them, their names, where each pose stands in the file, and what it
could not read. ``form.py`` then maps joints onto a skeleton, finds gaps, drops and counts what cannot be used, and
crops the rest; ``film.py`` lets cameras see 3D motion; ``checks.py`` looks whether the result can be people.

To add a format:

1. Write ``formats/NAME.py`` (a data set: ``formats/published``; a tool: ``formats/tools``) with ``read_NAME(file:
   Path, OPTION="default") -> RawPoses``, or an iterator of them. State the format's joint map there if its joints are
   always the same; names that many use belong into ``known.py``. A 3D format returns ``Clip`` instead. A set of many
   files lists them in ``NAME_files(folder)``; its reader then takes ``root`` besides. A row that cannot be read goes
   into ``bad``; a file that cannot be read raises a DataError that names the file, what was found and what was
   expected.
2. Add its entry to ``FORMATS`` in ``formats/__init__.py``.
3. Test it in ``tests/sources/formats/test_NAME.py``: a file as the format's own tools write it, each joint by name,
   left and right, and damage of every kind.
"""
