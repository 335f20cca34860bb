"""LLVM text of a team of threads: workers that wait for jobs, and barriers inside a job.

The functions of the module that `write_team` gives:

    i64 run_job(ptr team, ptr function, ptr table)   the calling thread is thread 0
    i64 work(ptr team, i64 thread)                   a worker's life: it never returns
    void barrier(ptr team, i64 thread, i64 threads)  steps call it through a pointer in the team
    i64 size(i64 threads)                            the bytes of a team, to be zero
    i64 prepare(ptr team, i64 threads, i64 spins, i64 yields)
    i64 count_workers(ptr team)

A waiting thread spins, then yields its core, then sleeps on a condition variable. Whoever writes
what others wait for looks whether anyone sleeps, and only then makes a system call.

The barrier is a dissemination barrier (D. Hensgen, R. Finkel, U. Manber: Two algorithms for barrier
synchronization, 1988): in round k a thread writes its own word k and waits for that of the thread
2^k before it. Two threads need one round, and no word is written by two threads.
"""

from __future__ import annotations

from functools import lru_cache

# The team: bytes of memory that all its threads share. What is written at different times lies on
# different pairs of cache lines, since processors fetch lines in pairs.
JOB, FUNCTION, TABLE = 0, 8, 16  # the job's number is written last
BUSY, PRESENT = 128, 136  # a job is under way; the workers that have arrived
THREADS, SPINS, YIELDS, BARRIER = 256, 264, 272, 280  # constants; the address of `barrier`
SLEEPERS = 384
MUTEX, CONDITION = 512, 640  # of pthread: at most 64 bytes each on Linux and macOS
PLACES = 768  # then, for each thread:
PLACE_BYTES = 128
CLAIMED, EPOCH, RESULT, DONE, ROUNDS = 0, 8, 16, 24, 64  # eight rounds: up to config.MOST_THREADS


@lru_cache
def write_team(triple: str) -> str:
    """The module of a team, as above. It needs sched_yield and pthread from the process.

    Args:
        triple: LLVM's name of the platform.
    """
    intel = triple.startswith(("x86_64", "i686", "i386"))
    arm = triple.startswith(("aarch64", "arm64"))
    if intel:
        pause = "call void @llvm.x86.sse2.pause()"
        declared = (
            "declare void @llvm.x86.sse2.pause()\n"
            "declare void @llvm.x86.sse.ldmxcsr(ptr)\n"
            "declare void @llvm.x86.sse.stmxcsr(ptr)\n"
        )
    elif arm:
        # `yield` does nothing on most of these processors; an instruction barrier rests a while.
        pause = "call void @llvm.aarch64.isb(i32 15)"
        declared = "declare void @llvm.aarch64.isb(i32)\n"
    else:
        pause, declared = "fence acquire", ""
    # Denormals kept, round to nearest, no traps. A thread inherits the word of its maker, and some
    # libraries change it when they are loaded. On other processors nothing does.
    default = "call void @llvm.x86.sse.ldmxcsr(ptr @control)" if intel else ""
    saved = "call void @llvm.x86.sse.stmxcsr(ptr %word)" if intel else ""
    restored = "call void @llvm.x86.sse.ldmxcsr(ptr %word)" if intel else ""
    functions = (
        WAIT.replace("PAUSE", pause),
        POST,
        BARRIER_TEXT,
        WORK.replace("SET_CONTROL", default),
        RUN_JOB.replace("SAVE_CONTROL", saved)
        .replace("SET_CONTROL", default)
        .replace("RESTORE_CONTROL", restored),
        PREPARE,
    )
    return "\n".join(functions) + declared


WAIT = f"""
@control = internal constant i32 8064, align 4

declare i32 @sched_yield()
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)

; Until the word, which only grows, has reached the value.
define internal void @wait(ptr %team, ptr %word, i64 %value) nounwind {{
start:
  %first = load atomic i64, ptr %word acquire, align 8
  %there = icmp uge i64 %first, %value
  br i1 %there, label %done, label %begin
begin:
  %spins.place = getelementptr i8, ptr %team, i64 {SPINS}
  %spins = load i64, ptr %spins.place
  %yields.place = getelementptr i8, ptr %team, i64 {YIELDS}
  %yields = load i64, ptr %yields.place
  br label %spin
spin:
  %spun = phi i64 [ 0, %begin ], [ %spun.next, %spin.again ]
  PAUSE
  %spin.now = load atomic i64, ptr %word acquire, align 8
  %spin.there = icmp uge i64 %spin.now, %value
  br i1 %spin.there, label %done, label %spin.again
spin.again:
  %spun.next = add nuw i64 %spun, 1
  %spin.more = icmp ult i64 %spun.next, %spins
  br i1 %spin.more, label %spin, label %yield
yield:
  %yielded = phi i64 [ 0, %spin.again ], [ %yielded.next, %yield.again ]
  %ignored = call i32 @sched_yield()
  %yield.now = load atomic i64, ptr %word acquire, align 8
  %yield.there = icmp uge i64 %yield.now, %value
  br i1 %yield.there, label %done, label %yield.again
yield.again:
  %yielded.next = add nuw i64 %yielded, 1
  %yield.more = icmp ult i64 %yielded.next, %yields
  br i1 %yield.more, label %yield, label %rest
rest:
  ; The order matters: first be counted, then look again. Whoever writes the word afterwards finds
  ; the sleeper counted; whoever wrote it before has written what is seen here.
  %sleepers = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %more = atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %look
look:
  %look.now = load atomic i64, ptr %word seq_cst, align 8
  %look.there = icmp uge i64 %look.now, %value
  br i1 %look.there, label %wake, label %sleep
sleep:
  %slept = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %look
wake:
  %fewer = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}
"""

