"""A handler of the signal of Ctrl-C that asks loops of machine code to stop, as LLVM text.

    void handle(i32 signal, ptr, ptr)   notes the signal in a word, and calls the handler before it
    ptr find_word()                     that word, an i64
    ptr find_next()                     the pointer to the handler before it

Python's own handler only notes that a function of Python is to be called when machine code has come
back, which a loop without an end never does.
"""

from __future__ import annotations

HANDLER = ("handle", "find_word", "find_next")

TEXT = """
@word = internal global i64 0, align 8
@next = internal global ptr null, align 8

define void @handle(i32 %signal, ptr %information, ptr %context) nounwind {
start:
  store atomic i64 1, ptr @word seq_cst, align 8
  %next = load atomic ptr, ptr @next seq_cst, align 8
  %none = icmp eq ptr %next, null
  br i1 %none, label %done, label %call
call:
  call void %next(i32 %signal, ptr %information, ptr %context)
  br label %done
done:
  ret void
}

define ptr @find_word() nounwind {
start:
  ret ptr @word
}

define ptr @find_next() nounwind {
start:
  ret ptr @next
}
"""
