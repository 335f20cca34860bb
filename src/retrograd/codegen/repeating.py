"""Loops around inner programs, and programs that run or not, as LLVM text."""

from __future__ import annotations

from .table import ASK, FAIL, ROOT_TABLE, STATUS, STOP, cut_share, load_words

THREADS = ", i64 %thread, i64 %threads, ptr %team"

LOOP = f"""
; Words: the first record, the steps, whether they are walked backwards, the words of the inner
; table, the number of moving pointers, that of carried values, that of pieces; for each moving
; pointer its slot in the inner table, the pointer, the bytes that it moves in a step, and from
; piece to piece; for each carried value its slots in the inner table (read, written), the pointers
; to its first value, to its last one, and to two places between which it goes, and the bytes that
; the first two move from piece to piece, and the others.
define internal void @NAME(ptr %table, ptr %words, i64 %pieceMORE) nounwind noinline {{
start:
  %code = load ptr, ptr %words
{load_words(length=1, reverse=2, size=3, moving=4, carried=5)}
  %movers = getelementptr i64, ptr %words, i64 7
  %skipped = mul i64 %moving, 5
  %carriers = getelementptr i64, ptr %movers, i64 %skipped
  %last = sub i64 %length, 1
  %own = alloca ptr, i64 %size, align 16
  call void @open_table(ptr %own, ptr %table)
  %own.status = getelementptr i64, ptr %own, i64 {STATUS}
{ROOT_TABLE}
  br label %step
step:
  %number = phi i64 [ 0, %start ], [ %number.next, %fine ]
  %backwards = sub i64 %last, %number
  %back = icmp ne i64 %reverse, 0
  %at = select i1 %back, i64 %backwards, i64 %number
  %odd = trunc i64 %number to i1
  %begins = icmp eq i64 %number, 0
  %ends = icmp eq i64 %number, %last
  br label %move
move:
  %m = phi i64 [ 0, %step ], [ %m.next, %move.one ]
  %m.more = icmp ult i64 %m, %moving
  br i1 %m.more, label %move.one, label %carry
move.one:
  %m.start = mul i64 %m, 5
  %mover = getelementptr i64, ptr %movers, i64 %m.start
  %m.slot = load i64, ptr %mover
  %m.base = call ptr @find(ptr %table, ptr %mover, i64 1)
  %m.stride.place = getelementptr i64, ptr %mover, i64 3
  %m.stride = load i64, ptr %m.stride.place
  %m.piece.place = getelementptr i64, ptr %mover, i64 4
  %m.piece = load i64, ptr %m.piece.place
  %m.first = mul i64 %piece, %m.piece
  %m.moved = mul i64 %at, %m.stride
  %m.offset = add i64 %m.first, %m.moved
  %m.pointer = getelementptr i8, ptr %m.base, i64 %m.offset
  %m.place = getelementptr i8, ptr %own, i64 %m.slot
  store ptr %m.pointer, ptr %m.place
  %m.next = add i64 %m, 1
  br label %move
carry:
  %c = phi i64 [ 0, %move ], [ %c.next, %carry.one ]
  %c.more = icmp ult i64 %c, %carried
  br i1 %c.more, label %carry.one, label %call
carry.one:
  %c.start = mul i64 %c, 12
  %carrier = getelementptr i64, ptr %carriers, i64 %c.start
  %c.read = load i64, ptr %carrier
  %c.write.place = getelementptr i64, ptr %carrier, i64 1
  %c.write = load i64, ptr %c.write.place
  %c.piece.place = getelementptr i64, ptr %carrier, i64 10
  %c.piece = load i64, ptr %c.piece.place
  %c.outside = mul i64 %piece, %c.piece
  %c.room.place = getelementptr i64, ptr %carrier, i64 11
  %c.room = load i64, ptr %c.room.place
  %c.inside = mul i64 %piece, %c.room
  %c.first.whole = call ptr @find(ptr %table, ptr %carrier, i64 2)
  %c.last.whole = call ptr @find(ptr %table, ptr %carrier, i64 4)
  %c.near.whole = call ptr @find(ptr %table, ptr %carrier, i64 6)
  %c.far.whole = call ptr @find(ptr %table, ptr %carrier, i64 8)
  %c.first = getelementptr i8, ptr %c.first.whole, i64 %c.outside
  %c.last = getelementptr i8, ptr %c.last.whole, i64 %c.outside
  %c.near = getelementptr i8, ptr %c.near.whole, i64 %c.inside
  %c.far = getelementptr i8, ptr %c.far.whole, i64 %c.inside
  %c.before = select i1 %odd, ptr %c.near, ptr %c.far
  %c.after = select i1 %odd, ptr %c.far, ptr %c.near
  %c.source = select i1 %begins, ptr %c.first, ptr %c.before
  %c.target = select i1 %ends, ptr %c.last, ptr %c.after
  %c.source.place = getelementptr i8, ptr %own, i64 %c.read
  store ptr %c.source, ptr %c.source.place
  %c.target.place = getelementptr i8, ptr %own, i64 %c.write
  store ptr %c.target, ptr %c.target.place
  %c.next = add i64 %c, 1
  br label %carry
call:
CALL
fine:
  %number.next = add i64 %number, 1
  %again = icmp ult i64 %number.next, %length
  br i1 %again, label %step, label %done
{FAIL}
"""

