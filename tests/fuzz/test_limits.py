"""The limits of a process that reads are for the file: its libraries are imported before them."""

import pytest
from targets import TARGETS

from neurosparse._internal import limited_process

SERVE = """
import sys
from neurosparse._internal import limited_process
before = set()
limited_process._limit = lambda *limits: before.update(sys.modules)
limited_process.serve()
after = {name.partition(".")[0] for name in sys.modules.keys() - before}
print(*sorted(after - sys.stdlib_module_names), file=open(%r, "w"))
"""
# Neo is left out: its readers import their parsers when they need them
READ_APART = ("parquet", "mat", "mat 7.3", "sonata", "recording", "nir")


@pytest.mark.parametrize("name", READ_APART)
def test_no_library_is_imported_under_the_limits(name, tmp_path, monkeypatch):
    target, imported = TARGETS[name], tmp_path / "imported.txt"
    (tmp_path / "file").mkdir()
    path = tmp_path / "file" / target.file
    target.put(path, target.valid(path.parent))
    monkeypatch.setattr(limited_process, "_SERVE", SERVE % str(imported))
    target.read(path)
    assert imported.read_text().split() == []
