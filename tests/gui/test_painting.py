"""A painter ends with its painting, whoever holds it: Qt would paint the next time with what is gone."""

import pytest
from qtpy.QtGui import QImage

from napari_ne_denoise.gui.base.painting import painting


@pytest.mark.parametrize("fails", [False, True])
def test_a_painter_that_somebody_holds_has_ended(qapp, fails):
    held = []
    try:
        with painting(QImage(8, 8, QImage.Format.Format_RGB32)) as painter:
            held.append(painter)
            assert painter.isActive()
            if fails:
                raise ValueError("an error in the middle of it")
    except ValueError:
        assert fails
    assert not held[0].isActive()
