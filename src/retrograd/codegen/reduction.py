"""x mod pi/2 for large x: exact integer arithmetic with the bits of 2/pi that x needs.

x = m 2^e with a whole m of 53 bits. Bits of 2/pi whose product with x is a multiple of 4 do not
matter; of the others 192 are taken, multiplied by m modulo 2^192, and what is left is a fraction of
four quarter turns with at least 120 bits that are right. No double comes closer than 2^-62 to a
multiple of pi/2, so r keeps its full precision.

Source: M. Payne and R. Hanek, "Radian reduction for trigonometric functions", 1983.
"""

from __future__ import annotations

from ..ir.types import float64, int64
from .terms import Term
from .vectors import Value

# The first 1216 bits of 2/pi after the point, 64 a word, with a word of zeros before them.
# Printed by `tools/fit_polynomials.py constants`, as are the pieces of pi/2 and log(2).
# fmt: off
TWO_OVER_PI_WORDS = (
    0x0000000000000000, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041,
    0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0, 0x06492EEA09D1921C, 0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4, 0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
)
# fmt: on

_NAME = "reduce_large"


def reduce_large(x: Term) -> tuple[Term, Term]:
    """r as float64 and n as int64, of which two bits count, for x of float64 with |x| >= 2^16.

    Lanes of 0 are passed over.
    """
    f, lanes = x.m.f, x.value.lanes
    f.intrinsics.add(_definition())
    f.intrinsics.add(_table())
    f.intrinsics.add("declare i64 @llvm.fshl.i64(i64, i64, i64)")
    f.intrinsics.add("declare i64 @llvm.ctlz.i64(i64, i1)")
    f.intrinsics.add("declare double @llvm.fma.f64(double, double, double)")
    r = f.reserve(f"[{lanes} x double]")
    n = f.reserve(f"[{lanes} x i64]")
    f.do(f"store {x.value.kind} {x.value.name}, ptr {r}, align 64")
    f.do(f"call void @{_NAME}(ptr {r}, ptr {n}, i64 {lanes})")
    r_kind = x.value.kind
    n_kind = r_kind.replace("double", "i64")
    r_name = f.emit(f"load {r_kind}, ptr {r}, align 64")
    n_name = f.emit(f"load {n_kind}, ptr {n}, align 64")
    return (
        Term(x.m, Value(r_name, float64, lanes)),
        Term(x.m, Value(n_name, int64, lanes)),
    )


