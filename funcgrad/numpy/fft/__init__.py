"""`numpy.fft`: discrete Fourier transforms, their frequencies, and shifts of the spectrum."""

from funcgrad.numpy.fft.frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from funcgrad.numpy.fft.one_axis import fft, hfft, ifft, ihfft, irfft, rfft
from funcgrad.numpy.fft.several_axes import (
    fft2,
    fftn,
    ifft2,
    ifftn,
    irfft2,
    irfftn,
    rfft2,
    rfftn,
)
