"""Fields that behave: the wheel scrolls the dock and changes nothing, long texts are cut in their middle, and none widens the dock."""

from collections.abc import Iterable
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QSizePolicy, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

LETTERS = 8  # as wide as so many letters at least
MARGIN = 4  # pixels between a text and what is right of it


def tame_box(box: QComboBox, cut: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
    """Let a box ignore the wheel, shrink, and cut long texts."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(LETTERS)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    view = box.view()
    assert view is not None
    view.setTextElideMode(cut)
    box.installEventFilter(_Painter(box, cut))
    ignore_wheel(box)


def ignore_wheel(widget: QWidget) -> None:
    """Let the wheel scroll what is around a field: who scrolls past it must not change it unseen."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # else it takes the focus when the wheel turns
    widget.installEventFilter(_WheelGuard(widget))


def choice_box(name: str, label: str, tooltip: str) -> ComboBox:
    """A box without choices, until `offer` gives it some."""
    box = ComboBox(name=name, label=label, choices=[], nullable=False, tooltip=tooltip)
    tame_box(box.native)
    return box


def offer(box: ComboBox, choices: Iterable[tuple[str, Any, str]]) -> None:
    """Offer these texts with their values and explanations, in this order; the value stays if it is among them, else the first is taken."""
    before, choices = box.value, list(choices)
    pairs = [(text, value) for text, value, _ in choices]
    with box.changed.blocked():
        box.choices = []  # magicgui would keep the order of those that stay
        box.choices = lambda _: pairs  # and would forget a list, when it resets the box
        for number, (_, _, explanation) in enumerate(choices):
            box.native.setItemData(number, explanation, Qt.ItemDataRole.ToolTipRole)
        if before in box.choices:
            box.value = before


class _WheelGuard(QObject):
    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()  # Qt then offers it to the parent
            return True
        return False


class _Painter(QObject):
    """Paints a closed box as Qt does, but says where a text was cut."""

    def __init__(self, box: QComboBox, cut: Qt.TextElideMode) -> None:
        super().__init__(box)
        self._cut = cut

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not (isinstance(event, QPaintEvent) and isinstance(watched, QComboBox)):
            return False
        option = QStyleOptionComboBox()
        watched.initStyleOption(option)
        style = watched.style()
        assert style is not None
        field = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, watched)
        room = field.width() - MARGIN
        option.currentText = watched.fontMetrics().elidedText(option.currentText, self._cut, room)
        painter = QStylePainter(watched)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        return True
