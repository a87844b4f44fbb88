"""Conversions of half precision, for CPUs without instructions for them: LLVM calls these functions by their names."""

from __future__ import annotations

from funcgrad.compiler.llvm.loading.load import load_known, provide
from funcgrad.compiler.llvm.loading.machine_code import Source

PREFIXES = ("__extendhf", "__truncsfhf", "__truncdfhf")

# Floats are rounded to even: normal ones by adding to their bits, small ones by the addition of 0.5, which has the unit
# of the last place of small halves. Doubles become floats first, rounded to odd, so that they are rounded only once.
TEXT = """
define float @__extendhfsf2(half %x) nounwind {
  %half = bitcast half %x to i16
  %wide = zext i16 %half to i32
  %size = and i32 %wide, 32767
  %moved = shl i32 %size, 13
  %small = bitcast i32 %moved to float
  %scaled = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %scaled to i32
  %infinite = or i32 %moved, 2139095040
  %is_finite = icmp ult i32 %size, 31744
  %bits = select i1 %is_finite, i32 %finite, i32 %infinite
  %sign = and i32 %wide, 32768
  %high = shl i32 %sign, 16
  %signed = or i32 %bits, %high
  %result = bitcast i32 %signed to float
  ret float %result
}

define half @__truncsfhf2(float %x) nounwind {
  %bits = bitcast float %x to i32
  %size = and i32 %bits, 2147483647
  %kept = lshr i32 %size, 13
  %odd = and i32 %kept, 1
  %moved = add i32 %size, 3355447295
  %rounded = add i32 %moved, %odd
  %normal = lshr i32 %rounded, 13
  %number = bitcast i32 %size to float
  %sum = fadd float %number, 5.000000e-01
  %sum_bits = bitcast float %sum to i32
  %denormal = sub i32 %sum_bits, 1056964608
  %is_denormal = icmp ult i32 %size, 947912704
  %finite = select i1 %is_denormal, i32 %denormal, i32 %normal
  %is_finite = icmp ult i32 %size, 1199566848
  %large = select i1 %is_finite, i32 %finite, i32 31744
  %payload = and i32 %kept, 1023
  %nan = or i32 %payload, 32256
  %is_nan = icmp ugt i32 %size, 2139095040
  %found = select i1 %is_nan, i32 %nan, i32 %large
  %high = lshr i32 %bits, 16
  %sign = and i32 %high, 32768
  %signed = or i32 %found, %sign
  %half = trunc i32 %signed to i16
  %result = bitcast i16 %half to half
  ret half %result
}

define half @__truncdfhf2(double %x) nounwind {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %is_inexact = fcmp one double %back, %x
  %bits = bitcast float %near to i32
  %last = and i32 %bits, 1
  %is_even = icmp eq i32 %last, 0
  %moves = and i1 %is_inexact, %is_even
  %size = call double @llvm.fabs.f64(double %x)
  %near_size = call double @llvm.fabs.f64(double %back)
  %is_larger = fcmp ogt double %near_size, %size
  %step = select i1 %is_larger, i32 -1, i32 1
  %taken = select i1 %moves, i32 %step, i32 0
  %odd = add i32 %bits, %taken
  %number = bitcast i32 %odd to float
  %result = call half @__truncsfhf2(float %number)
  ret half %result
}
declare double @llvm.fabs.f64(double)
"""


def register() -> None:
    """Make these functions known to the loader."""
    for prefix in PREFIXES:
        provide(prefix, address)


def address(name: str) -> int:
    return load_known("conversions of halves", lambda: Source(TEXT)).address(name)
