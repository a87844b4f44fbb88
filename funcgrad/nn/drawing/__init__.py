"""Drawings of networks and of traced functions, as DOT and SVG."""

from funcgrad.nn.drawing.draw import Drawing, draw