POST = f"""
; Write the word that others wait for.
define internal void @post(ptr %team, ptr %word, i64 %value) nounwind {{
start:
  store atomic i64 %value, ptr %word seq_cst, align 8
  %place = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %sleepers = load atomic i64, ptr %place seq_cst, align 8
  %awake = icmp eq i64 %sleepers, 0
  br i1 %awake, label %done, label %wake
wake:
  ; With the lock held once, every counted sleeper either waits on the condition or will look.
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  %told = call i32 @pthread_cond_broadcast(ptr %condition)
  br label %done
done:
  ret void
}}
"""

BARRIER_TEXT = f"""
define void @barrier(ptr %team, i64 %thread, i64 %threads) nounwind {{
start:
  ; A job that runs alone may do so while thread 0 of the team is at work: leave its place alone.
  %alone = icmp ule i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %places = getelementptr i8, ptr %team, i64 {PLACES}
  %offset = mul nuw nsw i64 %thread, {PLACE_BYTES}
  %place = getelementptr i8, ptr %places, i64 %offset
  %epoch.place = getelementptr i8, ptr %place, i64 {EPOCH}
  %before = load i64, ptr %epoch.place
  %epoch = add nuw i64 %before, 1
  store i64 %epoch, ptr %epoch.place
  br label %round
round:
  %distance = phi i64 [ 1, %arrive ], [ %farther, %round ]
  %word = phi i64 [ {ROUNDS}, %arrive ], [ %next.word, %round ]
  %own = getelementptr i8, ptr %place, i64 %word
  call void @post(ptr %team, ptr %own, i64 %epoch)
  %below = icmp ult i64 %thread, %distance
  %lower = sub i64 %thread, %distance
  %wrapped = add i64 %lower, %threads
  %partner = select i1 %below, i64 %wrapped, i64 %lower
  %partner.offset = mul nuw nsw i64 %partner, {PLACE_BYTES}
  %partner.place = getelementptr i8, ptr %places, i64 %partner.offset
  %theirs = getelementptr i8, ptr %partner.place, i64 %word
  call void @wait(ptr %team, ptr %theirs, i64 %epoch)
  %farther = shl nuw i64 %distance, 1
  %next.word = add nuw i64 %word, 8
  %more = icmp ult i64 %farther, %threads
  br i1 %more, label %round, label %done
done:
  ret void
}}
"""

WORK = f"""
define i64 @work(ptr %team, i64 %thread) nounwind {{
start:
  SET_CONTROL
  %places = getelementptr i8, ptr %team, i64 {PLACES}
  %offset = mul nuw nsw i64 %thread, {PLACE_BYTES}
  %place = getelementptr i8, ptr %places, i64 %offset
  %claimed = getelementptr i8, ptr %place, i64 {CLAIMED}
  %epoch.place = getelementptr i8, ptr %place, i64 {EPOCH}
  %result.place = getelementptr i8, ptr %place, i64 {RESULT}
  %done.place = getelementptr i8, ptr %place, i64 {DONE}
  %job.place = getelementptr i8, ptr %team, i64 {JOB}
  %function.place = getelementptr i8, ptr %team, i64 {FUNCTION}
  %table.place = getelementptr i8, ptr %team, i64 {TABLE}
  %threads.place = getelementptr i8, ptr %team, i64 {THREADS}
  %present.place = getelementptr i8, ptr %team, i64 {PRESENT}
  %threads = load i64, ptr %threads.place
  ; A start that was interrupted may be tried again: a place has one worker.
  %taken = atomicrmw xchg ptr %claimed, i64 1 acq_rel
  %free = icmp eq i64 %taken, 0
  br i1 %free, label %arrive, label %leave
arrive:
  ; No job is posted before all are present, so that the first one is number 1 for everybody.
  %others = atomicrmw add ptr %present.place, i64 1 acq_rel
  br label %next
next:
  %job = phi i64 [ 1, %arrive ], [ %job.next, %next ]
  call void @wait(ptr %team, ptr %job.place, i64 %job)
  %function = load ptr, ptr %function.place
  %table = load ptr, ptr %table.place
  %epoch = shl i64 %job, 32
  store i64 %epoch, ptr %epoch.place
  %result = call i64 %function(ptr %table, i64 %thread, i64 %threads, ptr %team)
  store i64 %result, ptr %result.place
  call void @post(ptr %team, ptr %done.place, i64 %job)
  %job.next = add nuw i64 %job, 1
  br label %next
leave:
  ret i64 1
}}
"""

