//! The three system calls that rustix keeps to itself or makes larger than they need be.

use core::arch::asm;
use core::mem::MaybeUninit;

use linux_raw_sys::general::{
    __NR_clock_gettime, __NR_exit_group, __NR_rt_sigprocmask, CLOCK_MONOTONIC, SIG_BLOCK, SIGPIPE,
    kernel_sigset_t,
};
use proto::Instant;

/// Ends the process.
pub fn exit(code: u8) -> ! {
    loop {
        // SAFETY: takes a number and does not return.
        unsafe { syscall4(__NR_exit_group, usize::from(code), 0, 0, 0) };
    }
}

/// Makes writing to a closed pipe an error and nothing more.
pub fn block_sigpipe() {
    let mut mask = [0_usize; size_of::<kernel_sigset_t>() / size_of::<usize>()];
    mask[0] = 1 << (SIGPIPE - 1);
    // SAFETY: the mask has the kernel's form and size; the old one is not asked for.
    unsafe {
        syscall4(__NR_rt_sigprocmask, SIG_BLOCK as usize, mask.as_ptr() as usize, 0, size_of_val(&mask))
    };
}

/// The time since the machine was started.
pub fn now() -> Instant {
    /// The kernel's form of a time in a machine word's width, enough for 68 years.
    #[repr(C)]
    struct Time {
        seconds: isize,
        nanoseconds: isize,
    }
    let mut time = MaybeUninit::<Time>::uninit();
    // SAFETY: the kernel fills the structure; this clock always exists.
    let time = unsafe {
        syscall4(__NR_clock_gettime, CLOCK_MONOTONIC as usize, time.as_mut_ptr() as usize, 0, 0);
        time.assume_init()
    };
    Instant::from_micros(time.seconds as u64 * 1_000_000 + time.nanoseconds as u64 / 1_000)
}

#[cfg(target_arch = "x86_64")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("syscall", inlateout("rax") number as usize => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

// The compiler keeps esi for itself.
#[cfg(target_arch = "x86")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("xchg esi, {d}", "int 0x80", "xchg esi, {d}", d = in(reg) d,
            inlateout("eax") number as usize => result, in("ebx") a, in("ecx") b, in("edx") c, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("svc 0", in("x8") number as usize, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d,
            options(nostack));
    }
    result
}

#[cfg(target_arch = "arm")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("svc 0", in("r7") number as usize, inlateout("r0") a => result, in("r1") b, in("r2") c, in("r3") d,
            options(nostack));
    }
    result
}

#[cfg(target_arch = "riscv64")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("ecall", in("a7") number as usize, inlateout("a0") a => result, in("a1") b, in("a2") c, in("a3") d,
            options(nostack));
    }
    result
}

#[cfg(target_arch = "mips")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("syscall", inlateout("$2") number as usize => result, in("$4") a, in("$5") b, in("$6") c,
            inlateout("$7") d => _, lateout("$8") _, lateout("$9") _, lateout("$10") _, lateout("$11") _,
            lateout("$12") _, lateout("$13") _, lateout("$14") _, lateout("$15") _, lateout("$24") _,
            lateout("$25") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "powerpc64")]
unsafe fn syscall4(number: u32, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's promise about what this call does.
    unsafe {
        asm!("sc", inlateout("r0") number as usize => _, inlateout("r3") a => result, inlateout("r4") b => _,
            inlateout("r5") c => _, inlateout("r6") d => _, lateout("r7") _, lateout("r8") _, lateout("r9") _,
            lateout("r10") _, lateout("r11") _, lateout("r12") _, lateout("cr0") _, lateout("ctr") _,
            lateout("xer") _, options(nostack));
    }
    result
}