RUN = f"""{ASK}
  br i1 %stops, label %halt, label %run
run:
  call void @run(ptr %own, ptr %code)
  %status = load i64, ptr %own.status
  %failed = icmp ne i64 %status, 0"""
GO_ON = "\n  br i1 %failed, label %fail, label %fine"

PIECE = LOOP.replace("NAME", "repeat_piece").replace("MORE", "").replace("CALL", RUN + GO_ON)
"""All steps of a piece, by one thread."""

RUN_TOGETHER = f"""  ; All threads stop after the same step: the first one tells them before
  ; they meet at its end. Two words take turns, so that none is written before all have read it.
  %turn = and i64 %number, 1
  %word.number = add i64 %turn, {STOP + 1}
  %word = getelementptr i64, ptr %root, i64 %word.number
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %ask, label %run
ask:
{ASK}
  br i1 %stops, label %tell, label %run
tell:
  store i64 1, ptr %word
  br label %run
run:
  %status = call i64 @run_shared(
    ptr %own, ptr %code, i64 %thread, i64 %threads, ptr %team
  )
  %failed = icmp ne i64 %status, 0
  br i1 %failed, label %fail, label %look
look:
  %told = load i64, ptr %word
  %stopped = icmp ne i64 %told, 0
  br i1 %stopped, label %halt, label %fine"""

ALL = LOOP.replace("NAME", "repeat_all").replace("MORE", THREADS).replace("CALL", RUN_TOGETHER)
"""All steps, by all threads together; each thread has an inner table, with the same pointers."""

PIECES = f"""
define void @repeat(ptr %table, ptr %words) nounwind {{
start:
  call void @repeat_shared(ptr %table, ptr %words, i64 0, i64 1, ptr null)
  ret void
}}

define void @repeat_shared(ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team) nounwind {{
start:
{load_words(count=6)}
{cut_share("%count")}
  br label %next
next:
  %piece = phi i64 [ %begin, %start ], [ %piece.next, %work ]
  %more = icmp ult i64 %piece, %end
  br i1 %more, label %work, label %done
work:
  call void @repeat_piece(ptr %table, ptr %words, i64 %piece)
  %piece.next = add i64 %piece, 1
  br label %next
done:
  ret void
}}
"""

TOGETHER = """
define void @repeat_together(
  ptr %table, ptr %words, i64 %thread, i64 %threads, ptr %team
) nounwind {
start:
  call void @repeat_all(
    ptr %table, ptr %words, i64 0, i64 %thread, i64 %threads, ptr %team
  )
  ret void
}
"""