RUN_JOB = f"""
define i64 @run_job(ptr %team, ptr %function, ptr %table) nounwind {{
start:
  %word = alloca i32, align 4
  SAVE_CONTROL
  SET_CONTROL
  %places = getelementptr i8, ptr %team, i64 {PLACES}
  %epoch.place = getelementptr i8, ptr %places, i64 {EPOCH}
  %job.place = getelementptr i8, ptr %team, i64 {JOB}
  %function.place = getelementptr i8, ptr %team, i64 {FUNCTION}
  %table.place = getelementptr i8, ptr %team, i64 {TABLE}
  %busy.place = getelementptr i8, ptr %team, i64 {BUSY}
  %present.place = getelementptr i8, ptr %team, i64 {PRESENT}
  %threads.place = getelementptr i8, ptr %team, i64 {THREADS}
  %threads = load i64, ptr %threads.place
  %present = load atomic i64, ptr %present.place acquire, align 8
  %expected = sub i64 %threads, 1
  %complete = icmp eq i64 %present, %expected
  br i1 %complete, label %claim, label %alone
claim:
  ; One job at a time. This lock is taken here and not in Python, where Ctrl-C could come between
  ; taking it and the `try` that would give it back.
  %claimed = cmpxchg ptr %busy.place, i64 0, i64 1 acq_rel monotonic
  %free = extractvalue {{ i64, i1 }} %claimed, 1
  br i1 %free, label %team.job, label %alone
alone:
  %result.alone = call i64 %function(ptr %table, i64 0, i64 1, ptr %team)
  br label %done
team.job:
  %before = load i64, ptr %job.place
  %job = add nuw i64 %before, 1
  store ptr %function, ptr %function.place
  store ptr %table, ptr %table.place
  %epoch = shl i64 %job, 32
  store i64 %epoch, ptr %epoch.place
  call void @post(ptr %team, ptr %job.place, i64 %job)
  %result.own = call i64 %function(ptr %table, i64 0, i64 %threads, ptr %team)
  br label %join
join:
  %thread = phi i64 [ 1, %team.job ], [ %thread.next, %collect ]
  %result = phi i64 [ %result.own, %team.job ], [ %result.next, %collect ]
  %more = icmp ult i64 %thread, %threads
  br i1 %more, label %collect, label %release
collect:
  %offset = mul nuw nsw i64 %thread, {PLACE_BYTES}
  %place = getelementptr i8, ptr %places, i64 %offset
  %done.place = getelementptr i8, ptr %place, i64 {DONE}
  call void @wait(ptr %team, ptr %done.place, i64 %job)
  %theirs.place = getelementptr i8, ptr %place, i64 {RESULT}
  %theirs = load i64, ptr %theirs.place
  %fine = icmp eq i64 %result, 0
  %result.next = select i1 %fine, i64 %theirs, i64 %result
  %thread.next = add nuw i64 %thread, 1
  br label %join
release:
  store atomic i64 0, ptr %busy.place release, align 8
  br label %done
done:
  %final = phi i64 [ %result.alone, %alone ], [ %result, %release ]
  RESTORE_CONTROL
  ret i64 %final
}}
"""

PREPARE = f"""
define i64 @size(i64 %threads) nounwind {{
start:
  %places = mul i64 %threads, {PLACE_BYTES}
  %bytes = add i64 %places, {PLACES}
  ret i64 %bytes
}}
; The workers that have arrived.
define i64 @count_workers(ptr %team) nounwind {{
start:
  %place = getelementptr i8, ptr %team, i64 {PRESENT}
  %present = load atomic i64, ptr %place acquire, align 8
  ret i64 %present
}}

; Fill the zeros of a new team. Gives 0 if all went well.
define i64 @prepare(ptr %team, i64 %threads, i64 %spins, i64 %yields) nounwind {{
start:
  %threads.place = getelementptr i8, ptr %team, i64 {THREADS}
  %spins.place = getelementptr i8, ptr %team, i64 {SPINS}
  %yields.place = getelementptr i8, ptr %team, i64 {YIELDS}
  %barrier.place = getelementptr i8, ptr %team, i64 {BARRIER}
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  store i64 %threads, ptr %threads.place
  store i64 %spins, ptr %spins.place
  store i64 %yields, ptr %yields.place
  store ptr @barrier, ptr %barrier.place
  %first = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %second = call i32 @pthread_cond_init(ptr %condition, ptr null)
  %failed = or i32 %first, %second
  %result = zext i32 %failed to i64
  ret i64 %result
}}
"""