def _table() -> str:
    words = ", ".join(f"i64 {_signed(word)}" for word in TWO_OVER_PI_WORDS)
    kind = f"[{len(TWO_OVER_PI_WORDS)} x i64]"
    return f"@two_over_pi = internal constant {kind} [{words}], align 64"


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _definition() -> str:
    """A function in LLVM, out of line: lanes of x in `%r` become r, n goes to `%n`.

    The position of the first bit taken is e - 2 + 64 = exponent - 1075 + 62. The top two bits of
    the product are n, rounded to nearest by carrying the third; the rest, signed, is r / (2 pi).
    Its size is shifted until its first bit is 1 and split into 53 and 11 bits, which times pi/2 in
    two pieces give r to its last bit.
    """
    return f"""\
define internal void @{_NAME}(ptr %r, ptr %n, i64 %lanes) noinline nounwind cold {{
start:
  br label %head
head:
  %lane = phi i64 [ 0, %start ], [ %next, %tail ]
  %place = getelementptr double, ptr %r, i64 %lane
  %bits = load i64, ptr %place, align 8
  %size = and i64 %bits, 9223372036854775807
  %nplace = getelementptr i64, ptr %n, i64 %lane
  store i64 0, ptr %nplace, align 8
  %skip = icmp eq i64 %size, 0
  br i1 %skip, label %tail, label %reduce
reduce:
  %exponent = lshr i64 %size, 52
  %fraction = and i64 %size, 4503599627370495
  %m = or i64 %fraction, 4503599627370496
  %position = add i64 %exponent, -1013
  %index = lshr i64 %position, 6
  %shift = and i64 %position, 63
  %p0 = getelementptr i64, ptr @two_over_pi, i64 %index
  %p1 = getelementptr i64, ptr %p0, i64 1
  %p2 = getelementptr i64, ptr %p0, i64 2
  %p3 = getelementptr i64, ptr %p0, i64 3
  %t0 = load i64, ptr %p0, align 8
  %t1 = load i64, ptr %p1, align 8
  %t2 = load i64, ptr %p2, align 8
  %t3 = load i64, ptr %p3, align 8
  %w0 = call i64 @llvm.fshl.i64(i64 %t0, i64 %t1, i64 %shift)
  %w1 = call i64 @llvm.fshl.i64(i64 %t1, i64 %t2, i64 %shift)
  %w2 = call i64 @llvm.fshl.i64(i64 %t2, i64 %t3, i64 %shift)
  %m128 = zext i64 %m to i128
  %w1wide = zext i64 %w1 to i128
  %w2wide = zext i64 %w2 to i128
  %high0 = mul i64 %m, %w0
  %high0wide = zext i64 %high0 to i128
  %high = shl i128 %high0wide, 64
  %middle = mul i128 %m128, %w1wide
  %low = mul i128 %m128, %w2wide
  %carry = lshr i128 %low, 64
  %sum = add i128 %high, %middle
  %turn = add i128 %sum, %carry
  %topwide = lshr i128 %turn, 64
  %top = trunc i128 %topwide to i64
  %rounded = add i64 %top, 2305843009213693952
  %count = lshr i64 %rounded, 62
  %whole64 = shl i64 %count, 62
  %wholewide = zext i64 %whole64 to i128
  %whole = shl i128 %wholewide, 64
  %rest = sub i128 %turn, %whole
  %under = icmp slt i128 %rest, 0
  %opposite = sub i128 0, %rest
  %length = select i1 %under, i128 %opposite, i128 %rest
  %lengthtop = lshr i128 %length, 64
  %l0 = trunc i128 %lengthtop to i64
  %l1 = trunc i128 %length to i64
  %zeros = call i64 @llvm.ctlz.i64(i64 %l0, i1 false)
  %empty = icmp eq i64 %l0, 0
  %zerosafe = select i1 %empty, i64 63, i64 %zeros
  %digits = call i64 @llvm.fshl.i64(i64 %l0, i64 %l1, i64 %zerosafe)
  %headbits = and i64 %digits, -2048
  %tailbits = and i64 %digits, 2047
  %headvalue = uitofp i64 %headbits to double
  %tailvalue = uitofp i64 %tailbits to double
  %scaleplace = sub i64 961, %zerosafe
  %scalebits = shl i64 %scaleplace, 52
  %scale = bitcast i64 %scalebits to double
  %a = fmul double %headvalue, %scale
  %b = fmul double %tailvalue, %scale
  %product = fmul double %a, 0x3FF921FB54442D18
  %minus = fneg double %product
  %lost = call double @llvm.fma.f64(double %a, double 0x3FF921FB54442D18, double %minus)
  %more = call double @llvm.fma.f64(double %b, double 0x3FF921FB54442D18, double %lost)
  %all = call double @llvm.fma.f64(double %a, double 0x3C91A62633145C07, double %more)
  %radians = fadd double %product, %all
  %turned = fneg double %radians
  %signed = select i1 %under, double %turned, double %radians
  %below = icmp slt i64 %bits, 0
  %mirrored = fneg double %signed
  %result = select i1 %below, double %mirrored, double %signed
  %backwards = sub i64 0, %count
  %quarter = select i1 %below, i64 %backwards, i64 %count
  store double %result, ptr %place, align 8
  store i64 %quarter, ptr %nplace, align 8
  br label %tail
tail:
  %next = add i64 %lane, 1
  %again = icmp ult i64 %next, %lanes
  br i1 %again, label %head, label %done
done:
  ret void
}}"""