OPEN = f"""
; Words: the first record, the words of the inner table, the number of pointers that stay, that of
; carried values; for each pointer that stays its slot in the inner table, and the pointer; for
; each carried value its slots in the inner table (read, written), the pointers to its first value,
; to where its last one is wanted, to two places between which it goes, and its bytes. The first
; carried value is the bool that says whether there is another step.
define void @repeat_open(ptr %table, ptr %words) nounwind {{
start:
  %code = load ptr, ptr %words
{load_words(size=1, fixed=2, carried=3)}
  %stayers = getelementptr i64, ptr %words, i64 4
  %skipped = mul i64 %fixed, 3
  %carriers = getelementptr i64, ptr %stayers, i64 %skipped
  %own = alloca ptr, i64 %size, align 16
  call void @open_table(ptr %own, ptr %table)
  %own.status = getelementptr i64, ptr %own, i64 {STATUS}
{ROOT_TABLE}
  %flag.slot = load i64, ptr %carriers
  %flag.place = getelementptr i8, ptr %own, i64 %flag.slot
  br label %stay
stay:
  %s = phi i64 [ 0, %start ], [ %s.next, %stay.one ]
  %s.more = icmp ult i64 %s, %fixed
  br i1 %s.more, label %stay.one, label %step
stay.one:
  %s.start = mul i64 %s, 3
  %stayer = getelementptr i64, ptr %stayers, i64 %s.start
  %s.slot = load i64, ptr %stayer
  %s.pointer = call ptr @find(ptr %table, ptr %stayer, i64 1)
  %s.place = getelementptr i8, ptr %own, i64 %s.slot
  store ptr %s.pointer, ptr %s.place
  %s.next = add i64 %s, 1
  br label %stay
step:
  %number = phi i64 [ 0, %stay ], [ %number.next, %fine ]
  %odd = trunc i64 %number to i1
  %begins = icmp eq i64 %number, 0
  br label %carry
carry:
  %c = phi i64 [ 0, %step ], [ %c.next, %carry.one ]
  %c.more = icmp ult i64 %c, %carried
  br i1 %c.more, label %carry.one, label %look
carry.one:
  %c.start = mul i64 %c, 11
  %carrier = getelementptr i64, ptr %carriers, i64 %c.start
  %c.read = load i64, ptr %carrier
  %c.write.place = getelementptr i64, ptr %carrier, i64 1
  %c.write = load i64, ptr %c.write.place
  %c.first = call ptr @find(ptr %table, ptr %carrier, i64 2)
  %c.near = call ptr @find(ptr %table, ptr %carrier, i64 6)
  %c.far = call ptr @find(ptr %table, ptr %carrier, i64 8)
  %c.before = select i1 %odd, ptr %c.near, ptr %c.far
  %c.after = select i1 %odd, ptr %c.far, ptr %c.near
  %c.source = select i1 %begins, ptr %c.first, ptr %c.before
  %c.source.place = getelementptr i8, ptr %own, i64 %c.read
  store ptr %c.source, ptr %c.source.place
  %c.target.place = getelementptr i8, ptr %own, i64 %c.write
  store ptr %c.after, ptr %c.target.place
  %c.next = add i64 %c, 1
  br label %carry
look:
  %flag.pointer = load ptr, ptr %flag.place
  %flag = load i8, ptr %flag.pointer
  %on = icmp ne i8 %flag, 0
  br i1 %on, label %call, label %give
call:
{RUN}{GO_ON}
fine:
  %number.next = add i64 %number, 1
  br label %step
give:
  %g = phi i64 [ 0, %look ], [ %g.next, %give.one ]
  %g.more = icmp ult i64 %g, %carried
  br i1 %g.more, label %give.one, label %done
give.one:
  %g.start = mul i64 %g, 11
  %giver = getelementptr i64, ptr %carriers, i64 %g.start
  %g.read = load i64, ptr %giver
  %g.source.place = getelementptr i8, ptr %own, i64 %g.read
  %g.source = load ptr, ptr %g.source.place
  %g.target = call ptr @find(ptr %table, ptr %giver, i64 4)
  %g.bytes.place = getelementptr i64, ptr %giver, i64 10
  %g.bytes = load i64, ptr %g.bytes.place
  call void @llvm.memcpy.p0.p0.i64(ptr %g.target, ptr %g.source, i64 %g.bytes, i1 false)
  %g.next = add i64 %g, 1
  br label %give
{FAIL}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

WHEN = """
; Words: a pointer to a bool, the value that it must have, a function and its words.
define void @NAME(ptr %table, ptr %wordsMORE) nounwind {
start:
  %place = call ptr @find(ptr %table, ptr %words, i64 0)
  %byte = load i8, ptr %place
  %is = icmp ne i8 %byte, 0
  %expected.place = getelementptr i64, ptr %words, i64 2
  %expected.word = load i64, ptr %expected.place
  %expected = icmp ne i64 %expected.word, 0
  %met = icmp eq i1 %is, %expected
  br i1 %met, label %work, label %done
work:
  %function.place = getelementptr i64, ptr %words, i64 3
  %function = load ptr, ptr %function.place
  %own = getelementptr i64, ptr %words, i64 4
  call void %function(ptr %table, ptr %ownMORE)
  br label %done
done:
  ret void
}
"""

CONDITIONS = WHEN.replace("NAME", "when").replace("MORE", "")
CONDITIONS += WHEN.replace("NAME", "when_shared").replace("MORE", THREADS)

REPEAT = "\n".join((PIECE, PIECES, ALL, TOGETHER, OPEN, CONDITIONS))
